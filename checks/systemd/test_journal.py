"""Logs from systemd's journal: real entries, real journalctl, real containers."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Final

import pytest

from checks.kits.patience import PATIENCE_S
from checks.systemd.hive import SystemHive
from pyglue.api import operator as api
from pyglue.api.common import PROTOCOL, HelloParams
from pyglue.api.journal import JournalNews, JournalPage, JournalParams, JournalUnit
from pyglue.api.manager import START, STOP, AgentParams
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import Connection, Handlers, connect

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nspawn"),
]

HOSTILE: Final = "\x1b[2J \u202e<script> of alice"
SHOWN: Final = "\\x1b[2J \\u202e<script> of alice"

# A message of root's about the harness, which journald files with the harness's own.
SAY: Final = """
import json, socket, subprocess
shown = subprocess.run(
    ["systemctl", "show", "hive-agent", "--property=MainPID", "--value"],
    capture_output=True, text=True, check=True)
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
message = {message!r}.encode()
data = b"MESSAGE\\n" + len(message).to_bytes(8, "little") + message + b"\\n"
data += b"OBJECT_PID=" + shown.stdout.strip().encode() + b"\\n"
sock.sendto(data, "/run/systemd/journal/socket")
print(json.dumps(True))
"""


def say(hive: SystemHive, message: str) -> None:
    """Write to alice's journal."""
    hive.inside("alice", SAY.format(message=message))


def texts(page: JournalPage | JournalNews) -> list[str]:
    return [line.text for line in page.lines]


@dataclass
class Follower:
    """An operator's connection that follows a log."""

    connection: Connection
    news: "asyncio.Queue[JournalNews]"

    @classmethod
    async def open(cls, hive: SystemHive) -> "Follower":
        news: asyncio.Queue[JournalNews] = asyncio.Queue()
        handlers = Handlers()
        handlers.on_note(api.JOURNAL_NEWS, news.put_nowait)
        connection = await connect(
            hive.local.config.layout.operator_socket,
            handlers,
            hello=HelloParams(protocol=PROTOCOL, client="test"),
        )
        return cls(connection, news)

    async def until(self, text: str) -> list[str]:
        """Return all lines up to one that is ``text``."""
        got: list[str] = []
        async with asyncio.timeout(PATIENCE_S):
            while text not in got:
                got += texts(await self.news.get())
        return got


async def read(hive: SystemHive, **asked: Any) -> JournalPage:
    return await hive.operator.call(api.JOURNAL, JournalParams(**asked))


async def test_what_the_harness_logged(hive: SystemHive) -> None:
    say(hive, "first")
    page = await read(hive, agent="alice", lines=1)
    assert texts(page) == ["first"]
    assert page.lines[0].at == pytest.approx(time.time(), abs=PATIENCE_S)
    say(hive, HOSTILE)
    say(hive, "x" * 5000)
    after = await read(hive, agent="alice", cursor=page.cursor)
    assert texts(after) == [SHOWN, "(a message of more than 4096 bytes)"]
    assert texts(await read(hive, agent="alice", cursor=page.cursor, lines=1)) == [
        SHOWN
    ]


async def test_an_agent_s_log_is_its_own(hive: SystemHive) -> None:
    say(hive, "of alice alone")
    lines = texts(await read(hive, agent="manager", lines=5000))
    assert lines, "the manager's harness logs its start at least"
    assert "of alice alone" not in lines


async def test_what_the_host_logged_of_the_container(hive: SystemHive) -> None:
    lines = texts(await read(hive, agent="alice", unit=JournalUnit.MACHINE, lines=5000))
    assert any("Started" in line for line in lines)


async def test_hived_s_own(hive: SystemHive) -> None:
    lines = texts(await read(hive, agent="hive", lines=5000))
    assert any("hived" in line for line in lines)


async def test_a_wrong_cursor_is_refused(hive: SystemHive) -> None:
    with pytest.raises(HiveError) as refused:
        await read(hive, agent="alice", cursor="--file=/etc/passwd")
    assert refused.value.code is ErrorCode.BAD_REQUEST
    with pytest.raises(HiveError):
        await read(hive, agent="alice", cursor="s=nonsense")


async def test_following_and_leaving(hive: SystemHive) -> None:
    say(hive, "before")
    follower = await Follower.open(hive)
    page = await follower.connection.call(
        api.JOURNAL_FOLLOW, JournalParams(agent="alice", lines=1)
    )
    assert texts(page) == ["before"]
    say(hive, HOSTILE)
    assert await follower.until(SHOWN) == [SHOWN]
    assert await asyncio.to_thread(_followers, hive) == 1
    follower.connection.close()
    async with asyncio.timeout(PATIENCE_S):
        while await asyncio.to_thread(_followers, hive) > 0:
            pass


async def test_following_over_a_restart_of_the_container(hive: SystemHive) -> None:
    follower = await Follower.open(hive)
    await follower.connection.call(api.JOURNAL_FOLLOW, JournalParams(agent="alice"))
    await asyncio.to_thread(
        hive.machine.run, "systemctl", "restart", "container@h-alice"
    )
    await hive.idle("alice")
    say(hive, "again")
    assert (await follower.until("again"))[-1] == "again"
    follower.connection.close()


async def test_a_container_that_is_stopped(hive: SystemHive) -> None:
    alice = AgentParams(agent="alice")
    stopping = await hive.operator.call(STOP, alice)
    await hive.operation(stopping.operation)
    with pytest.raises(HiveError) as refused:
        await read(hive, agent="alice")
    assert refused.value.code is ErrorCode.AGENT_NOT_RUNNING
    assert "machine" in refused.value.message
    assert texts(await read(hive, agent="alice", unit=JournalUnit.MACHINE))
    starting = await hive.operator.call(START, alice)
    await hive.operation(starting.operation)
    await hive.idle("alice")


async def test_the_command_line_shows_them(hive: SystemHive) -> None:
    say(hive, "for the command line")
    assert "for the command line" in hive.machine.run("hive", "logs", "alice").out
    machine = hive.machine.run("hive", "logs", "alice", "--unit", "machine").out
    assert "h-alice" in machine
    assert hive.machine.run("hive", "logs", "hive", "--lines", "5").out


def _followers(hive: SystemHive) -> int:
    """Count the children that hived follows logs with."""
    found = hive.machine.run("pgrep", "-c", "-f", "journalctl .*--follow", check=False)
    return int(found.out)
