"""axe finds nothing on any page, in light and dark, on a desktop and on a phone."""

import contextlib
from collections.abc import Iterator
from typing import Any, Final, Literal

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


WIDTHS: Final = (1280, 390)
_LOOK: Final = """(only) => axe
  .run(document, {
    runOnly: only, resultTypes: ["violations"],
    preload: false, selectors: false, iframes: false,
  })
  .then((found) => found.violations)"""
"""What passed is neither listed nor carried here: most of a run would be that. Nothing
is loaded beforehand: only rules about sound and film need that, and there is none. No
selectors are made up, which nobody reads here, and no frames looked for."""
SCHEMES: Final[tuple[tuple[Literal["light", "dark"], dict[str, Any]], ...]] = (
    ("light", {"type": "tag", "values": _RULES}),
    ("dark", {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}),
)
"""What is looked for in each: in the dark the rules that look at colours."""


def test_axe_finds_nothing(site: Site, browser: Browser) -> None:
    site.hive.kept, site.hive.drafts = [data.kept("olga")], [data.draft("rita")]
    site.hive.agents.append(
        data.agent(
            "erin", paused=True, port_conflict="Taken.", port=8123, context_fill=0.9
        )
    )
    site.hive.pause = data.pause()
    data.commented(site.hive.approvals)
    with _tab(browser) as page:
        page.goto(f"{site.url}/login")
        found = _problems(page, "/login")
        Dashboard(page, site.url).with_session(site.hive.new_session())
        for path in PAGES:
            page.goto(f"{site.url}{path}")
            found += _problems(page, path)
    assert found == []


def test_axe_finds_what_only_the_dark_scheme_or_a_phone_has(browser: Browser) -> None:
    with _tab(browser) as page:
        page.set_content(
            "<html lang=en><title>t</title>"
            "<style>@media (prefers-color-scheme: dark) { body { background: #111 } }"
            "@media (min-width: 400px) { img { display: none } }</style>"
            "<main><h1>Title</h1><p style='color: #222'>Text <img src='data:,'>"
        )
        found = _problems(page, "/")
    assert {line.split(" (")[0] for line in found} == {
        "/ 1280 dark: color-contrast",
        "/ 390 light: image-alt",
        "/ 390 dark: color-contrast",
    }


@contextlib.contextmanager
def _tab(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(
        service_workers="block",
        reduced_motion="reduce",
        bypass_csp=True,  # only so that axe can be brought in
    )
    with contextlib.closing(context):
        yield context.new_page()


def _problems(page: Page, path: str) -> list[str]:
    """Look at a page in each width and scheme; it need not be loaded again for them."""
    # Not as an element: that would be a script of each page, and be compiled for each.
    session = page.context.new_cdp_session(page)
    session.send("Runtime.evaluate", {"expression": _AXE.read_text()})
    assert page.locator("audio, video, iframe").count() == 0
    found: list[str] = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        for scheme, only in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            found += [
                f"{path} {width} {scheme}: {rule['id']} ({rule['help']}): "
                f"{node['html'][:200]}"
                for rule in page.evaluate(_LOOK, only)
                for node in rule["nodes"]
            ]
    return found
