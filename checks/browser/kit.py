"""A real chromium, for tests and for screenshots.

Usually its headless shell, if that is installed: the same engine without a browser's
windows, which take two thirds of the time of a page.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, BrowserType, Page, sync_playwright

CHROMIUM: Final = Path(os.environ.get("HIVE_TEST_CHROMIUM", "/usr/bin/chromium"))
_SHELL: Final = shutil.which("chromium-headless-shell")
WIDTHS: Final = (1440, 800, 390)
"""A screen, a tablet and a phone."""
WAIT_MS: Final = 60_000
"""How long a page may take to show something, on a machine with much else to do."""
_ARGS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # One process draws all pages of our site: starting one costs as much as a page.
    "--process-per-site",
    "--renderer-process-limit=1",
]


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Run Debian's chromium with a fresh profile."""
    with sync_playwright() as playwright, shell(playwright.chromium) as browser:
        yield browser


@contextlib.contextmanager
def shell(kind: BrowserType) -> Iterator[Browser]:
    """Run the headless shell of chromium, or all of chromium if there is none."""
    chosen = None if "HIVE_TEST_CHROMIUM" in os.environ else _SHELL
    with _running(kind, chosen or str(CHROMIUM)) as browser:
        yield browser


@contextlib.contextmanager
def with_windows(kind: BrowserType) -> Iterator[Browser]:
    """Run all of chromium.

    Only that asks for a page's icon, and lets a page ask whether it may notify.
    """
    with _running(kind, str(CHROMIUM)) as browser:
        yield browser


@contextlib.contextmanager
def _running(kind: BrowserType, program: str) -> Iterator[Browser]:
    browser = kind.launch(executable_path=program, args=_ARGS)
    try:
        yield browser
    finally:
        browser.close()


def resized(page: Page) -> Iterator[int]:
    """Make the window as wide as each; what is shown then is no wider."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        yield width
        assert page.evaluate("document.documentElement.scrollWidth") <= width
