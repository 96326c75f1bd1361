"""One action on many agents: few clicks, a result for each."""

from typing import Any

from playwright.sync_api import Page, expect

from checks.browser.conftest import Site
from checks.browser.kit import WIDTHS
from checks.browser.pages import Dashboard
from checks.kits.web import data as data
from checks.kits.web.hostile import NASTY
from pyglue.api.common import Done
from pyglue.api.overview import Step
from pyglue.errors import ErrorCode, HiveError

PAUSING_TEN = 4
"""Clicks that it may take."""


class Mouse:
    """Clicks, and counts them."""

    def __init__(self) -> None:
        self.clicks = 0

    def click(self, found: Any, **options: Any) -> None:
        """Click once."""
        found.click(**options)
        self.clicks += 1


def many(site: Site, count: int = 12) -> None:
    """Let the hive have so many agents."""
    site.hive.agents = [data.agent(f"a{number:02}") for number in range(count)]
    site.hive.emit("agent.changed", "a00", what="created")


def box(page: Page, name: str) -> Any:
    return page.get_by_role("checkbox", name=f"Select {name}")


def bulk(page: Page, button: str) -> Any:
    bar = page.get_by_test_id("bulk")
    return bar.get_by_role("button", name=button, exact=False).first


def refusing_some(site: Site, method: str, *refused: str, text: str) -> None:
    async def answer(params: Any) -> Done:
        if params.agent in refused:
            raise HiveError(ErrorCode.CONFLICT, text)
        return Done()

    site.hive.overrides[method] = answer


def test_pausing_ten_agents_takes_at_most_four_clicks(
    site: Site, dashboard: Dashboard
) -> None:
    page = dashboard.page
    many(site)
    expect(box(page, "a11")).to_be_visible()
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        mouse = Mouse()
        mouse.click(box(page, "a01"))
        mouse.click(box(page, "a10"), modifiers=["Shift"])
        expect(page.get_by_test_id("bulk-count")).to_have_text("10 selected")
        mouse.click(bulk(page, "Pause"))
        expect(dashboard.flash()).to_contain_text("10 paused: a01, a02")
        assert mouse.clicks <= PAUSING_TEN
        expect(page.get_by_test_id("bulk-count")).to_have_text("None selected")
        asked = [one.agent for one in site.hive.called("pause")]
        assert asked == [f"a{number:02}" for number in range(1, 11)], width
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        site.hive.calls.clear()
        page.get_by_role("button", name="Close", exact=True).click()
        expect(dashboard.flash()).to_have_count(0)


def test_each_agent_has_its_result_and_refusals_stay(
    site: Site, dashboard: Dashboard
) -> None:
    page = dashboard.page
    many(site, 10)
    expect(box(page, "a09")).to_be_visible()
    text = f"It is busy. {NASTY}"
    refusing_some(site, "pause", "a03", "a07", text=text)
    page.get_by_role("checkbox", name="Select all shown").check()
    expect(page.get_by_test_id("bulk-count")).to_have_text("10 selected")
    bulk(page, "Pause").click()
    said = dashboard.flash()
    expect(said).to_contain_text("8 paused, 2 refused:")
    expect(said).to_contain_text("a03: It is busy. <script>alert(1)</script>")
    expect(said).to_contain_text("a07: It is busy.")
    expect(said).to_have_attribute("data-state", "failed")
    assert said.locator("script, img, nasty").count() == 0
    assert len(site.hive.called("pause")) == 10


def test_a_selection_outlives_events_and_ends_with_what_is_not_shown(
    site: Site, dashboard: Dashboard
) -> None:
    page = dashboard.page
    many(site)
    box(page, "a01").check()
    box(page, "a02").check()
    site.hive.agents[1] = data.agent("a01", description="Something else", turn=5)
    site.hive.emit("agent.changed", "a01", what="deployed")
    expect(dashboard.agent("a01")).to_contain_text("Something else")
    expect(box(page, "a01")).to_be_checked()
    expect(page.get_by_test_id("bulk-count")).to_have_text("2 selected, 1 in a turn")
    page.get_by_label("Search", exact=True).fill("a02")
    expect(dashboard.section("agents").get_by_test_id("agent")).to_have_count(1)
    expect(page.get_by_test_id("bulk-count")).to_have_text("1 selected")
    bulk(page, "Stop").click()
    expect(dashboard.flash()).to_contain_text("1 stopping: a02")
    assert [one.agent for one in site.hive.called("stop")] == ["a02"]


def test_the_keyboard_selects_and_all_actions_are_there(
    site: Site, dashboard: Dashboard
) -> None:
    page = dashboard.page
    dashboard.agent("alice").get_by_role("link", name="alice", exact=True).focus()
    page.keyboard.press("x")
    expect(box(page, "alice")).to_be_checked()
    bulk(page, "Restart").click()
    expect(dashboard.flash()).to_contain_text("1 restarting: alice")
    page.get_by_test_id("bulk").get_by_text("More", exact=True).click()
    for button, method in (
        ("Resume", "resume"),
        ("Start", "start"),
        ("Compact", "compact"),
        ("New sessions", "new_session"),
        ("Cancel turns", "cancel"),
    ):
        box(page, "alice").check()
        bulk(page, button).click()
        expect(page.get_by_test_id("bulk-count")).to_have_text("None selected")
        assert [one.agent for one in site.hive.called(method)] == ["alice"], method
    box(page, "alice").check()
    box(page, "carol").check()
    page.get_by_label("Message to selected agents").fill("Wait for me.")
    bulk(page, "Send").click()
    expect(dashboard.flash()).to_contain_text("2 written to: alice, carol")
    assert [one.to for one in site.hive.called("send")] == ["alice", "carol"]


def test_nothing_selected_is_said_at_the_toolbar(
    site: Site, dashboard: Dashboard
) -> None:
    page = dashboard.page
    bulk(page, "Pause").click()
    alert = page.get_by_test_id("bulk").get_by_role("alert")
    expect(alert).to_contain_text("0 agents are selected")
    assert not site.hive.called("pause")


def test_no_click_on_a_box_is_lost_while_news_come_in(
    site: Site, dashboard: Dashboard
) -> None:
    page = dashboard.page
    many(site)
    expect(box(page, "a11")).to_be_visible()
    for number in range(12):
        box(page, f"a{number:02}").hover()
        page.mouse.down()
        for _ in range(10):
            site.hive.emit("agent.state", "a00", state="idle")
        page.mouse.up()
    expect(page.get_by_test_id("bulk-count")).to_have_text("12 selected")


def test_selecting_works_without_javascript(
    site: Site, plain_dashboard: Dashboard
) -> None:
    page = plain_dashboard.page
    many(site, 10)
    refusing_some(site, "pause", "a03", text="It is stopped.")
    plain_dashboard.overview()
    expect(page.get_by_label("Select all shown")).to_be_hidden()
    for number in range(10):
        box(page, f"a{number:02}").check()
    bulk(page, "Pause").click()
    expect(plain_dashboard.flash()).to_contain_text("9 paused, 1 refused:")
    expect(plain_dashboard.flash()).to_contain_text("a03: It is stopped.")


def test_running_turns_are_named_before_they_are_cancelled(
    site: Site, dashboard: Dashboard
) -> None:
    page = dashboard.page
    many(site)
    step = Step(text="Bash", since_at=data.NOW, doing=f"runs `git push` {NASTY}")
    site.hive.agents[2] = data.agent("a02", turn=41, step=step)
    site.hive.agents[5] = data.agent("a05", turn=42)
    site.hive.emit("agent.state", "a02", state="thinking")
    expect(dashboard.agent("a02")).to_contain_text("git push")
    page.get_by_role("checkbox", name="Select all shown").check()
    bulk(page, "Restart").click()
    asked = page.get_by_role("dialog", name="Restart: 12 agents")
    expect(asked).to_contain_text("2 of 12 agents are in a turn.")
    expect(asked.get_by_role("listitem")).to_have_count(2)
    expect(asked.locator("code")).to_have_text("git push")
    assert asked.locator("script, img, nasty").count() == 0
    expect(asked.get_by_role("button", name="Go back")).to_be_focused()
    page.keyboard.press("Enter")
    expect(asked).to_have_count(0)
    expect(page.get_by_test_id("bulk-count")).to_have_text("12 selected, 2 in a turn")
    assert not site.hive.called("restart")
    bulk(page, "Restart").click()
    asked.get_by_role("button", name="Restart").click()
    expect(dashboard.flash()).to_contain_text("12 restarting: a00")
    assert len(site.hive.called("restart")) == 12
    expect(page.get_by_test_id("bulk-count")).to_have_text("None selected")


def test_more_than_a_hundred_agents_are_one_action(
    site: Site, dashboard: Dashboard
) -> None:
    page = dashboard.page
    many(site, 120)
    expect(box(page, "a119")).to_be_attached()
    page.get_by_role("checkbox", name="Select all shown").check()
    bulk(page, "Pause").click()
    expect(dashboard.flash()).to_contain_text("120 paused")


def test_running_turns_are_named_without_javascript(
    site: Site, plain_dashboard: Dashboard
) -> None:
    page = plain_dashboard.page
    many(site, 4)
    site.hive.agents[2] = data.agent("a02", turn=41)
    page.goto(f"{site.url}/?sort=name")
    for name in ("a01", "a02"):
        box(page, name).check()
    bulk(page, "Stop").click()
    expect(page.get_by_role("listitem").filter(has_text="a02")).to_be_visible()
    assert not site.hive.called("stop")
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(plain_dashboard.flash()).to_contain_text("2 stopping: a01, a02")
    expect(page).to_have_url(f"{site.url}/?sort=name#agents")
