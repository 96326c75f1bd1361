"""The main job as its user sees it: a whole hive, the real CLI, a real browser.

Nothing is canned but the model's words: the manager commits and submits, the human
approves with the mouse, the agent restarts and answers.
"""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Page, expect

from checks.browser.pages import Dashboard
from checks.hive_kit import Hive, running_hive
from pyglue.api.common import NoParams
from pyglue.api.operator import LOGIN_CODE
from pyglue.demo import story

pytestmark = pytest.mark.needs("nix", "git", "bwrap", "chromium")

T = TypeVar("T")
TURN_S = 60


@dataclass
class Hosted:
    """A hive whose event loop runs in a thread, beside the browser's."""

    hive: Hive
    loop: asyncio.AbstractEventLoop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the hive's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(120)


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    room: Path = tmp_path_factory.mktemp("story")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result(120)

    whole: AbstractAsyncContextManager[Hive] = running_hive(room)
    try:
        yield Hosted(run(whole.__aenter__()), loop)  # type: ignore[arg-type]
    finally:
        run(whole.__aexit__(None, None, None))  # type: ignore[arg-type]
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_the_main_job_in_a_browser(hosted: Hosted, page: Page) -> None:
    told = story.load()
    hive = hosted.hive
    link = hosted.run(hive.operator.call(LOGIN_CODE, NoParams())).url
    dashboard = Dashboard(page, hive.url).log_in(link).live()
    expect(dashboard.agent_state("manager")).to_contain_text("idle")
    expect(dashboard.agent_state(told.agent)).to_contain_text("idle")

    dashboard.send(told.asked, told.request)
    expect(dashboard.waiting()).to_have_count(1, timeout=TURN_S * 1000)
    number = hosted.run(hive.approvals(told.agent))[0].id

    approval = dashboard.approval(number)
    expect(approval.file("agent.nix")).to_contain_text("sonnet")
    expect(approval.widening.first).to_be_visible()
    approval.view("split")
    expect(approval.file("agent.nix")).to_contain_text("haiku")
    approval.approve()
    approval.expect_state("deployed", timeout_s=TURN_S)

    approved = hosted.run(hive.approvals(told.agent))[0]
    running = hosted.run(hive.agent(told.agent))
    assert running.manifest_sha256 == approved.manifest_sha256
    assert approved.decided_by is not None
    assert approved.decided_by.startswith("session ")

    dashboard.overview().live()
    dashboard.send(told.agent, told.question)
    answer = dashboard.section("inbox").get_by_text(approved.manifest_sha256)
    expect(answer.first).to_be_visible(timeout=TURN_S * 1000)
