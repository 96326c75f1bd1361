"""Screenshots of every page: ``python -m checks.browser.shots DIRECTORY [LINK]``.

With LINK (what ``hive login`` prints) of a running hive, else of canned data. Each
page is taken in light and dark, on a desktop and on a phone. ``--docs`` instead of a
directory renews the pictures of README and guide.
"""

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page

from checks.browser.kit import chromium
from checks.browser.pages import Dashboard
from checks.kits.net.ports import free_port
from checks.kits.web import hive as fake_hive
from checks.kits.web.app import hive_web

_SIZES: Final = {"desktop": (1280, 900), "phone": (390, 844)}
_SCHEMES: Final = ("light", "dark")
_DOCS: Final = Path(__file__).parents[2] / "docs" / "screenshots"
_DOCUMENTED: Final = {"overview": ("/", 940), "approval": ("/approvals/7", 1360)}
"""The path of each picture, and its height."""


def shoot(page: Page, directory: Path, name: str) -> list[Path]:
    """Write the open page in both schemes and sizes; returns the files."""
    files = []
    for size, (width, height) in _SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        for scheme in _SCHEMES:
            page.emulate_media(color_scheme=scheme)
            files.append(directory / f"{name}-{size}-{scheme}.png")
            page.screenshot(path=files[-1], full_page=True)
    return files


def take(browser: Browser, directory: Path, link: str) -> list[Path]:
    """Log in with ``link`` and write every kind of page."""
    directory.mkdir(parents=True, exist_ok=True)
    base = "{0.scheme}://{0.netloc}".format(urlsplit(link))
    page = browser.new_page()
    page.goto(f"{base}/login")
    files = shoot(page, directory, "login")
    Dashboard(page, base).log_in(link)
    for name, path in _pages(page, base).items():
        page.goto(base + path)
        Dashboard(page, base).live()
        files += shoot(page, directory, name)
    return files


def _pages(page: Page, base: str) -> dict[str, str]:
    """Return the paths worth a picture, with the newest approval and its agent."""
    pages = {
        "overview": "/",
        "approvals": "/approvals",
        "agent": "/agents/manager",
        "messages": "/messages",
        "pairs": "/messages/pairs",
        "inbox": "/inbox",
        "charts": "/charts",
        "activity": "/activity",
        "operations": "/operations",
        "doctor": "/doctor",
        "notifications": "/notifications",
        "terminal": "/agents/manager/terminal",
        "destroy": "/agents/alice/destroy",
    }
    # Asked by the browser: only it finds names below localhost everywhere.
    asked = "place => fetch(place).then(answer => answer.json())"
    rows = page.evaluate(asked, f"{base}/api/approvals")["approvals"]
    for row in rows[:1]:
        pages["approval"] = f"/approvals/{row['id']}"
        pages["approval-split"] = f"/approvals/{row['id']}?view=split"
        if row["kind"] == "change":
            pages["agent"] = f"/agents/{row['agent']}"
    return pages


def document(browser: Browser, link: str) -> list[Path]:
    """Write the pictures of README and guide."""
    base = "{0.scheme}://{0.netloc}".format(urlsplit(link))
    page = browser.new_page()
    Dashboard(page, base).log_in(link)
    files = []
    for name, (path, height) in _DOCUMENTED.items():
        page.set_viewport_size({"width": 1280, "height": height})
        for _ in range(2):  # our font is shown once the browser has it
            page.goto(base + path)
            Dashboard(page, base).live()
            page.evaluate("document.fonts.ready")
        files.append(_DOCS / f"{name}.png")
        page.screenshot(path=files[-1])
    return files


def main(argv: list[str]) -> int:
    """Take the pictures of a running hive, or of canned data."""
    if argv == ["--docs"]:
        with chromium() as browser, canned(warnings=()) as link:
            for file in document(browser, link):
                print(file)
        return 0
    directory = Path(argv[0])
    with chromium() as browser, contextlib.ExitStack() as stack:
        link = argv[1] if len(argv) > 1 else stack.enter_context(canned())
        for file in take(browser, directory, link):
            print(file)
    return 0


@contextlib.contextmanager
def canned(
    warnings: tuple[str, ...] = (
        "Agents are not isolated: bubblewrap does not work here.",
    ),
) -> Iterator[str]:
    """Serve a dashboard of canned data; give its login link."""
    with tempfile.TemporaryDirectory() as name:
        runtime, port = Path(name), free_port()
        with (
            fake_hive.running(runtime / "operator.sock", port=port) as hive,
            hive_web(runtime, port),
        ):
            hive.warnings = warnings
            yield hive.link()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
