"""Actions without leaving the page: no input is lost, the outcome is shown."""

import re

import msgspec
import pytest
from playwright.sync_api import Page, expect

from checks.browser.conftest import Site
from checks.browser.pages import Dashboard
from checks.kits.web import data as data
from checks.kits.web.decisions import Decisions
from pyglue.api.approvals import ApprovalState
from pyglue.api.operations import OperationState
from pyglue.errors import ErrorCode, HiveError


def test_no_action_loses_what_is_typed_ticked_or_scrolled_to(
    site: Site, logged_in: Dashboard
) -> None:
    dashboard, page = logged_in, logged_in.page
    site.hive.questions = [
        data.question(4),
        data.question(5, asker="alice", multi=True),
    ]
    dashboard.overview().live()
    page.evaluate("window.sameDocument = true")
    text = dashboard.section("send").get_by_label("Message")
    text.fill("A long message,\nnot sent yet")
    second = dashboard.section("needs").get_by_test_id("question").nth(1)
    second.get_by_label("Use the old compiler").check()
    page.get_by_label("Purpose").fill("Watches the tracker")
    alice = dashboard.agent("alice")
    acts = {
        "marked as read": page.get_by_role("button", name="Mark read").first.click,
        "Restarting alice": alice.get_by_role("button", name="Restart").click,
        "Question 4 answered": lambda: _answer_first(dashboard),
    }
    for outcome, act in acts.items():
        act()
        expect(dashboard.flash()).to_contain_text(outcome)
        expect(dashboard.flash()).to_be_in_viewport(ratio=1)
        expect(text).to_have_value("A long message,\nnot sent yet")
        expect(page.get_by_label("Purpose")).to_have_value("Watches the tracker")
    expect(dashboard.section("needs").get_by_test_id("question")).to_have_count(1)
    left = dashboard.section("needs").get_by_test_id("question").first
    expect(left.get_by_label("Use the old compiler")).to_be_checked()
    assert page.evaluate("window.sameDocument")
    assert [one.question for one in site.hive.called("answer")] == [4]


def _answer_first(dashboard: Dashboard) -> None:
    first = dashboard.section("needs").get_by_test_id("question").first
    first.get_by_text("Answer in your own words").click()
    first.get_by_label("Or in your own words").fill("Wait.")
    first.get_by_role("button", name="Answer").click()


def test_what_is_sent_is_gone_and_what_is_not_survives_a_reload(
    site: Site, dashboard: Dashboard
) -> None:
    page = dashboard.page
    dashboard.send("alice", "Hello")
    text = dashboard.section("send").get_by_label("Message")
    expect(text).to_have_value("")
    text.fill("half a thought")
    page.reload()
    expect(text).to_have_value("half a thought")
    page.get_by_test_id("logout").click()
    expect(page.get_by_test_id("login")).to_be_visible()
    Dashboard(page, site.url).log_in(site.link()).live()
    expect(text).to_have_value("")
    assert [one.body for one in site.hive.called("send")] == ["Hello"]


def test_a_text_over_another_suggestion_is_not_brought_back(
    site: Site, logged_in: Dashboard
) -> None:
    page = logged_in.page
    place = f"{site.url}/agents/alice/allow?pattern=npm+"
    text = page.get_by_label("Message to manager")
    page.goto(place + "test")
    logged_in.live()
    text.fill("Please allow npm test, for the tests.")
    page.goto(place + "ci")
    expect(text).to_have_value(re.compile("npm ci"))
    page.goto(place + "test")
    expect(text).to_have_value("Please allow npm test, for the tests.")


@pytest.mark.own_tab
def test_a_result_can_be_closed_and_goes_away(logged_in: Dashboard) -> None:
    dashboard, page = logged_in, logged_in.page
    page.clock.install()
    dashboard.overview().live()
    page.get_by_role("button", name="Mark read").first.click()
    expect(dashboard.flash()).to_contain_text("marked as read")
    page.get_by_role("button", name="Close", exact=True).click()
    expect(page.get_by_test_id("flash")).to_have_count(0)
    dashboard.send("alice", "Hello")
    page.mouse.move(1, 1)
    page.clock.run_for(30_000)
    expect(page.get_by_test_id("flash")).to_have_count(0)


def test_an_outcome_takes_the_place_of_what_was_begun(
    site: Site, logged_in: Dashboard
) -> None:
    approval = logged_in.approval(7)
    logged_in.live()
    approval.approve()
    expect(logged_in.flash()).to_have_attribute("data-state", "running")
    expect(logged_in.flash()).to_contain_text("Deploying… operation 12")
    _end(site, 12, error="build failed: no such package")
    site.hive.set_approval(7, state=ApprovalState.FAILED, reason="build failed")
    site.hive.emit("approval.changed", "alice", approval=7, state="failed")
    approval.expect_state("failed")
    expect(logged_in.flash()).to_have_attribute("data-state", "failed")
    expect(logged_in.flash()).to_contain_text("Deploying: failed. build failed")
    expect(logged_in.page.get_by_role("alert")).to_have_count(1)
    logged_in.page.get_by_role("button", name="Close", exact=True).click()
    expect(logged_in.page.get_by_test_id("flash")).to_have_count(0)


def test_an_operation_that_ended_before_its_number_was_known(
    site: Site, dashboard: Dashboard
) -> None:
    made: Decisions = site.hive
    made.operations[13] = msgspec.structs.replace(
        made.operations[11], id=13, state=OperationState.DONE
    )
    dashboard.agent("alice").get_by_role("button", name="Restart").click()
    expect(dashboard.flash()).to_contain_text("Restarting alice: done.")


def _end(site: Site, number: int, *, error: str) -> None:
    site.hive.operations[number] = msgspec.structs.replace(
        site.hive.operations[number], state=OperationState.FAILED, error=error
    )
    site.hive.emit(
        "operation.changed",
        "alice",
        operation=number,
        kind="deploy",
        state="failed",
        step="fail",
        approval=7,
        error=error,
    )


def test_a_refusal_stands_at_the_field_and_keeps_it(
    site: Site, dashboard: Dashboard
) -> None:
    page = dashboard.page

    async def taken(_params: object) -> None:
        raise HiveError(ErrorCode.NAME_TAKEN, "The name alice is taken. \u202eOther.")

    site.hive.overrides["spawn"] = taken
    form = page.get_by_test_id("spawn")
    form.get_by_label("Name").fill("alice")
    form.get_by_label("Purpose").fill("Watches the tracker")
    form.get_by_role("button", name="Propose").click()
    expect(form.get_by_role("alert")).to_have_text(
        "The name alice is taken. \u2039U+202E\u203aOther. View the current state"
    )
    expect(form.get_by_label("Name")).to_have_value("alice")
    expect(form.get_by_label("Purpose")).to_have_value("Watches the tracker")


def test_answering_nothing_is_said_at_the_question_and_stays(
    site: Site, dashboard: Dashboard
) -> None:
    site.hive.questions = [data.question(4, options=(), asked_at=data.NOW - 300)]
    site.hive.emit("question.asked", "carol")
    question = dashboard.section("needs").get_by_test_id("question").first
    question.get_by_role("button", name="Answer").click()
    expect(question.get_by_role("alert")).to_contain_text("Choose or write an answer")
    site.hive.questions.append(data.question(9, asker="alice"))
    site.hive.emit("question.asked", "alice")  # the section is read anew
    expect(dashboard.section("needs").get_by_test_id("question")).to_have_count(2)
    expect(question.get_by_role("alert")).to_contain_text("Choose or write an answer")
    assert not site.hive.called("answer")


def test_a_proposal_leads_to_its_approval_and_says_so_there(
    site: Site, dashboard: Dashboard
) -> None:
    page = dashboard.page
    dashboard.section("send").get_by_label("Message").fill("not lost")
    form = page.get_by_test_id("spawn")
    form.get_by_label("Name").fill("erin")
    form.get_by_role("button", name="Propose").click()
    page.wait_for_url(f"{site.url}/approvals/8")
    expect(dashboard.flash()).to_contain_text("erin is proposed")
    dashboard.overview()
    expect(dashboard.section("send").get_by_label("Message")).to_have_value("not lost")


def test_a_session_that_ended_keeps_what_is_typed(
    site: Site, dashboard: Dashboard
) -> None:
    page = dashboard.page
    text = dashboard.section("send").get_by_label("Message")
    text.fill("Not for nothing")
    site.hive.sessions.clear()
    dashboard.section("send").get_by_role("button", name="Send").click()
    expect(page.get_by_test_id("link")).to_contain_text("Your session has ended")
    expect(text).to_have_value("Not for nothing")
    assert not site.hive.called("send")


def test_a_selection_and_a_click_outlive_events(
    site: Site, dashboard: Dashboard
) -> None:
    page = dashboard.page
    page.get_by_test_id("density").click()
    _select(page, "[data-agent=alice] .desc")
    chosen = page.evaluate("String(getSelection())")
    assert chosen
    for _ in range(3):
        _news(site, page)
    assert page.evaluate("String(getSelection())") == chosen
    site.hive.agents[1] = msgspec.structs.replace(
        site.hive.agents[1], description="Something else"
    )
    _news(site, page)
    page.evaluate("getSelection().removeAllRanges()")
    expect(dashboard.agent("alice")).to_contain_text("Something else")
    button = dashboard.agent("dave").get_by_role("button", name="Start")
    button.hover()
    page.mouse.down()
    _news(site, page)
    page.mouse.up()
    expect(dashboard.flash()).to_contain_text("Starting dave")


def _select(page: Page, css: str) -> None:
    page.evaluate(
        "(css) => getSelection().selectAllChildren(document.querySelector(css))", css
    )


def _news(site: Site, page: Page) -> None:
    """Send an event, and wait until the section has been read anew."""
    with page.expect_response(re.compile("/fragments/(agents|together)")) as answer:
        site.hive.emit("agent.changed", "alice", what="")
    answer.value.finished()
    page.evaluate("() => new Promise(requestAnimationFrame)")
