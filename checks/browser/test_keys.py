"""Keyboard shortcuts: they navigate, and decide nothing."""

from playwright.sync_api import expect

from checks.browser.conftest import Site
from checks.browser.pages import Dashboard


def test_j_and_k_walk_through_what_waits(dashboard: Dashboard) -> None:
    page = dashboard.page
    page.keyboard.press("j")
    first = dashboard.section("needs").locator("[data-item]").first
    expect(first.locator(":focus")).to_have_count(1)
    page.keyboard.press("j")
    expect(first.locator(":focus")).to_have_count(0)
    page.keyboard.press("k")
    expect(first.locator(":focus")).to_have_count(1)


def test_a_opens_the_approval_and_then_goes_to_its_button(
    site: Site, dashboard: Dashboard
) -> None:
    page = dashboard.page
    page.keyboard.press("a")
    page.wait_for_url(f"{site.url}/approvals/7")
    dashboard.live()
    page.keyboard.press("a")
    expect(page.get_by_test_id("approve")).to_be_focused()
    page.keyboard.press("d")
    expect(page.get_by_label("Reason (sent to the manager)")).to_be_focused()
    page.keyboard.type("ad?")  # typed, not obeyed
    expect(page.get_by_label("Reason (sent to the manager)")).to_have_value("ad?")
    assert site.hive.called("approve") == site.hive.called("deny") == []


def test_keys_work_after_a_tick(site: Site, logged_in: Dashboard) -> None:
    page = logged_in.approval(7).page
    logged_in.live()
    page.get_by_test_id("accept").check()
    expect(page.get_by_test_id("accept")).to_be_focused()
    page.keyboard.press("d")
    expect(page.get_by_label("Reason (sent to the manager)")).to_be_focused()
    page.goto(f"{site.url}/messages")
    logged_in.live()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("drawer").get_by_test_id("thread")).to_be_visible()


def test_the_question_mark_lists_the_keys(dashboard: Dashboard) -> None:
    page = dashboard.page
    page.keyboard.press("?")
    expect(page.get_by_test_id("keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("keys")).to_be_hidden()


def test_d_leads_from_the_overview_to_the_reason(
    site: Site, dashboard: Dashboard
) -> None:
    page = dashboard.page
    page.keyboard.press("d")
    page.wait_for_url(f"{site.url}/approvals/7#reason")
    expect(page.get_by_label("Reason (sent to the manager)")).to_be_focused()
    assert site.hive.called("deny") == []


def test_the_slash_searches_on_every_list(site: Site, logged_in: Dashboard) -> None:
    page = logged_in.page
    for path, field in (
        ("/", "Search"),
        ("/approvals", "Agent"),
        ("/messages", "Text"),
    ):
        page.goto(site.url + path)
        logged_in.live()
        page.keyboard.press("/")
        expect(page.get_by_label(field, exact=True)).to_be_focused()
