"""The live activity of each agent, and the density of rows."""

from typing import Any

import msgspec
import pytest
from playwright.sync_api import Locator, expect

from checks.browser.conftest import Site
from checks.browser.kit import WIDTHS
from checks.browser.pages import Dashboard
from checks.kits.web import data as data
from checks.kits.web.hostile import NASTY
from pyglue.api.common import AgentState
from pyglue.api.overview import Step

COMPACT_PX = 40


def doing(dashboard: Dashboard, name: str) -> Locator:
    return dashboard.agent(name).get_by_test_id("doing")


def begin(site: Site, name: str, call: str, tool: str, **given: Any) -> None:
    said = {"id": call, "name": tool, "input": given}
    site.hive.emit("turn.event", name, turn=1, kind="tool_use", data=said)


def end(site: Site, name: str, call: str) -> None:
    said = {"id": call, "text": "done", "is_error": False}
    site.hive.emit("turn.event", name, turn=1, kind="tool_result", data=said)


def put(site: Site, name: str, **fields: Any) -> None:
    site.hive.agents = [
        msgspec.structs.replace(one, **fields) if one.name == name else one
        for one in site.hive.agents
    ]


@pytest.mark.own_tab
@pytest.mark.parametrize("width", WIDTHS)
def test_steps_are_seen_live_and_without_reading_anything(
    site: Site, dashboard: Dashboard, width: int
) -> None:
    page = dashboard.page
    page.set_viewport_size({"width": width, "height": 900})
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url))
    expect(doing(dashboard, "manager")).to_have_text("thinks")
    begin(site, "manager", "1", "Bash", command="git push")
    shown = doing(dashboard, "manager")
    expect(shown).to_contain_text("runs git push")
    expect(shown.locator("code")).to_have_text("git push")
    expect(shown.locator("time.lasting")).to_be_visible()
    begin(site, "manager", "2", "mcp__hive__ask", to="bob", question="?")
    end(site, "manager", "1")
    expect(shown).to_contain_text("asks bob")
    end(site, "manager", "2")
    expect(shown).to_have_text("thinks")
    assert asked == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_step_that_runs_already_is_shown_and_ends(
    site: Site, logged_in: Dashboard
) -> None:
    step = Step(text="Bash: npm test", since_at=data.NOW - 12, doing="runs `npm test`")
    put(site, "manager", step=msgspec.structs.replace(step, call="7"))
    logged_in.overview().live()
    shown = doing(logged_in, "manager")
    expect(shown).to_contain_text("runs npm test")
    expect(shown).to_contain_text("for ")
    begin(site, "manager", "8", "Read", file_path="/state/a")
    end(site, "manager", "7")
    expect(shown).to_contain_text("reads /state/a")
    # a reading of the table that is older than what was heard changes nothing
    site.hive.emit("agent.changed", "manager", what="step")
    put(site, "alice", description="read anew")
    site.hive.emit("agent.changed", "alice", what="deployed")
    expect(logged_in.agent("alice")).to_contain_text("read anew")
    expect(shown).to_contain_text("reads /state/a")
    put(site, "manager", step=None, state=AgentState.IDLE)
    site.hive.emit("turn.ended", "manager", turn=1, outcome="ok")
    expect(shown).to_be_empty()


def test_who_waits_for_an_answer_is_said(site: Site, dashboard: Dashboard) -> None:
    asked = data.question(5, asker="alice", to="bob", options=())
    site.hive.questions = [asked]
    site.hive.emit("agent.state", "alice", state="idle")
    expect(doing(dashboard, "alice")).to_contain_text("waits for bob's answer")
    site.hive.questions = [msgspec.structs.replace(asked, to="operator")]
    site.hive.emit("agent.state", "alice", state="idle")
    expect(doing(dashboard, "alice")).to_contain_text("waits for your answer")


def test_a_step_is_only_ever_text(site: Site, dashboard: Dashboard) -> None:
    shown = doing(dashboard, "manager")
    begin(site, "manager", NASTY, NASTY, command=NASTY)
    expect(shown).to_contain_text("<script>alert(1)</script>")
    site.hive.emit("agent.state", "alice", state="idle")
    begin(site, "manager", "2", "Bash", command="<img src=x onerror=alert(1)>\u202e")
    end(site, "manager", NASTY)
    expect(shown).to_contain_text("<img src=x onerror=alert(1)>\\u202e")
    assert shown.locator("script, img, nasty, svg").count() == 0
    step = Step(text=NASTY, since_at=data.NOW, doing=NASTY, call=NASTY)
    put(site, "manager", step=step)
    dashboard.overview().live()
    expect(shown).to_contain_text("<script>alert(1)</script>")
    assert shown.locator("script, img, nasty, svg").count() == 0
    dashboard.page.set_viewport_size({"width": 390, "height": 844})
    assert dashboard.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_rows_are_compact_and_this_browser_remembers_another_choice(
    site: Site, logged_in: Dashboard
) -> None:
    dashboard, page = logged_in, logged_in.page
    site.hive.agents = [data.agent(f"a{number}") for number in range(60)]
    page.set_viewport_size({"width": 1440, "height": 900})
    dashboard.overview().live()
    button = page.get_by_test_id("density")
    expect(button).to_have_attribute("aria-pressed", "true")
    assert _height(dashboard, "a1") <= COMPACT_PX
    button.click()
    assert _height(dashboard, "a1") > COMPACT_PX
    page.reload()
    dashboard.live()
    expect(button).to_have_attribute("aria-pressed", "false")
    assert _height(dashboard, "a1") > COMPACT_PX
    button.click()
    site.hive.emit("agent.state", "a1", state="idle")
    begin(site, "a50", "1", "Bash", command="x" * 70)
    expect(doing(dashboard, "a50")).to_contain_text("runs xxx")
    assert _height(dashboard, "a50") <= COMPACT_PX  # long words take no more room
    page.get_by_label("Search", exact=True).fill("a50")
    expect(dashboard.section("agents").get_by_test_id("agent")).to_have_count(1)
    expect(doing(dashboard, "a50")).to_contain_text("runs xxx")
    button.click()
    expect(dashboard.agent("a50").locator(".desc").first).to_be_visible()


def _height(dashboard: Dashboard, name: str) -> float:
    """Measure the row at once: another reading of the table may replace it."""
    height: float = dashboard.page.evaluate(
        "(name) => document.querySelector(`tr[data-agent=${name}]`)"
        ".getBoundingClientRect().height",
        name,
    )
    return height


def test_the_activity_is_there_without_javascript(
    site: Site, plain_dashboard: Dashboard
) -> None:
    put(site, "manager", step=Step(text="Bash: ls", since_at=1, doing="runs `ls`"))
    plain_dashboard.overview()
    expect(doing(plain_dashboard, "manager")).to_contain_text("runs ls")
    expect(plain_dashboard.page.get_by_test_id("density")).to_be_hidden()
