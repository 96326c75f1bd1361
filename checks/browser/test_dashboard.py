"""The operator's view and clicks, in a real browser with a fake hive."""

from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Page, expect

from checks.browser.conftest import Site
from checks.browser.pages import Dashboard
from checks.kits.net.ports import free_port
from checks.kits.web import data as data
from checks.kits.web import hive as fake_hive
from checks.kits.web.app import hive_web
from pyglue.api.approvals import ApprovalState
from pyglue.api.common import AgentState
from pyglue.api.operations import OperationState
from pyglue.config import WebConfig


def set_state(site: Site, name: str, state: AgentState) -> None:
    site.hive.agents = [
        msgspec.structs.replace(one, state=state) if one.name == name else one
        for one in site.hive.agents
    ]
    site.hive.emit("agent.state", name, state=state.value)


# --- logging in ----------------------------------------------------------------


def test_the_link_logs_in_and_logging_out_ends_it(site: Site, page: Page) -> None:
    Dashboard(page, site.url).log_in(site.link()).live()
    assert "code=" not in page.url
    page.get_by_test_id("logout").click()
    expect(page.get_by_test_id("login")).to_be_visible()
    page.goto(site.url)
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_a_used_link_says_so(site: Site, logged_in: Dashboard) -> None:
    logged_in.page.goto(f"{site.url}/login?code=used")
    alert = logged_in.page.get_by_role("alert")
    expect(alert).to_contain_text("expired or was already used")


def test_a_browser_can_be_trusted_for_days(tmp_path: Path, page: Page) -> None:
    port = free_port()
    web = WebConfig(port=port, trusted_days=7)
    with (
        fake_hive.running(tmp_path / "operator.sock", port=port) as hive,
        hive_web(tmp_path, port, web),
    ):
        page.goto(hive.link())
        box = page.get_by_role("checkbox", name="Trust this browser for 7 days")
        expect(box).not_to_be_checked()
        expect(page.get_by_role("button", name="Log in")).to_be_focused()
        box.check()
        page.keyboard.press("Enter")  # from the box: it is a form
        expect(page.get_by_test_id("agents")).to_be_visible()
        (asked,) = hive.called("login")
        assert asked.trusted


# --- live ----------------------------------------------------------------------


def test_an_agent_s_state_changes_before_one_s_eyes(
    site: Site, dashboard: Dashboard
) -> None:
    expect(dashboard.agent_state("alice")).to_have_text("idle")
    set_state(site, "alice", AgentState.THINKING)
    expect(dashboard.agent_state("alice")).to_have_text("thinking")


def test_what_is_being_typed_survives_an_update(
    site: Site, dashboard: Dashboard
) -> None:
    page = dashboard.page
    site.hive.questions = [data.question(4, multi=True, asked_at=data.NOW - 300)]
    site.hive.emit("question.asked", "carol")
    question = dashboard.section("needs").get_by_test_id("question")
    question.get_by_label("Use the old compiler").check()
    answer = question.get_by_label("Or in your own words")
    answer.press_sequentially("until Fri")
    site.hive.questions.append(data.question(5, asker="alice", options=()))
    site.hive.emit("question.asked", "alice")
    expect(dashboard.section("needs").get_by_test_id("question")).to_have_count(2)
    first = question.first
    expect(first.get_by_label("Use the old compiler")).to_be_checked()
    page.keyboard.type("day")
    expect(first.get_by_label("Or in your own words")).to_have_value("until Friday")


def test_a_lost_connection_is_said_and_resumes(
    site: Site, dashboard: Dashboard
) -> None:
    link = dashboard.page.get_by_test_id("link")
    site.hive.stop()
    expect(link).to_contain_text("The hive is not answering")
    site.hive.start()
    expect(link).to_have_text("live")
    set_state(site, "carol", AgentState.IDLE)
    expect(dashboard.agent_state("carol")).to_have_text("idle")


def test_a_turn_is_seen_live_as_text(site: Site, logged_in: Dashboard) -> None:
    logged_in.open_agent("alice").live()
    turn = logged_in.page.get_by_test_id("turn")
    nasty = "<img src=x onerror=alert(1)> \u202e\x1b[31m"
    for name, kind, said in (
        ("bob", "text", {"text": "not for this page"}),
        ("alice", "tool_use", {"name": "Bash", "input": {"command": "git log"}}),
        ("alice", "text", {"text": nasty}),
    ):
        site.hive.emit("turn.event", name, turn=1, kind=kind, data=said)
    expect(turn.locator(".fold > summary")).to_have_text("Bash git log")
    expect(turn).to_contain_text(
        "<img src=x onerror=alert(1)> \u2039U+202E\u203a\u241b[31m"
    )
    expect(turn).not_to_contain_text("not for this page")
    expect(turn.locator("img")).to_have_count(0)


@pytest.mark.own_tab
def test_where_websockets_fail_events_come_as_sse(site: Site, page: Page) -> None:
    page.add_init_script(
        "window.WebSocket = class { constructor() { "
        "setTimeout(() => this.onclose(), 0); } };"
    )
    dashboard = Dashboard(page, site.url).log_in(site.link()).live()
    set_state(site, "alice", AgentState.THINKING)
    expect(dashboard.agent_state("alice")).to_have_text("thinking")


# --- judging -------------------------------------------------------------------


def test_the_policy_is_read_before_the_files(logged_in: Dashboard) -> None:
    approval = logged_in.approval(7)
    expect(approval.widening).to_have_count(3)
    for at, danger in enumerate(("critical", "high", "medium")):
        expect(approval.widening.nth(at).locator(".tag")).to_have_text(danger)
    expect(approval.page.get_by_test_id("policy-widens")).to_contain_text(
        "More permissions"
    )
    expect(approval.file("agent.nix")).to_contain_text('model = "sonnet";')
    assert approval.page.evaluate(
        """() => {
          const [policy, files] = ["policy", "files"].map(
            (id) => document.querySelector(`[data-testid=${id}]`));
          return policy.getBoundingClientRect().bottom
            <= files.getBoundingClientRect().top;
        }"""
    )


def test_the_diff_is_drawn_both_ways_against_every_base(logged_in: Dashboard) -> None:
    approval = logged_in.approval(7)
    expect(approval.file("notes/history.md")).to_be_visible()
    approval.view("split")
    expect(approval.file("agent.nix").locator("table.split")).to_be_visible()
    approval.base("previous")
    expect(approval.file("notes/history.md")).to_have_count(0)
    expect(approval.file("agent.nix").locator("table.split")).to_be_visible()
    approval.view("unified")
    expect(approval.file("agent.nix").locator("table.split")).to_have_count(0)


def test_approving_shows_the_progress_live(site: Site, logged_in: Dashboard) -> None:
    approval = logged_in.approval(7)
    logged_in.live()
    approval.page.get_by_test_id("approve").click()  # refused by the browser itself
    assert not site.hive.called("approve")
    approval.approve()
    approval.expect_state("building")
    expect(logged_in.flash()).to_contain_text("Approved")
    (params,) = site.hive.called("approve")
    assert params.commit == site.hive.approvals[7].approval.commit
    logged_in.live()
    site.hive.operations[12] = msgspec.structs.replace(
        site.hive.operations[12], state=OperationState.DONE
    )
    site.hive.set_approval(7, state=ApprovalState.DEPLOYED)
    site.hive.emit("approval.changed", "alice", id=7)
    approval.expect_state("deployed")
    expect(approval.page.get_by_test_id("approve")).to_have_count(0)


def test_denying(site: Site, logged_in: Dashboard) -> None:
    approval = logged_in.approval(7)
    approval.deny("Ask for less.")
    approval.expect_state("denied")
    assert [one.reason for one in site.hive.called("deny")] == ["Ask for less."]


def test_a_stale_page_cannot_approve(site: Site, logged_in: Dashboard) -> None:
    approval = logged_in.approval(7)
    site.hive.set_approval(7, commit="0" * 40)
    approval.approve()
    expect(approval.page.get_by_role("alert")).to_contain_text("Read it again")
    approval.page.get_by_role("link", name="View the current state").click()
    approval.expect_state("pending")


# --- without JavaScript ------------------------------------------------------------


def test_approving_works_without_javascript(
    site: Site, plain_dashboard: Dashboard
) -> None:
    plain_dashboard.overview()
    expect(plain_dashboard.waiting()).to_have_count(1)
    plain_dashboard.waiting().get_by_role("link", name="Review").click()
    approval = plain_dashboard.approval(7, "?view=split")
    expect(approval.file("agent.nix").locator("table.split")).to_be_visible()
    approval.approve()
    approval.expect_state("building")
    assert len(site.hive.called("approve")) == 1


def test_the_overview_works_without_javascript(
    site: Site, plain_dashboard: Dashboard
) -> None:
    plain_dashboard.log_in(site.link(), scripts=False)
    plain_dashboard.send("alice", "Hello without scripts")
    expect(plain_dashboard.section("messages")).to_contain_text("without scripts")
    mail = plain_dashboard.section("inbox").get_by_test_id("inbox-message").first
    mail.get_by_role("button", name="Mark read").click()
    expect(plain_dashboard.flash()).to_contain_text("marked as read")
    plain_dashboard.agent("dave").get_by_role("button", name="Start").click()
    assert [one.agent for one in site.hive.called("start")] == ["dave"]


# --- looks -------------------------------------------------------------------------

PATHS = ("/", "/approvals", "/approvals/7", "/agents/alice", "/approvals/99")


def test_no_page_is_wider_than_its_window(site: Site, logged_in: Dashboard) -> None:
    long = "w" * 5000
    site.hive.agents[1] = msgspec.structs.replace(
        site.hive.agents[1], description=long, problem=long
    )
    site.hive.set_approval(7, description=long, widens=(long,))
    site.hive.messages[0] = data.message(40, body=long)
    page = logged_in.page
    too_wide = []
    for path in PATHS:
        page.goto(site.url + path)
        for width in (320, 390, 768, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            wide = page.evaluate("document.documentElement.scrollWidth")
            if wide > width:
                too_wide.append((path, width, wide))
    assert not too_wide


def test_everything_has_a_name_and_text_has_contrast(
    site: Site, logged_in: Dashboard
) -> None:
    site.hive.warnings = ("Agents are not isolated.",)
    page = logged_in.page
    for path in PATHS:
        page.goto(site.url + path)
        assert page.evaluate(NAMELESS) == [], path
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
        assert len(ids) == len(set(ids)), path
        expect(page.get_by_role("main")).to_have_count(1)
        expect(page.get_by_role("heading", level=1)).to_have_count(1)
        page.emulate_media(color_scheme="light")
        assert page.evaluate(CONTRAST) == [], path
        page.emulate_media(color_scheme="dark")
        assert page.evaluate(CONTRAST) == [], path


NAMELESS = """() =>
  [...document.querySelectorAll("a, button, input, textarea, select")]
    .filter((one) => one.type !== "hidden")
    .filter((one) => !(one.labels?.length || one.textContent.trim()
      || one.getAttribute("aria-label")))
    .map((one) => one.outerHTML)"""


# WCAG 2 contrast of every element with text of its own against what lies behind it.
CONTRAST = """() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const linear = (v) => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) =>
    .2126 * linear(r) + .7152 * linear(g) + .0722 * linear(b);
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const colour = rgb(getComputedStyle(one).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const bad = [];
  for (const one of document.querySelectorAll("body *")) {
    const own = [...one.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !one.checkVisibility()) continue;
    const pair = [light(rgb(getComputedStyle(one).color)), light(behind(one))];
    const ratio = (Math.max(...pair) + .05) / (Math.min(...pair) + .05);
    if (ratio < 4.5) bad.push([ratio.toFixed(2), one.className, one.textContent]);
  }
  return bad;
}"""
