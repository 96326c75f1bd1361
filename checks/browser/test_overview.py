"""The overview of a large hive, in a real browser: search, stop, no lost events."""

import asyncio
from typing import Any

import msgspec
import pytest
from playwright.sync_api import expect

from checks.browser.conftest import Site
from checks.browser.pages import Dashboard
from checks.kits.web import data as data
from pyglue.api.common import AgentState
from pyglue.api.overview import AgentsView


def rows(dashboard: Dashboard) -> Any:
    return dashboard.section("agents").get_by_test_id("agent")


def in_order(dashboard: Dashboard, *wanted: str) -> None:
    expect(rows(dashboard)).to_have_count(len(wanted))
    for place, name in enumerate(wanted):
        expect(rows(dashboard).nth(place)).to_have_attribute("data-agent", name)


def set_state(site: Site, name: str, state: AgentState) -> None:
    site.hive.agents = [
        msgspec.structs.replace(one, state=state) if one.name == name else one
        for one in site.hive.agents
    ]
    site.hive.emit("agent.state", name, state=state.value)


def test_searching_as_one_types(site: Site, dashboard: Dashboard) -> None:
    page = dashboard.page
    page.keyboard.press("/")
    search = page.get_by_label("Search", exact=True)
    expect(search).to_be_focused()
    page.keyboard.type("ca")
    expect(rows(dashboard)).to_have_count(1)
    expect(page).to_have_url(f"{site.url}/?q=ca")
    set_state(site, "carol", AgentState.THINKING)  # the search survives the news
    expect(dashboard.agent_state("carol")).to_have_text("thinking")
    expect(rows(dashboard)).to_have_count(1)
    expect(search).to_be_focused()
    expect(search).to_have_value("ca")
    page.keyboard.type("xyz")
    expect(dashboard.section("agents")).to_contain_text("No matching agents")
    search.fill("")
    expect(rows(dashboard)).to_have_count(5)
    page.get_by_label("State", exact=True).select_option("stopped")
    expect(rows(dashboard)).to_have_count(1)
    page.reload()
    dashboard.live()
    expect(rows(dashboard)).to_have_count(1)
    dashboard.agent("dave").get_by_role("button", name="Start").click()
    expect(dashboard.flash()).to_contain_text("Starting dave")
    expect(page).to_have_url(f"{site.url}/?state=stopped")
    expect(rows(dashboard)).to_have_count(1)


def test_searching_without_javascript(site: Site, plain_dashboard: Dashboard) -> None:
    page = plain_dashboard.overview().page
    page.get_by_label("Search", exact=True).fill("rate limited")
    page.get_by_role("button", name="Filter").click()
    expect(rows(plain_dashboard)).to_have_count(1)
    expect(plain_dashboard.agent("carol")).to_be_visible()
    page.get_by_role("link", name="Show all").click()
    expect(rows(plain_dashboard)).to_have_count(5)


def test_the_table_is_sorted_by_its_headings(site: Site, dashboard: Dashboard) -> None:
    page = dashboard.page
    site.hive.agents = [
        data.agent("alice", cost_today_usd=2.0),
        data.agent("bob", cost_today_usd=0.5),
        data.agent("carol", cost_today_usd=4.0),
    ]
    site.hive.emit("agent.changed", "alice", what="deployed")
    expect(rows(dashboard)).to_have_count(3)
    head = page.get_by_role("columnheader", name="Cost today")
    head.get_by_role("link").focus()
    page.keyboard.press("Enter")
    expect(head).to_have_attribute("aria-sort", "descending")
    expect(head.get_by_role("link")).to_be_focused()
    in_order(dashboard, "carol", "alice", "bob")
    expect(page).to_have_url(f"{site.url}/?sort=cost")
    site.hive.agents[1] = data.agent("bob", cost_today_usd=8.0)
    site.hive.emit("turn.ended", "bob", turn=1)  # the order follows what happens
    expect(rows(dashboard).first).to_have_attribute("data-agent", "bob")
    head.get_by_role("link").click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    in_order(dashboard, "alice", "carol", "bob")
    page.get_by_label("Search", exact=True).fill("o")  # filtering keeps the order
    expect(page).to_have_url(f"{site.url}/?q=o&sort=-cost")
    page.reload()
    dashboard.live()
    expect(head).to_have_attribute("aria-sort", "ascending")
    page.set_viewport_size({"width": 390, "height": 844})  # headings are not shown here
    page.get_by_label("Sort", exact=True).select_option("Agent: Z to A")
    expect(rows(dashboard).first).to_have_attribute("data-agent", "carol")
    expect(page).to_have_url(f"{site.url}/?q=o&sort=-name")


def test_sorting_without_javascript(site: Site, plain_dashboard: Dashboard) -> None:
    page = plain_dashboard.page
    page.goto(f"{site.url}/?state=attention")
    page.get_by_role("columnheader", name="Cost today").get_by_role("link").click()
    in_order(plain_dashboard, "carol", "bob")
    page.get_by_role("columnheader", name="Cost today").get_by_role("link").click()
    in_order(plain_dashboard, "bob", "carol")
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_label("Sort", exact=True).select_option("Agent: Z to A")
    page.get_by_role("button", name="Filter").click()
    in_order(plain_dashboard, "carol", "bob")
    expect(page).to_have_url(f"{site.url}/?q=&state=attention&sort=-name#agents")


def test_the_cost_of_today_follows_every_turn(site: Site, dashboard: Dashboard) -> None:
    costs = {"alice": 2.0, "bob": 0.5, "carol": 1.0, "dave": 4.0}
    site.hive.agents = [
        data.agent(name, cost_today_usd=it) for name, it in costs.items()
    ]
    site.hive.emit("turn.ended", "alice", turn=1)
    today = dashboard.section("today")
    expect(today).to_contain_text("Cost today $7.50")
    dearest = today.get_by_role("link")
    expect(dearest).to_have_text(["dave", "alice", "carol"])
    dearest.first.click()
    expect(dashboard.page).to_have_url(f"{site.url}/agents/dave")


@pytest.mark.own_tab
def test_a_rate_falls_while_nothing_happens(site: Site, logged_in: Dashboard) -> None:
    page = logged_in.page
    page.clock.install()
    site.hive.agents = [data.agent("alice", cost_hour_usd=1.0, cost_limit_usd=9.0)]
    for path, where in (("/", "today"), ("/agents/alice", "budget")):
        page.goto(site.url + path)
        logged_in.live()
        expect(page.get_by_test_id(where)).to_contain_text("$1.00/h")
        site.hive.agents = [data.agent("alice", cost_hour_usd=0.5, cost_limit_usd=9.0)]
        page.clock.fast_forward("01:10")
        expect(page.get_by_test_id(where)).to_contain_text("$0.50/h")
        site.hive.agents = [data.agent("alice", cost_hour_usd=1.0, cost_limit_usd=9.0)]


def test_what_happens_while_a_section_is_read_is_read_too(
    site: Site, dashboard: Dashboard
) -> None:
    hive = site.hive
    old = AgentsView(agents=tuple(hive.agents))
    asked = asyncio.Event()
    go = asyncio.Event()

    async def slow(_params: object) -> AgentsView:
        if not asked.is_set():
            asked.set()
            await go.wait()
            return old
        return AgentsView(agents=tuple(hive.agents))

    async def wait() -> None:
        await asked.wait()

    async def let_go() -> None:
        go.set()

    hive.overrides["agents"] = slow
    hive.emit("agent.state", "alice", state="idle")
    hive.run(wait())  # the section is being read
    set_state(site, "alice", AgentState.COMPACTING)
    seen = str(hive.seq)
    expect(dashboard.page.locator("body")).to_have_attribute("data-seen", seen)
    hive.run(let_go())
    expect(dashboard.agent_state("alice")).to_have_text("compacting")


def test_the_emergency_stop(site: Site, dashboard: Dashboard) -> None:
    page = dashboard.page
    button = page.get_by_role("button", name="Pause the whole hive")
    expect(button).to_be_hidden()  # it takes two steps
    page.get_by_text("Emergency stop").click()
    page.get_by_label("Reason (optional)").fill("A loop")
    button.click()
    banner = page.get_by_test_id("paused")
    expect(banner).to_contain_text("The whole hive is paused by another browser")
    expect(banner).to_contain_text("“A loop”")
    expect(page.get_by_test_id("stop")).to_be_hidden()
    content = page.locator("#main").bounding_box()
    around = banner.bounding_box()
    assert content is not None and around is not None
    assert around["x"] >= content["x"]
    assert around["x"] + around["width"] <= content["x"] + content["width"]
    page.goto(f"{site.url}/nowhere")
    expect(banner).to_contain_text("“A loop”")
    expect(page.get_by_test_id("stop")).to_be_hidden()
    page.go_back()
    page.get_by_role("button", name="Resume the hive").click()
    expect(page.get_by_test_id("paused")).to_have_count(0)
    expect(page.get_by_test_id("stop")).to_be_visible()
    assert [one.reason for one in site.hive.called("pause_all")] == ["A loop"]


def test_a_stop_elsewhere_is_seen_here(site: Site, dashboard: Dashboard) -> None:
    site.hive.pause = data.pause()
    site.hive.emit("agent.changed", "hive", what="control")
    expect(dashboard.page.get_by_test_id("paused")).to_be_visible()


def test_the_stop_works_without_javascript(
    site: Site, plain_dashboard: Dashboard
) -> None:
    page = plain_dashboard.overview().page
    page.get_by_text("Emergency stop").click()
    page.get_by_role("button", name="Pause the whole hive").click()
    expect(page.get_by_test_id("paused")).to_be_visible()
    page.get_by_role("button", name="Resume the hive").click()
    expect(plain_dashboard.flash()).to_contain_text("resumed")


def test_kept_state_and_drafts_appear_and_go(site: Site, dashboard: Dashboard) -> None:
    page, hive = dashboard.page, site.hive
    kept, drafts = page.get_by_test_id("kept"), page.get_by_test_id("drafts")
    expect(kept).to_be_hidden()
    expect(drafts).to_be_hidden()
    hive.kept, hive.drafts = [data.kept("olga")], [data.draft("rita")]
    hive.emit("agent.changed", "olga", what="destroyed")
    expect(kept.get_by_test_id("kept-state")).to_have_count(1)
    expect(drafts.get_by_test_id("draft")).to_have_count(1)
    drafts.get_by_text("Discard…", exact=True).first.click()
    drafts.get_by_role("button", name="Discard").click()
    expect(dashboard.flash()).to_contain_text("Discarding draft rita")
    dashboard.live()
    hive.kept = []
    hive.emit("agent.changed", "olga", what="kept")
    expect(kept).to_be_hidden()
