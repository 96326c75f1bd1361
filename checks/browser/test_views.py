"""The counts above the agents table as filters, and saved views."""

import json
from typing import Any

import msgspec
from playwright.sync_api import Locator, Page, expect

from checks.browser.conftest import Site
from checks.browser.pages import Dashboard
from pyglue.api.common import AgentState


def names(page: Page) -> list[str]:
    rows = page.get_by_test_id("agent").all()
    return [str(one.get_attribute("data-agent")) for one in rows]


def chip(page: Page, text: str) -> Locator:
    return page.get_by_test_id("chips").get_by_role("link", name=text, exact=True)


def views(page: Page) -> Locator:
    return page.get_by_test_id("views").get_by_role("link")


def save(page: Page, name: str) -> None:
    page.get_by_text("Save view…").click()
    page.get_by_label("Name of this filter and order").fill(name)
    page.keyboard.press("Enter")


def test_a_count_filters_and_follows_events(site: Site, dashboard: Dashboard) -> None:
    page = dashboard.page
    page.evaluate("window.isSame = true")
    page.get_by_label("Search", exact=True).fill("a")
    expect(page).to_have_url(f"{site.url}/?q=a")
    chip(page, "Stopped 1").click()
    expect(page).to_have_url(f"{site.url}/?q=a&state=stopped")
    expect(page.get_by_test_id("agent")).to_have_count(1)
    expect(chip(page, "Stopped 1")).to_have_attribute("aria-current", "true")
    expect(chip(page, "Stopped 1")).to_be_focused()
    expect(page.get_by_label("State", exact=True)).to_have_value("stopped")
    site.hive.agents = [
        msgspec.structs.replace(one, state=AgentState.STOPPED)
        if one.name == "alice"
        else one
        for one in site.hive.agents
    ]
    site.hive.emit("agent.state", "alice", state="stopped")
    expect(chip(page, "Stopped 2")).to_have_attribute("aria-current", "true")
    expect(page.get_by_test_id("agent")).to_have_count(2)
    chip(page, "Needs you 3").click()
    expect(page).to_have_url(f"{site.url}/?q=a&state=needs-you")
    expect(page.get_by_test_id("agent")).to_have_count(3)
    assert names(page) == ["alice", "bob", "carol"]
    chip(page, "All 5").click()
    expect(page.get_by_test_id("agent")).to_have_count(5)
    assert page.evaluate("window.isSame")  # without another page


def test_counts_without_javascript(site: Site, plain_dashboard: Dashboard) -> None:
    page = plain_dashboard.page
    page.goto(f"{site.url}/?sort=-name")
    chip(page, "Needs you 3").click()
    expect(page).to_have_url(f"{site.url}/?state=needs-you&sort=-name#agents")
    assert names(page) == ["carol", "bob", "alice"]
    expect(page.get_by_test_id("views")).to_be_hidden()  # they need JavaScript


def test_a_view_is_saved_shown_and_removed(site: Site, dashboard: Dashboard) -> None:
    page = dashboard.page
    expect(page.get_by_text("Save view…")).to_be_hidden()  # everything is no view
    chip(page, "Needs you 3").click()
    head = page.get_by_role("columnheader", name="Agent")
    for way in ("ascending", "descending"):
        head.get_by_role("link").click()
        expect(head).to_have_attribute("aria-sort", way)
    expect(page).to_have_url(f"{site.url}/?state=needs-you&sort=-name")
    folded = page.get_by_text("Save view…")
    folded.click()
    expect(page.get_by_label("Name of this filter and order")).to_be_focused()
    page.keyboard.press("Escape")  # another day
    expect(page.get_by_label("Name of this filter and order")).to_be_hidden()
    expect(folded).to_be_focused()
    save(page, "Stuck <b>")
    expect(views(page)).to_have_text(["Stuck <b>"])
    expect(views(page)).to_have_attribute("aria-current", "true")
    expect(page.get_by_text("Save view…")).to_be_hidden()  # it is saved
    chip(page, "All 5").click()
    page.get_by_label("Search", exact=True).fill("car")
    save(page, "carol")
    page.goto(f"{site.url}/")
    dashboard.live()
    expect(views(page)).to_have_text(["Stuck <b>", "carol"])
    views(page).first.click()
    expect(page).to_have_url(f"{site.url}/?state=needs-you&sort=-name")
    expect(page.get_by_test_id("agent")).to_have_count(3)
    assert names(page) == ["carol", "bob", "alice"]
    views(page).last.click()
    expect(page.get_by_label("Search", exact=True)).to_have_value("car")
    expect(page.get_by_test_id("agent")).to_have_count(1)
    page.get_by_role("button", name="Remove the view Stuck <b>").click()
    expect(views(page)).to_have_text(["carol"])
    page.reload()
    expect(views(page)).to_have_text(["carol"])


def test_a_name_is_typed_on_while_the_views_change(
    site: Site, dashboard: Dashboard
) -> None:
    """As when the search of a moment ago takes effect, or another tab saves a view."""
    page = dashboard.page
    chip(page, "Needs you 3").click()
    page.get_by_text("Save view…").click()
    page.get_by_label("Name of this filter and order").fill("mine")
    page.evaluate("document.dispatchEvent(new Event('hive:filter'))")
    expect(page.get_by_label("Name of this filter and order")).to_be_focused()
    page.keyboard.press("Enter")
    expect(views(page)).to_have_text(["mine"])


def test_a_name_is_given_once(site: Site, dashboard: Dashboard) -> None:
    page = dashboard.page
    for state in ("idle", "stopped"):
        page.get_by_label("State", exact=True).select_option(state)
        expect(page).to_have_url(f"{site.url}/?state={state}")
        save(page, "mine")
    expect(views(page)).to_have_count(1)
    expect(views(page)).to_have_attribute("href", "/?state=stopped#agents")


def test_whatever_the_browser_kept_is_only_text(
    site: Site, logged_in: Dashboard
) -> None:
    page = logged_in.page
    page.goto(f"{site.url}/offline")
    good = {"name": "<img src=x onerror=alert(1)>", "query": "?state=idle&evil=1"}
    kept: list[Any] = [
        good,
        {"name": "a", "query": "javascript:alert(1)"},
        {"name": "", "query": "?q=a"},
        {"name": 7, "query": None},
        None,
    ]
    for stored, count in ((json.dumps(kept), 1), ("{}", 0), ("not JSON", 0)):
        page.evaluate("text => localStorage.setItem('hive-views', text)", stored)
        logged_in.overview().live()
        expect(views(page)).to_have_count(count)
        if count:
            expect(views(page)).to_have_text([good["name"]])
            expect(views(page)).to_have_attribute("href", "/?state=idle#agents")
