"""The command palette, and the keys that lead to pages."""

import re

from msgspec.structs import replace
from playwright.sync_api import Locator, Page, expect

from checks.browser.conftest import Site
from checks.browser.pages import Dashboard
from pyglue.api.operations import OperationState


def _opened(page: Page) -> Locator:
    page.keyboard.press("Control+k")
    palette = page.get_by_test_id("palette")
    expect(palette).to_be_visible()
    # The last of all that is collected.
    expect(palette.get_by_role("option").first).to_contain_text("Approval")
    return palette


def test_a_few_letters_lead_to_an_agent(site: Site, dashboard: Dashboard) -> None:
    page = dashboard.live().page
    palette = _opened(page)
    page.keyboard.type("car")
    expect(palette.get_by_role("option").first).to_have_text("carol")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.url}/agents/carol")


def test_arrows_choose_and_escape_closes(site: Site, dashboard: Dashboard) -> None:
    page = dashboard.live().page
    palette = _opened(page)
    field = palette.get_by_role("combobox")
    page.keyboard.type("terminal")
    options = palette.get_by_role("option")
    expect(options.nth(0)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowDown")
    expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    expect(field).to_have_attribute("aria-activedescendant", "palette-1")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(options.last).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Escape")
    expect(palette).to_be_hidden()
    assert page.url == f"{site.url}/"


def test_an_agent_is_acted_on_from_any_page(site: Site, logged_in: Dashboard) -> None:
    made = site.hive.operations[11]
    site.hive.operations[13] = replace(made, id=13, state=OperationState.DONE)
    logged_in.page.goto(f"{site.url}/messages")
    page = logged_in.live().page
    for verb, said in (
        *(("restart", "Restarting"), ("stop", "Stopping"), ("start", "Starting")),
        *(("pause", "paused"), ("resume", "resumed")),
    ):
        palette = _opened(page)
        page.keyboard.type(f"{verb} bob")
        first = palette.get_by_role("option").first
        expect(first).to_have_text(f"{verb} bob")
        first.click()
        expect(logged_in.flash()).to_contain_text(said)
        (asked,) = site.hive.called(verb)
        assert asked.agent == "bob"
        assert page.url == f"{site.url}/messages"


def test_approving_is_done_where_the_change_is_read(
    site: Site, dashboard: Dashboard
) -> None:
    page = dashboard.live().page
    palette = _opened(page)
    page.keyboard.type("approve 7")
    expect(palette.get_by_role("option")).to_have_count(1)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.url}/approvals/7")
    assert not site.hive.called("approve")


def test_g_and_a_letter_lead_to_a_page(site: Site, dashboard: Dashboard) -> None:
    """From the overview, and then each time from the page before."""
    page = dashboard.page
    for key, path in (
        *(("a", "/approvals"), ("m", "/messages")),
        *(("v", "/activity"), ("c", "/charts")),
    ):
        dashboard.live()
        page.keyboard.press("g")
        page.keyboard.press(key)
        page.wait_for_url(f"{site.url}{path}")


def test_a_bracket_leads_to_the_next_approval(site: Site, dashboard: Dashboard) -> None:
    page = dashboard.live().page
    page.keyboard.press("]")
    page.wait_for_url(re.compile(r"/approvals/7$"))


def test_letters_that_are_typed_lead_nowhere(site: Site, logged_in: Dashboard) -> None:
    logged_in.page.goto(f"{site.url}/messages")
    page = logged_in.live().page
    page.keyboard.press("/")
    page.keyboard.type("ga]")
    expect(page.locator("#m-text")).to_have_value("ga]")
    assert page.url == f"{site.url}/messages"
