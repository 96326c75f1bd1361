"""An agent's page on a real hive: turns and their history, commands, charts."""

import pytest
from playwright.sync_api import Page, expect

from checks.browser.conftest import Hosted
from checks.browser.pages import Dashboard

pytestmark = pytest.mark.needs("nix", "git", "bwrap", "chromium")

AGENT = "alice"


@pytest.fixture
def at(hosted: Hosted, page: Page) -> Page:
    dashboard = Dashboard(page, hosted.hive.url).log_in(hosted.link()).live()
    expect(dashboard.agent_state(AGENT)).to_contain_text("idle")
    dashboard.open_agent(AGENT).live()
    return page


def _obey(page: Page, line: str) -> None:
    field = page.get_by_label(f"Message or command for {AGENT}")
    field.fill(line)
    field.press("Enter")


def _answer(page: Page, text: str) -> None:
    expect(page.get_by_test_id("command-answer")).to_contain_text(text)


def test_a_turn_is_seen_live_and_again_after_a_reload(hosted: Hosted, at: Page) -> None:
    turn = at.get_by_test_id("turn")
    before = turn.locator(".turn-end").count()
    hosted.run(hosted.hive.send(AGENT, "What do you do?"))
    expect(turn.locator(".turn-end")).to_have_count(before + 1)
    expect(turn.locator(".turn-end").last).to_contain_text("ok")
    expect(turn.get_by_text("What do you do?")).to_be_visible()
    shown = turn.locator("li").count()
    at.reload()
    expect(turn.locator("li")).to_have_count(shown)


def test_the_command_line_switches_the_model_and_back(hosted: Hosted, at: Page) -> None:
    _obey(at, "/model sonnet")
    _answer(at, "sonnet")
    expect(at.get_by_text("switched")).to_be_visible()
    _obey(at, "/model gpt")
    _answer(at, "gpt")
    expect(at.get_by_test_id("command-answer")).to_have_attribute(
        "data-state", "refused"
    )
    _obey(at, "/model default")
    _answer(at, "Active")
    view = hosted.run(hosted.hive.agent(AGENT))
    assert view.model_status is not None
    assert view.model_status.override is None


def test_pause_and_resume_by_command_and_by_button(hosted: Hosted, at: Page) -> None:
    _obey(at, "/pause while I look")
    _answer(at, "is paused: no new turns")
    resume = at.get_by_role("button", name="Resume")
    expect(resume).to_be_visible()
    assert hosted.run(hosted.hive.agent(AGENT)).paused
    resume.click()
    expect(at.get_by_test_id("flash")).to_contain_text("resumed")
    expect(at.get_by_role("button", name="Pause")).to_be_visible()


def test_help_and_what_is_no_command(at: Page) -> None:
    _obey(at, "/help")
    _answer(at, "/compact")
    _obey(at, "/hello there")
    _answer(at, "/help to list commands")
    field = at.get_by_label(f"Message or command for {AGENT}")
    field.fill("")
    field.press("ArrowUp")
    expect(field).to_have_value("/hello there")


def test_the_command_line_works_without_scripts(
    hosted: Hosted, plain_page: Page
) -> None:
    dashboard = Dashboard(plain_page, hosted.hive.url)
    dashboard.log_in(hosted.link(), scripts=False).open_agent(AGENT)
    _obey(plain_page, "/help")
    plain_page.get_by_test_id("command").get_by_role("button", name="Send").click()
    expect(plain_page.get_by_test_id("flash")).to_contain_text("/compact")


def test_charts_show_every_figure_in_every_range(hosted: Hosted, at: Page) -> None:
    charts = at.get_by_test_id("charts")
    for name in ("1h", "6h", "24h", "7d", "30d"):
        at.get_by_role("button", name=name, exact=True).click()
        expect(charts).to_have_attribute("data-loaded", name)
        expect(charts.get_by_test_id("chart")).to_have_count(15)
    expect(charts.locator(".u-legend").first).to_be_visible()
    at.goto(f"{hosted.hive.url}/charts")
    expect(charts.get_by_test_id("chart")).to_have_count(6)
    expect(charts.get_by_text("Cost by agent")).to_be_visible()
