"""The log under each agent: opened, followed, kept open over updates of the page."""

import pytest
from playwright.sync_api import Locator, Page, expect

from checks.browser.conftest import Hosted
from checks.browser.pages import Dashboard
from pyglue.api.manager import RESTART, AgentParams

pytestmark = pytest.mark.needs("nix", "git", "bwrap", "chromium")

AGENT = "alice"


@pytest.fixture
def dashboard(hosted: Hosted, page: Page) -> Dashboard:
    return hosted.visitor(page).overview().live()


def _box(page: Page) -> Locator:
    return page.locator(f"#logs-{AGENT}")


def _open(dashboard: Dashboard) -> None:
    """Open the log in its place, which a dense row shows only then."""
    dashboard.agent(AGENT).get_by_role("link", name=f"Logs of {AGENT}").click()


def test_it_is_read_when_opened_and_stays_at_its_end(dashboard: Dashboard) -> None:
    box = _box(dashboard.page)
    pane = box.get_by_test_id("logs-pane")
    expect(pane).to_have_count(0)  # it is made when it is opened
    _open(dashboard)
    expect(pane).to_contain_text("INFO")
    at_end = "(pane) => pane.scrollHeight - pane.scrollTop - pane.clientHeight < 2"
    assert pane.evaluate(at_end)
    assert pane.evaluate("(pane) => pane.getBoundingClientRect().height") > 200


def test_it_follows_and_survives_the_page_s_updates(
    hosted: Hosted, dashboard: Dashboard
) -> None:
    box = _box(dashboard.page)
    _open(dashboard)
    pane = box.get_by_test_id("logs-pane")
    expect(box.locator("[data-logs-state]")).to_have_text("following")
    before = pane.inner_text()
    hosted.run(hosted.hive.operator.call(RESTART, AgentParams(agent=AGENT)))
    hosted.run(hosted.hive.idle(AGENT))
    expect(pane).not_to_have_text(before)
    expect(dashboard.agent_state(AGENT)).to_contain_text("idle")
    assert pane.inner_text().startswith(before)
    expect(box).to_have_attribute("open", "")


def test_there_is_no_choice_of_units_where_there_is_one(dashboard: Dashboard) -> None:
    box = _box(dashboard.page)
    _open(dashboard)
    expect(box.get_by_test_id("logs-pane")).to_contain_text("INFO")
    expect(box.locator("select")).to_have_count(0)


def test_hived_s_own_log_is_there_and_followed(dashboard: Dashboard) -> None:
    page = dashboard.page
    page.get_by_role("link", name="Activity").click()
    page.get_by_role("link", name="Log of hived").click()
    expect(page.get_by_test_id("logs-pane")).to_contain_text("hyperhive")
    expect(page.locator("[data-logs-state]")).to_have_text("following")
