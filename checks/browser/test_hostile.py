"""Whatever agents write stays text in a real browser: no script runs, no policy breaks.

The page fixture fails the test on an error of a script and on a violation of the
policy; a dialog, a request to elsewhere or another title fails it here.
"""

import pytest
from playwright.sync_api import Dialog, Page, expect

from checks.browser.conftest import Site
from checks.browser.pages import Dashboard
from checks.kits.web.data import commented
from checks.kits.web.hostile import CORPUS, poison, poisoned

PATHS = (
    "/",
    "/approvals",
    "/approvals/7",
    "/approvals/7?view=split",
    "/agents/alice/files",
    "/messages",
    "/messages/pairs",
    "/inbox",
    "/charts",
    "/activity",
    "/operations",
    "/doctor",
    "/notifications",
    "/agents/alice",  # the last: it stays open for events
)
_KINDS = ("text", "thinking", "tool_use", "tool_result", "denied", "retry", "result")


@pytest.mark.parametrize("text", CORPUS, ids=[text[:12] for text in CORPUS])
def test_no_text_becomes_more_than_text(site: Site, page: Page, text: str) -> None:
    strange: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        strange.append("dialog")
        dialog.dismiss()

    page.on("dialog", dismiss)
    page.on(
        "request",
        lambda sent: strange.append(sent.url) if site.url not in sent.url else None,
    )
    dashboard = Dashboard(page, site.url).with_session(site.hive.new_session())
    commented(site.hive.approvals)
    poisoned(site.hive, text)
    for path in PATHS:
        page.goto(site.url + path)
        assert page.title().endswith("· hyperhive")
    dashboard.live()
    event = {"name": text, "text": text, "input": {text[:100]: text}, "reason": text}
    for kind in _KINDS:
        data = {**event, "id": "1", "tool": text, "attempt": text[:100]}
        site.hive.emit("turn.event", "alice", turn=1, kind=kind, data=data)
    seq = site.hive.emit("turn.event", "alice", turn=1, kind=text[:50], data=text[:50])
    expect(page.locator("body")).to_have_attribute("data-seen", str(seq))
    foreign = f"main script, main iframe, main base, main svg:not({OUR_ICON})"
    assert page.locator(foreign).count() == 0
    assert page.locator("main [onerror], main [onfocus], main [onload]").count() == 0
    assert strange == []


OUR_ICON = ".icon:has(> use[href^='/static/'][href*='/icons.svg#']):not([onload])"


def test_the_poison_reaches_the_pages(site: Site, logged_in: Dashboard) -> None:
    """Or the test above would prove nothing."""
    site.hive.agents = [poison(one, "<b>poison</b>") for one in site.hive.agents]
    logged_in.overview()
    expect(logged_in.section("agents")).to_contain_text("<b>poison</b>")
