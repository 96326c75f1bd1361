"""The link reconnects, repeats its reports, and protects a turn's messages."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from checks.kits.api.events import data
from checks.kits.harness.bench import FakeHive
from pyglue.api.agent import RECV, SEND, WHOAMI
from pyglue.api.common import AgentState, HarnessReport, NoParams
from pyglue.api.messages import RecvParams, SendParams
from pyglue.api.turn_events import Log, Text
from pyglue.errors import ErrorCode, HiveError
from pyglue.harness.claude.outcome import Pauses
from pyglue.harness.joined import Joined
from pyglue.harness.link import link as module
from pyglue.harness.link.link import Link
from pyglue.jsonrpc import Handlers

REPORT = HarnessReport(manifest_sha256="abc", cli_version="1")


@contextlib.asynccontextmanager
async def linked(path: Path, joined: Joined | None = None) -> AsyncIterator[Link]:
    link = Link(path, Handlers(), joined or Joined())
    task = asyncio.create_task(link.run(REPORT))
    try:
        yield link
    finally:
        task.cancel()
        await asyncio.wait({task})


@pytest.fixture
async def hive(tmp_path: Path) -> AsyncIterator[FakeHive]:
    async with FakeHive(tmp_path / "hive.sock") as hive:
        yield hive


async def test_hello_carries_the_report_each_time(hive: FakeHive) -> None:
    async with linked(hive.path) as link:
        link.say(AgentState.IDLE, "waiting")
        await hive.until(lambda: hive.states)
        hive.stop()
        hive.states.clear()
        await hive.start()
        await hive.until(lambda: hive.states)  # said again without being asked to
        assert hive.reports == [REPORT, REPORT]
        assert hive.states[0].state is AgentState.IDLE
        assert hive.states[0].detail == "waiting"


async def test_calls_wait_for_a_hive_that_is_not_there_yet(tmp_path: Path) -> None:
    hive = FakeHive(tmp_path / "hive.sock")
    async with linked(hive.path) as link:
        asked = asyncio.create_task(link.call(WHOAMI, NoParams()))
        await asyncio.sleep(0)
        assert not asked.done()
        async with hive:
            assert (await asked).name == "bob"


async def test_a_hive_that_stays_away_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TIMEOUT_S", 0.05)
    async with linked(tmp_path / "none.sock") as link:
        with pytest.raises(HiveError, match="not answering") as caught:
            await link.call(WHOAMI, NoParams())
        assert caught.value.code is ErrorCode.UNAVAILABLE


async def test_mail_comes_only_over_the_turns_own_connection(hive: FakeHive) -> None:
    async with linked(hive.path) as link:
        connection = await link.connection()
        link.begin_turn(1, connection)
        await link.call(RECV, RecvParams())
        hive.stop()
        await hive.start()
        await hive.until(lambda: len(hive.reports) == 2)
        await hive.mail("for the next turn")
        with pytest.raises(HiveError, match="restarted during this turn"):
            await link.call(RECV, RecvParams())
        await link.call(SEND, SendParams(to="alice", body="still works"))
        link.end_turn()
        got = await link.call(RECV, RecvParams())
        assert [m.body for m in got.messages] == ["for the next turn"]


async def test_events_belong_to_the_turn(hive: FakeHive) -> None:
    async with linked(hive.path) as link:
        link.emit(Log(text="lost: there is no connection yet"))
        link.begin_turn(4, await link.connection())
        link.emit(Text(text="a"))
        link.end_turn()
        link.emit(Log(text="b"))
        await hive.until(lambda: len(hive.events) == 2)
        assert [(e.turn, data(e)["text"]) for e in hive.events] == [
            (4, "a"),
            (None, "b"),
        ]


def test_pauses_grow_to_a_limit() -> None:
    pauses = Pauses(first_s=1.0, longest_s=20.0)
    for failures, least, most in [(1, 0.8, 1.2), (3, 3.2, 4.8), (50, 16.0, 24.0)]:
        assert least <= pauses.after(failures) <= most


async def test_what_the_model_takes_within_a_turn_is_noted(hive: FakeHive) -> None:
    joined = Joined()
    async with linked(hive.path, joined) as link:
        connection = await link.connection()
        await hive.mail("before the turn")
        await link.call(RECV, RecvParams())
        link.begin_turn(1, connection)
        joined.begin()
        await hive.mail("within it")
        await link.call(RECV, RecvParams(peek=True))
        assert joined.again() == ""
        await link.call(RECV, RecvParams())
        assert joined.again().endswith("redelivered]\nwithin it")
        joined.begin()
        assert joined.again() == ""
