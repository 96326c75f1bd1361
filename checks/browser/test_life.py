"""An agent's life by mouse on a real hive: destroyed, restored, purged, rolled back."""

import re

import pytest
from playwright.sync_api import Page, expect

from checks.browser.conftest import Hosted
from checks.browser.pages import Approval, Dashboard
from pyglue.api.manager import AgentParams
from pyglue.api.operator import DESTROY

pytestmark = pytest.mark.needs("nix", "git", "bwrap", "chromium")


@pytest.fixture
def dashboard(hosted: Hosted, page: Page) -> Dashboard:
    return hosted.visitor(page)


def _ended_well(page: Page) -> None:
    expect(page.get_by_test_id("operation")).to_have_attribute("data-state", "done")


def _approve(page: Page, hosted: Hosted, name: str) -> None:
    page.wait_for_url("**/approvals/*")
    approval = Approval(page)
    approval.approve()
    approval.expect_state("deployed")
    hosted.run(hosted.hive.idle(name))


def _destroy(dashboard: Dashboard, name: str) -> None:
    page = dashboard.page
    dashboard.open_agent(name)
    page.get_by_role("link", name="Destroy…").click()
    expect(page.get_by_text("kept", exact=True)).to_be_visible()
    page.get_by_test_id("destroy").click()
    _ended_well(page)


def test_made_destroyed_restored_and_purged(
    hosted: Hosted, dashboard: Dashboard
) -> None:
    page = dashboard.overview().live().page
    form = page.get_by_test_id("spawn")
    form.get_by_label("Name").fill("dora")
    form.get_by_role("button", name="Propose").click()
    _approve(page, hosted, "dora")
    _destroy(dashboard, "dora")

    page.goto(f"{hosted.hive.url}/kept/dora")
    page.get_by_test_id("restore").click()
    _approve(page, hosted, "dora")
    again = hosted.run(hosted.hive.operator.call(DESTROY, AgentParams(agent="dora")))
    hosted.run(hosted.hive.operation(again.operation))

    page.goto(f"{hosted.hive.url}/kept/dora")
    purge = page.get_by_test_id("purge-form")
    purge.get_by_role("textbox").fill("alice")
    page.get_by_test_id("purge").click()
    expect(page.get_by_role("heading", level=1)).not_to_have_text("Overview")
    page.goto(f"{hosted.hive.url}/kept/dora")
    purge.get_by_role("textbox").fill("dora")
    page.get_by_test_id("purge").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    expect(page.locator('[data-testid=kept-state][data-id="dora"]')).to_have_count(0)


def test_a_draft_is_made_shown_and_discarded(
    hosted: Hosted, dashboard: Dashboard
) -> None:
    page = dashboard.overview().live().page
    form = page.get_by_test_id("spawn")
    form.get_by_label("Name").fill("emil")
    form.get_by_label("Purpose").fill("Reads the news")
    form.get_by_role("button", name="Create draft").click()
    expect(page.get_by_text("Reads the news")).to_be_visible()
    dashboard.overview()
    draft = page.locator('[data-testid=draft][data-id="emil"]')
    draft.get_by_text("Discard").first.click()
    draft.get_by_role("button", name="Discard").click()
    expect(draft).to_have_count(0)


def test_a_rebuild_is_followed_live(hosted: Hosted, dashboard: Dashboard) -> None:
    page = dashboard.page
    dashboard.open_agent("alice")
    page.get_by_role("button", name="Rebuild").click()
    expect(dashboard.flash()).to_contain_text("Rebuilding alice: done.")
    page.reload()
    page.get_by_role("button", name="Rebuild").click()
    dashboard.flash().get_by_role("link", name="operation").click()
    page.wait_for_url("**/operations/*")
    _ended_well(page)
    hosted.run(hosted.hive.idle("alice"))


def test_going_back_asks_first_and_is_an_approval(
    hosted: Hosted, dashboard: Dashboard
) -> None:
    page = dashboard.page
    nix = hosted.hive.repository("alice") / "agent.nix"
    before = hosted.run(hosted.hive.agent("alice"))
    changed = re.sub(r"turnsPerHour = [0-9]+", "turnsPerHour = 999", nix.read_text())
    proposal = hosted.run(hosted.hive.propose("alice", changed))
    hosted.run(hosted.hive.approve(proposal))
    dashboard.open_agent("alice")
    page.locator(
        f'a[href="/agents/alice/rollback/{before.deployed_approval}"]'
    ).first.click()
    # What it changes stands there before its button is pressed.
    expect(page.locator('[data-path="agent.nix"]')).to_contain_text("999")
    expect(page.get_by_test_id("manifests")).to_contain_text('"turnsPerHour": 999')
    page.get_by_test_id("rollback").click()
    _ended_well(page)
    after = hosted.run(hosted.hive.agent("alice"))
    assert after.manifest_sha256 == before.manifest_sha256
    assert after.deployed_commit != before.deployed_commit


def test_two_versions_are_compared_and_one_is_gone_back_to(
    hosted: Hosted, dashboard: Dashboard
) -> None:
    page = dashboard.page
    nix = hosted.hive.repository("alice") / "agent.nix"
    before = hosted.run(hosted.hive.agent("alice"))
    changed = re.sub(r"turnsPerHour = [0-9]+", "turnsPerHour = 998", nix.read_text())
    applied = hosted.hive.local.config.layout.applied("alice")
    hosted.hive.git("alice", "fetch", "-q", str(applied), "main")
    hosted.hive.git("alice", "reset", "-q", "--hard", "FETCH_HEAD")
    proposal = hosted.run(hosted.hive.propose("alice", changed))
    hosted.run(hosted.hive.approve(proposal))
    dashboard.open_agent("alice")
    page.get_by_role("link", name="Compare versions").click()
    pair = page.get_by_test_id("pair")
    last = before.deployed_approval
    expect(pair).to_contain_text(f"approval {last}")
    expect(pair).to_contain_text(f"approval {proposal.approval}")
    power = page.get_by_test_id("policy")
    expect(power).to_contain_text("998")
    file = page.locator('[data-path="agent.nix"]')
    expect(file.locator("td.code.del")).to_contain_text("turnsPerHour")
    expect(file.locator("td.code.add")).to_contain_text("998")
    for width in (1440, 800, 390):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("link", name="Swap").click()
    expect(file.locator("td.code.del")).to_contain_text("998")
    page.get_by_label("From").select_option(str(proposal.approval))
    page.get_by_label("To", exact=True).select_option(str(last))
    page.get_by_role("button", name="Compare").click()
    page.get_by_role("button", name=f"Roll back to approval {last}").click()
    _ended_well(page)
    after = hosted.run(hosted.hive.agent("alice"))
    assert after.manifest_sha256 == before.manifest_sha256
