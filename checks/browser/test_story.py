"""The main job as its user sees it: a whole hive, the real CLI, a real browser.

Nothing is canned but the model's words: the manager commits and submits, the human
approves with the mouse, the agent restarts and answers.
"""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from checks.browser.conftest import Hosted, hosting
from checks.browser.pages import Dashboard
from pyglue.demo import story

pytestmark = pytest.mark.needs("nix", "git", "bwrap", "chromium")


def test_the_main_job_in_a_browser(tmp_path: Path, page: Page) -> None:
    with hosting(tmp_path) as hosted:
        _play(hosted, page)


def _play(hosted: Hosted, page: Page) -> None:
    told = story.load()
    hive = hosted.hive
    dashboard = Dashboard(page, hive.url).log_in(hosted.link()).live()
    expect(dashboard.agent_state("manager")).to_contain_text("idle")
    expect(dashboard.agent_state(told.agent)).to_contain_text("idle")

    dashboard.send(told.asked, told.request)
    expect(dashboard.waiting()).to_have_count(1)
    number = hosted.run(hive.approvals(told.agent))[0].id

    approval = dashboard.approval(number)
    expect(approval.file("agent.nix")).to_contain_text("sonnet")
    expect(approval.widening.first).to_be_visible()
    approval.view("split")
    expect(approval.file("agent.nix")).to_contain_text("haiku")
    approval.approve()
    approval.expect_state("deployed")

    approved = hosted.run(hive.approvals(told.agent))[0]
    running = hosted.run(hive.agent(told.agent))
    assert running.manifest_sha256 == approved.manifest_sha256
    assert approved.decided_by is not None
    assert approved.decided_by.startswith("session ")

    dashboard.overview().live()
    dashboard.send(told.agent, told.question)
    answer = dashboard.section("inbox").get_by_text(approved.manifest_sha256)
    expect(answer.first).to_be_visible()
