"""Stuck agents come first, with their remedy; lists marked live are live."""

import time

import msgspec
from playwright.sync_api import expect

from checks.browser.conftest import Site
from checks.browser.pages import Dashboard
from checks.kits.web import data as data
from pyglue.api.approvals import ApprovalState
from pyglue.api.control import Blocked, BlockReason
from pyglue.api.operations import OperationState


def test_an_agent_in_trouble_is_resumed_from_its_row_its_page_and_the_top(
    site: Site, dashboard: Dashboard
) -> None:
    page = dashboard.page
    blocked = Blocked(
        reason=BlockReason.NEEDS_LOGIN,
        text="The model provider refuses the API key.",
        remedy="Put a valid API key into the relay's key file.",
    )
    site.hive.agents = [
        data.agent(f"a-{number}", state=state, blocked=blocked)
        for number, state in enumerate(data.STUCK)
    ]
    site.hive.agents.append(data.agent("well"))
    site.hive.emit("agent.state", "a-0", state="needs_login", since_at=0, detail=None)
    stuck = page.get_by_test_id("stuck")
    expect(stuck).to_have_count(len(data.STUCK))
    expect(stuck.first).to_contain_text("Put a valid API key")
    # The others have the same buttons: checks/unit/web/pages/test_agents.py
    names = ["a-0", f"a-{len(data.STUCK) - 1}"]
    for name in names:
        stuck.get_by_role("button", name=f"Resume {name}").click()
        expect(dashboard.flash()).to_contain_text(f"{name} resumed.")
        dashboard.agent(name).get_by_role("button", name="Resume").click()
        page.get_by_role("button", name="Close", exact=True).last.click()
    expect(dashboard.agent("well").get_by_role("button", name="Resume")).to_have_count(
        0
    )
    for name in names:
        dashboard.open_agent(name)
        page.get_by_role("button", name="Resume", exact=True).click()
        expect(dashboard.flash()).to_contain_text(f"{name} resumed.")
    asked = [one.agent for one in site.hive.called("resume")]
    assert sorted(asked) == sorted(names * 3)


def test_a_paused_hive_offers_no_pause_and_no_resume_of_an_agent(
    site: Site, logged_in: Dashboard
) -> None:
    held = Blocked(reason=BlockReason.HIVE_PAUSED, text="Paused.", remedy="Resume it.")
    site.hive.agents[1] = msgspec.structs.replace(site.hive.agents[1], blocked=held)
    logged_in.open_agent("alice")
    page = logged_in.page
    expect(page.get_by_role("button", name="Compact")).to_be_visible()
    expect(page.get_by_role("button", name="Pause", exact=True)).to_have_count(0)
    expect(page.get_by_role("button", name="Resume", exact=True)).to_have_count(0)


def test_a_failed_deploy_stays_until_its_agent_has_a_newer_approval(
    site: Site, dashboard: Dashboard
) -> None:
    page, hive = dashboard.page, site.hive
    hive.set_approval(6, agent="bob", state=ApprovalState.FAILED, reason="No jq.")
    hive.emit("approval.changed", "bob", approval=6, state="failed")
    item = page.locator("[data-testid=stuck][data-id='6']")
    expect(item).to_contain_text("No jq.")
    assert item.evaluate(
        "(one) => one.compareDocumentPosition(document.getElementById('agents'))"
        " & Node.DOCUMENT_POSITION_FOLLOWING"
    )
    newer = data.detail(data.summary(8, agent="bob", created_at=time.time()))
    hive.approvals = {8: newer, **hive.approvals}
    hive.emit("approval.created", "bob", approval=8)
    expect(item).to_have_count(0)


def test_a_failed_deploy_is_tried_again(site: Site, dashboard: Dashboard) -> None:
    page, hive = dashboard.page, site.hive
    hive.set_approval(6, agent="bob", state=ApprovalState.FAILED, reason="No jq.")
    hive.operations[11] = msgspec.structs.replace(
        hive.operations[11], state=OperationState.FAILED, step="fail", error="No jq."
    )
    hive.emit("approval.changed", "bob", approval=6, state="failed")
    item = page.locator("[data-testid=stuck][data-id='6']")
    item.get_by_role("link", name="Review").click()
    expect(page.get_by_text("No jq.")).to_have_count(1)
    expect(page.get_by_test_id("operation")).to_have_text("Operation 11: failed")
    expect(page.get_by_test_id("retry")).to_be_visible()
    page.go_back()
    item.get_by_role("button", name="Try again").click()
    expect(dashboard.flash()).to_contain_text("Deploying approval 6 again")
    expect(item).to_have_count(0)
    assert [one.id for one in hive.called("retry")] == [6]


def test_approvals_are_before_what_is_kept(site: Site, logged_in: Dashboard) -> None:
    hive, page = site.hive, logged_in.page
    hive.kept = [data.kept(f"k{number}") for number in range(6)]
    hive.drafts = [data.draft(f"d{number}") for number in range(3)]
    logged_in.overview()
    expect(page.get_by_test_id("needs")).to_be_in_viewport()
    expect(page.get_by_test_id("kept")).not_to_be_in_viewport()


def test_lists_that_say_live_are(site: Site, logged_in: Dashboard) -> None:
    hive, page = site.hive, logged_in.page
    page.goto(f"{site.url}/approvals?agent=alice")
    logged_in.live()
    row = page.locator("[data-testid=approval][data-id='7']")
    expect(row).to_contain_text("pending")
    hive.set_approval(7, state=ApprovalState.DENIED, reason="No.")
    hive.emit("approval.changed", "alice", approval=7, state="denied")
    expect(row).to_contain_text("denied")
    page.goto(f"{site.url}/messages")
    logged_in.live()
    hive.messages.insert(0, data.message(77, body="Just now"))
    hive.emit("message.sent", "alice", id=77)
    hive.kept = [data.kept("olga")]
    expect(page.get_by_test_id("message").first).to_contain_text("Just now")
    for path in ("/kept/olga", "/agents/alice/destroy"):
        page.goto(site.url + path)
        expect(page.get_by_test_id("made")).to_contain_text("UTC")
