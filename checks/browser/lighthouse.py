"""Lighthouse's scores of the pages: ``python -m checks.browser.lighthouse [LINK]``.

With LINK (what ``hive login`` prints) of a running hive, else of canned data. Fetches
Lighthouse from npm, and exits with 1 below a goal. Its figure of speed needs a machine
that does nothing else, and a phone gets a quarter of its processor, so this is no test.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import sync_playwright

from checks.browser.kit import CHROMIUM
from checks.browser.pages import Dashboard
from checks.browser.shots import canned
from checks.kits.net.ports import free_port

_LIGHTHOUSE: Final = ("npx", "--yes", "lighthouse@12.8.2")
_PAGES: Final = {
    "overview": "/",
    "approval": "/approvals/7",
    "agent": "/agents/alice",
    "metrics": "/charts",
}
_FORMS: Final = {"desktop": ("--preset=desktop",), "phone": ()}
_GOALS: Final = {"accessibility": 100, "best-practices": 100, "performance": 95}
_PATIENCE_S: Final = 300


def scores(url: str, port: int, form: str, room: Path) -> dict[str, int]:
    """Return what Lighthouse says of a page that the browser at ``port`` may open.

    Points of a hundred; a category that could not be measured has none.
    """
    report = room / "report.json"
    flags = (
        *(f"--port={port}", "--disable-storage-reset", "--quiet"),
        *("--output=json", f"--output-path={report}"),
        f"--only-categories={','.join(_GOALS)}",
    )
    argv = (*_LIGHTHOUSE, url, *flags, *_FORMS[form])
    subprocess.run(argv, check=True, timeout=_PATIENCE_S, stdout=subprocess.DEVNULL)
    found: dict[str, Any] = json.loads(report.read_text())["categories"]
    return {
        name: round(100 * one["score"])
        for name, one in found.items()
        if one["score"] is not None
    }


def main(argv: list[str]) -> int:
    """Print the scores of every page in both forms."""
    below, port = 0, free_port()
    with contextlib.ExitStack() as stack:
        link = argv[0] if argv else stack.enter_context(canned())
        room = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kind = stack.enter_context(sync_playwright()).chromium
        flags = [f"--remote-debugging-port={port}", "--no-sandbox"]
        browser = kind.launch_persistent_context(
            room / "profile", executable_path=str(CHROMIUM), args=flags
        )
        stack.callback(browser.close)
        base = "{0.scheme}://{0.netloc}".format(urlsplit(link))
        Dashboard(browser.new_page(), base).log_in(link)
        for form in _FORMS:
            for name, path in _PAGES.items():
                found = scores(base + path, port, form, room)
                said = ", ".join(f"{one} {found.get(one, 0)}" for one in _GOALS)
                print(f"{form} {name}: {said}", flush=True)
                below += any(found.get(one, 0) < goal for one, goal in _GOALS.items())
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
