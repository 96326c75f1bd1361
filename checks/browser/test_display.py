"""Display settings of the dashboard: colours and time zone."""

import re
import time

from playwright.sync_api import Browser, Page, expect

from checks.browser.conftest import Site
from checks.browser.pages import Dashboard
from checks.kits.web import data as data

LIGHT, DARK = "rgb(246, 246, 243)", "rgb(19, 20, 23)"
BACKGROUND = "getComputedStyle(document.body).backgroundColor"


def choose(page: Page, name: str) -> None:
    """Choose in the panel, and return when the server keeps it."""
    page.get_by_test_id("about").locator("summary").click()
    with page.expect_response(lambda it: it.url.endswith("/display")) as kept:
        page.get_by_test_id("display").get_by_label(name).check()
    assert kept.value.ok
    page.get_by_test_id("about").locator("summary").click()


def test_a_theme_holds_on_the_next_page_whatever_the_system_says(
    site: Site, logged_in: Dashboard
) -> None:
    page = logged_in.page
    page.emulate_media(color_scheme="light")
    page.goto(site.url + "/")
    logged_in.live()
    assert page.evaluate(BACKGROUND) == LIGHT
    choose(page, "Dark")
    assert page.evaluate(BACKGROUND) == DARK
    page.goto(site.url + "/approvals")
    assert page.evaluate(BACKGROUND) == DARK
    logged_in.live()
    choose(page, "System")
    assert page.evaluate(BACKGROUND) == LIGHT
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(BACKGROUND) == DARK
    choose(page, "Light")
    assert page.evaluate(BACKGROUND) == LIGHT


def test_times_in_the_zone_of_the_browser(
    site: Site, logged_in: Dashboard, browser: Browser
) -> None:
    state = logged_in.page.context.storage_state()
    context = browser.new_context(timezone_id="Asia/Kolkata", storage_state=state)
    try:
        page = context.new_page()
        page.goto(site.url + "/approvals/7")
        Dashboard(page, site.url).live()
        proposed = page.locator("time.clock").first
        utc = proposed.inner_text()
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", utc)
        choose(page, "Time zone of this browser")
        expect(proposed).to_have_text(re.compile(r"GMT\+5:30$"))
        minutes = (int(proposed.inner_text()[14:16]) - int(utc[14:16])) % 60
        assert minutes == 30
        page.reload()
        expect(proposed).to_have_text(re.compile(r"GMT\+5:30$"))
        now = time.time()  # a forecast must be of this day (UTC)
        left = (now // 86400 + 1) * 86400 - now
        rate = {"cost_limit_usd": 1.0, "cost_hour_usd": 2 * 0.58 / (left / 3600)}
        site.hive.agents = [data.agent("alice", **rate)]
        page.goto(site.url + "/agents/alice")
        forecast = page.get_by_test_id("forecast")
        said = re.compile(r"^reaches its limit at \d\d:\d\d GMT\+5:30 at this rate$")
        expect(forecast).to_have_text(said)
        page.goto(site.url + "/approvals/7")
        title = page.locator("time:not(.clock)").first
        expect(title).to_have_attribute("title", re.compile(r"GMT\+5:30$"))
    finally:
        context.close()


def test_without_scripts_it_is_a_form(
    site: Site, logged_in: Dashboard, browser: Browser
) -> None:
    state = logged_in.page.context.storage_state()
    context = browser.new_context(
        java_script_enabled=False, storage_state=state, color_scheme="light"
    )
    try:
        page = context.new_page()
        page.goto(site.url + "/approvals")
        page.get_by_test_id("about").locator("summary").click()
        form = page.get_by_test_id("display")
        form.get_by_label("Dark").check()
        form.get_by_role("button", name="Save").click()
        expect(page).to_have_url(site.url + "/approvals")
        expect(page.get_by_test_id("flash")).to_contain_text(
            "Display settings saved in this browser"
        )
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    finally:
        context.close()
