"""axe finds nothing on any page, in light and dark, on a desktop and on a phone."""

from typing import Final, Literal

import pytest
from playwright.sync_api import Browser, Page

from checks.browser.conftest import Site
from checks.browser.pages import Dashboard
from checks.kits.web import data as data
from pyglue.paths import share

_AXE: Final = share() / "web" / "node_modules" / "axe-core" / "axe.min.js"
_RULES: Final = [
    "wcag2a",
    "wcag2aa",
    "wcag21a",
    "wcag21aa",
    "wcag22aa",
    "best-practice",
]

SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
PAGES: Final = [
    "/",
    "/approvals",
    "/approvals/7",
    "/approvals/7?view=split",
    "/approvals/5",
    "/agents/alice",
    "/agents/alice/terminal",
    "/agents/alice/versions?old=6&new=7",
    "/messages",
    "/messages/pairs",
    "/inbox",
    "/messages/31",
    "/activity",
    "/operations",
    "/doctor",
    "/notifications",
    "/nowhere",
]


_LOOK: Final = """(tags) => axe
  .run(document, { runOnly: tags, resultTypes: ["violations"] })
  .then((found) => found.violations)"""
"""What passed is neither listed nor carried here: most of a run would be that."""


@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing(site: Site, browser: Browser, width: int) -> None:
    site.hive.kept, site.hive.drafts = [data.kept("olga")], [data.draft("rita")]
    site.hive.agents.append(
        data.agent(
            "erin", paused=True, port_conflict="Taken.", port=8123, context_fill=0.9
        )
    )
    site.hive.pause = data.pause()
    data.commented(site.hive.approvals)
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        bypass_csp=True,  # only so that axe can be brought in
    )
    try:
        page = context.new_page()
        page.goto(f"{site.url}/login")
        found = _problems(page, "/login")
        Dashboard(page, site.url).with_session(site.hive.new_session())
        for path in PAGES:
            page.goto(f"{site.url}{path}")
            found += _problems(page, path)
    finally:
        context.close()
    assert found == []


def test_axe_finds_what_only_the_dark_scheme_has(browser: Browser) -> None:
    context = browser.new_context()
    try:
        page = context.new_page()
        page.set_content(
            "<html lang=en><title>t</title>"
            "<style>@media (prefers-color-scheme: dark) { body { background: #111 } }"
            "</style><main><h1>Title</h1><p style='color: #222'>Text"
        )
        found = _problems(page, "/")
    finally:
        context.close()
    assert {line.split(" (")[0] for line in found} == {"/ dark: color-contrast"}


def _problems(page: Page, path: str) -> list[str]:
    """Look at a page in both schemes; it need not be loaded again for the second."""
    page.add_script_tag(path=_AXE)
    found: list[str] = []
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        found += [
            f"{path} {scheme}: {rule['id']} ({rule['help']}): {node['html'][:200]}"
            for rule in page.evaluate(_LOOK, _RULES)
            for node in rule["nodes"]
        ]
    return found
