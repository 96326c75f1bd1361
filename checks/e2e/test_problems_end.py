"""A problem ends with its cause, on the page, the command line and in doctor."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from checks.kits.cli.run import typed
from checks.kits.host.hive import Hive, running_hive, script
from checks.kits.host.shared_hive import shared_hive
from checks.kits.store.disk import filling, small_disk
from checks.kits.web.visitor import ask, log_in
from pyglue.api import operator as api
from pyglue.api.lifecycle import RollbackParams
from pyglue.api.manager import RESTART, AgentParams
from pyglue.api.operations import OperationState
from pyglue.api.queue import QueueChangeParams
from pyglue.cli.local import launcher
from pyglue.config import DiskConfig

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nix", "git", "bwrap"),
]

PARTS: Final = ("banner", "needs", "agents", "agent/alice")
"""The parts of pages that are of the present; the last ends with a history."""
TOLD: Final = re.compile(r'<li data-item data-testid="unread".*?</li>', re.DOTALL)
"""A message that nobody has read is of the past, and stays until somebody does."""
SHOWN: Final = re.compile(r'data-testid="(blocked|stuck|warnings)"|<dt>(Problem)</dt>')
"""What these have of something that is wrong."""
WELL: Final = ("idle", "thinking")

hive = shared_hive(real=("alice",), checked=True, beside=launcher.PARTS)
"""For the tests in which the CLI's words are what is wrong."""


@dataclass(frozen=True)
class Seen:
    """What the three surfaces have, each with its marks of something wrong."""

    page: str
    agents: str
    doctor: str

    @property
    def wrong(self) -> tuple[set[str], list[str], list[str]]:
        """Return what is marked as wrong; the state of an agent is its second word."""
        marks = {found[0] or found[1] for found in SHOWN.findall(self.page)}
        rows = [row.split() for row in self.agents.splitlines()[1:]]
        states = [row[1] for row in rows if row[1] not in WELL]
        lines = self.doctor.splitlines()
        return marks, states, [line for line in lines if line.startswith("PROBLEM")]

    def has(self, words: str) -> list[bool]:
        """Tell where the words are."""
        return [words in text for text in (self.page, self.agents, self.doctor)]


@dataclass
class Surfaces:
    """An operator with a browser and a terminal."""

    hive: Hive
    cookie: str = ""

    async def look(self) -> Seen:
        """Look at all three."""
        return self._typed(await self._page())

    async def say(self, words: str) -> None:
        """Wait until all three have the words."""
        await self._until(
            lambda page: words in page, lambda seen: all(seen.has(words)), repr(words)
        )

    async def are_quiet(self, *, words: str, as_before: Seen) -> None:
        """Wait until none has the words, and no more is wrong than before."""
        await self._until(
            lambda page: words not in page,
            lambda seen: not any(seen.has(words)) and seen.wrong == as_before.wrong,
            f"the end of {words!r}",
        )

    async def _until(
        self, page: Callable[[str], bool], all_three: Callable[[Seen], bool], what: str
    ) -> None:
        """Wait for all three; commands are typed once the page is as it should be."""

        async def look() -> bool | None:
            text = await self._page()
            return (page(text) and all_three(self._typed(text))) or None

        await self.hive.until(look, f"{what} on all three", every=0.5)

    async def _page(self) -> str:
        self.cookie = self.cookie or await log_in(self.hive)
        pages = []
        for part in PARTS:
            status, _, text = await asyncio.to_thread(
                ask, f"{self.hive.url}/fragments/{part}", Cookie=self.cookie
            )
            assert status == 200, (part, text)
            now = text.partition('data-testid="history"')[0]
            pages.append(TOLD.sub("", now))
        return "".join(pages)

    def _typed(self, page: str) -> Seen:
        socket = self.hive.local.config.layout.operator_socket
        agents = typed("agents", "--socket", socket)
        return Seen(page, agents.out, typed("doctor", "--socket", socket).out)


@pytest.mark.needs("root")
async def test_a_full_disk_is_over_when_it_is_free(tmp_path: Path) -> None:
    disk = DiskConfig(ballast_mib=8, reserve_mib=32)
    with small_disk(tmp_path / "state", 320):
        async with running_hive(
            tmp_path, disk=disk, peers=True, beside=("web",)
        ) as hive:
            surfaces = Surfaces(hive)
            before = await surfaces.look()
            with filling(hive.state / "full"):
                await surfaces.say("The disk is full")
            await surfaces.are_quiet(words="The disk is full", as_before=before)
            await hive.send("alice", answer("there is room"))
            await hive.answer("alice", "there is room")


async def test_what_a_revert_mends_is_over(tmp_path: Path) -> None:
    """Of a deploy that is undone by itself, and of one that its operator takes back."""
    async with running_hive(tmp_path, peers=True, beside=("web",)) as hive:
        surfaces = Surfaces(hive)
        before = await surfaces.look()
        first = (await hive.approvals("alice"))[0].id
        broken = await hive.approve(await hive.propose("alice", served("/no/such")))
        assert broken.state is OperationState.FAILED
        seen = await surfaces.look()
        assert seen.wrong[1:] == before.wrong[1:]
        assert "<dt>Problem</dt>" not in seen.page
        assert "stuck" in seen.page  # the approval waits for somebody's decision

        program = hive.local.config.layout.agent_state("alice") / "server"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        deployed = await hive.approve(
            await hive.propose("alice", served("/state/server"))
        )
        assert deployed.error is None
        await surfaces.are_quiet(words="/no/such", as_before=before)

        program.unlink()
        params = AgentParams(agent="alice")
        restarted = await hive.operator.call(RESTART, params)
        assert (
            await hive.operation(restarted.operation)
        ).state is OperationState.FAILED
        await surfaces.say("is not installed")
        back = await hive.operator.call(
            api.ROLLBACK, RollbackParams(agent="alice", approval=first)
        )
        assert (await hive.operation(back.operation)).error is None
        await surfaces.are_quiet(words="is not installed", as_before=before)


async def test_a_failed_turn_is_over_with_a_good_one(hive: Hive) -> None:
    surfaces = Surfaces(hive)
    before = await surfaces.look()
    down = {"status": 400, "message": "The moon is down"}
    message = await hive.send("alice", script(down))
    await surfaces.say("The moon is down")
    given_up = QueueChangeParams(agent="alice", message=message, cancel_turn=True)
    await hive.operator.call(api.QUEUE_DROP, given_up)
    await hive.send("alice", answer("it is up"))
    await hive.operator.call(api.RESUME, AgentParams(agent="alice"))
    await hive.answer("alice", "it is up")
    await surfaces.are_quiet(words="The moon is down", as_before=before)


async def test_an_old_manifest_that_runs_on_has_no_problem(hive: Hive) -> None:
    """The server of the undone deploy is said of its approval, and of no agent."""
    surfaces = Surfaces(hive)
    before = await surfaces.look()
    broken = await hive.approve(await hive.propose("alice", served("/bin/false")))
    assert broken.state is OperationState.FAILED
    assert "did not connect" in (broken.error or "")
    await hive.idle("alice")

    async def only_the_approval() -> bool | None:
        seen = await surfaces.look()
        marks, states, problems = seen.wrong
        new = marks - before.wrong[0]
        as_before = (states, problems) == before.wrong[1:]
        return (new == {"stuck"} and as_before) or None

    await hive.until(only_the_approval, "only the approval in trouble", every=0.5)
    for text in ("at once", "also for a hived that knows it from its store"):
        if text != "at once":
            await hive.kill_hived()
        await hive.send("alice", answer(text))
        await hive.answer("alice", text)
        await hive.idle("alice")
        await hive.until(only_the_approval, "the same after a turn", every=0.5)
        assert (await hive.agent("alice")).problem is None


def answer_steps(text: str) -> list[dict[str, object]]:
    said = {"to": "operator", "body": text}
    return [{"tool": "mcp__hive__send", "input": said}, {"text": "done"}]


def answer(text: str) -> str:
    return script(*answer_steps(text))


def served(command: str) -> str:
    return f'{{ hyperhive.mcpServers.one.command = "{command}"; }}'
