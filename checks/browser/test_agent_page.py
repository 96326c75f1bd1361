"""An agent's page on a real hive: turns and their history, commands, charts."""

import pytest
from playwright.sync_api import Page, expect

from checks.browser.conftest import Hosted

pytestmark = pytest.mark.needs("nix", "git", "bwrap", "chromium")

AGENT = "alice"


@pytest.fixture
def at(hosted: Hosted, page: Page) -> Page:
    hosted.run(hosted.hive.idle(AGENT))
    hosted.visitor(page).open_agent(AGENT).live()
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


def test_another_model_is_chosen_from_a_list(hosted: Hosted, at: Page) -> None:
    model = at.get_by_test_id("model")
    chosen = model.get_by_label(f"Model of {AGENT} from its next turn on")
    chosen.select_option("sonnet")
    model.get_by_role("button", name="Use").click()
    expect(at.get_by_test_id("flash")).to_contain_text("sonnet")
    expect(model.get_by_text("switched")).to_be_visible()
    expect(chosen).to_have_value("sonnet")
    view = hosted.run(hosted.hive.agent(AGENT))
    assert view.model_status is not None
    assert view.model_status.override == "sonnet"
    chosen.select_option("default")
    model.get_by_role("button", name="Use").click()
    expect(model.get_by_text("switched")).to_be_hidden()
    expect(chosen).to_have_value("default")


def test_logs_metrics_and_agent_nix_are_tabs(hosted: Hosted, at: Page) -> None:
    tabs = at.get_by_test_id("tabs")
    log, nix = at.get_by_test_id("log"), at.get_by_test_id("agent-nix")
    expect(log).to_be_visible()
    expect(nix).to_be_hidden()
    tabs.get_by_role("tab", name="Metrics").click()
    expect(at.get_by_test_id("metrics")).to_be_visible()
    expect(log).to_be_hidden()
    at.keyboard.press("ArrowRight")
    expect(tabs.get_by_role("tab", name="agent.nix")).to_be_focused()
    expect(nix.locator("table.source")).to_be_visible()  # it is opened, too
    expect(at).to_have_url(f"{hosted.hive.url}/agents/{AGENT}#nix")
    ends = at.get_by_test_id("turn").locator(".turn-end")
    before = ends.count()
    hosted.run(hosted.hive.send(AGENT, "Hello"))
    expect(ends).to_have_count(before + 1)
    expect(nix).to_be_visible()
    at.reload()
    expect(nix.locator("table.source")).to_be_visible()
    at.goto(f"{hosted.hive.url}/agents/{AGENT}#h-log")  # as the table of agents links
    expect(log.get_by_test_id("logs-pane")).to_be_visible()
    expect(nix).to_be_hidden()


def test_tabs_are_links_without_scripts(hosted: Hosted, plain_page: Page) -> None:
    hosted.visitor(plain_page).open_agent(AGENT)
    for name, part in (("Logs", "log"), ("Metrics", "metrics"), ("agent.nix", "nix")):
        plain_page.get_by_test_id("tabs").get_by_role("link", name=name).click()
        expect(plain_page).to_have_url(f"{hosted.hive.url}/agents/{AGENT}#{part}")
        expect(plain_page.locator(f"#{part}")).to_be_in_viewport()


def test_a_queued_message_is_removed_where_it_was_written(
    hosted: Hosted, at: Page
) -> None:
    _obey(at, "/pause")
    _answer(at, "is paused")
    field = at.get_by_label(f"Message or command for {AGENT}")
    field.fill("never mind")
    field.press("Control+Enter")
    said = at.get_by_test_id("said").filter(has_text="never mind")
    said.get_by_role("button", name="Remove from queue").click()
    expect(said).to_contain_text("Dropped")
    expect(at.get_by_test_id("queue")).to_contain_text("No messages are queued")
    _obey(at, "/resume")
    _answer(at, "resumed")


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
    hosted.visitor(plain_page).open_agent(AGENT)
    _obey(plain_page, "/help")
    plain_page.get_by_test_id("command").get_by_role("button", name="Send").click()
    expect(plain_page.get_by_test_id("flash")).to_contain_text("/compact")


def test_charts_show_every_figure_in_every_range(hosted: Hosted, at: Page) -> None:
    at.get_by_role("tab", name="Metrics").click()
    charts = at.get_by_test_id("charts")
    for name in ("1h", "6h", "24h", "7d", "30d"):
        at.get_by_role("button", name=name, exact=True).click()
        expect(charts).to_have_attribute("data-loaded", name)
        expect(charts.get_by_test_id("chart")).to_have_count(15)
    expect(charts.locator(".u-legend").first).to_be_visible()
    at.goto(f"{hosted.hive.url}/charts")
    expect(charts.get_by_test_id("chart")).to_have_count(6)
    expect(charts.get_by_text("Cost by agent")).to_be_visible()
