"""axe finds nothing on any page, in light and dark, on a desktop and on a phone."""

from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser

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
    "/messages",
    "/messages/31",
    "/nowhere",
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing(
    site: Site, browser: Browser, scheme: str, width: int
) -> None:
    site.hive.kept, site.hive.drafts = [data.kept("olga")], [data.draft("rita")]
    site.hive.agents.append(
        data.agent(
            "erin", paused=True, port_conflict="Taken.", port=8123, context_fill=0.9
        )
    )
    site.hive.paused = True
    context = browser.new_context(
        color_scheme=scheme,  # type: ignore[arg-type]
        viewport={"width": width, "height": 900},
        bypass_csp=True,  # only so that axe can be brought in
    )
    try:
        page = context.new_page()
        page.goto(f"{site.url}/login")
        found = _problems(page, _AXE)
        Dashboard(page, site.url).log_in(site.link())
        for path in PAGES:
            page.goto(f"{site.url}{path}")
            found += [f"{path}: {one}" for one in _problems(page, _AXE)]
    finally:
        context.close()
    assert found == []


def _problems(page: Any, axe: Path) -> list[str]:
    page.add_script_tag(path=axe)
    result = page.evaluate("(tags) => axe.run(document, { runOnly: tags })", _RULES)
    return [
        f"{rule['id']} ({rule['help']}): {node['html'][:200]}"
        for rule in result["violations"]
        for node in rule["nodes"]
    ]
