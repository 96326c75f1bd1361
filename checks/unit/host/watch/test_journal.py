"""Who may read and follow logs, and the lifetime of followers."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from checks.kits.api.events import raw
from checks.kits.host.journal import OneLog, Room, Socket, asked, source, texts
from checks.kits.host.store import Kit, open_kit
from checks.kits.patience import PATIENCE_S
from pyglue.api.common import AgentState
from pyglue.api.events import AgentStateChanged, Event
from pyglue.api.journal import JournalNews, JournalParams, JournalUnit
from pyglue.api.manager import AgentLogsParams
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.backends.logfiles import FileSource
from pyglue.host.watch import journal as module
from pyglue.host.watch.journal import FOLLOWERS_MAX, Journal
from pyglue.jsonrpc import serve
from pyglue.process import LogFile


@pytest.fixture
def log(tmp_path: Path) -> LogFile:
    return LogFile(tmp_path / "logs" / "a.log", cap=1000)


@pytest.fixture
def file(tmp_path: Path) -> FileSource:
    return FileSource(tmp_path / "logs" / "a.log")


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return Room(tmp_path)


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    kit = await open_kit(tmp_path)
    await kit.agent("alice")
    yield kit
    await kit.store.close()


@pytest.fixture
def backend(file: FileSource) -> OneLog:
    return OneLog(file)


@pytest.fixture
def journal(kit: Kit, backend: OneLog) -> Journal:
    return Journal(registry=kit.registry, backend=backend)


async def test_each_name_has_its_logs(journal: Journal, backend: OneLog) -> None:
    await journal.read(asked("alice"))
    await journal.read(asked("alice", JournalUnit.MACHINE))
    await journal.read(asked("hive"))
    assert backend.asked == [
        ("alice", JournalUnit.HARNESS),
        ("alice", JournalUnit.MACHINE),
        (None, JournalUnit.DAEMON),
    ]


@pytest.mark.parametrize(
    "name", ["bob", "", "..", "../alice", "-f", "--follow", "Alice", "h-alice", "a\0"]
)
async def test_who_is_no_agent_opens_nothing(
    journal: Journal, backend: OneLog, name: str
) -> None:
    with pytest.raises(HiveError) as refused:
        await journal.read(asked(name))
    assert refused.value.code is ErrorCode.NOT_FOUND
    assert backend.asked == []


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("alice", JournalUnit.DAEMON),
        ("hive", JournalUnit.HARNESS),
        ("hive", JournalUnit.MACHINE),
    ],
)
async def test_a_unit_that_a_name_does_not_have(
    journal: Journal, backend: OneLog, name: str, unit: JournalUnit
) -> None:
    with pytest.raises(HiveError) as refused:
        await journal.read(asked(name, unit))
    assert refused.value.code is ErrorCode.BAD_REQUEST
    assert backend.asked == []


@pytest.mark.parametrize("lines", [0, -1, 5001])
def test_lines_have_bounds(lines: int) -> None:
    with pytest.raises(msgspec.ValidationError, match="lines"):
        msgspec.convert({"agent": "a", "lines": lines}, JournalParams)


async def test_a_model_gets_little(journal: Journal, log: LogFile, kit: Kit) -> None:
    log = LogFile(log._path)
    log.write(b"first\n" + b"\n".join([b"x" * 3000] * 50) + b"\nlast\n")
    page = await journal.for_model(AgentLogsParams(agent="alice", lines=500))
    assert page.gap
    assert texts(page)[-1] == "last"
    assert sum(map(len, texts(page))) <= module._FOR_MODELS
    with pytest.raises(HiveError):
        await journal.for_model(AgentLogsParams(agent="hive"))


@pytest.fixture
async def socket(tmp_path: Path, journal: Journal) -> AsyncIterator[Socket]:
    made = Socket(tmp_path / "s", journal)
    server = await serve(made.path, made.session)
    yield made
    server.close()
    await journal.close()


async def test_news_come_to_who_follows(socket: Socket, log: LogFile) -> None:
    log.write(b"before\n")
    peer = await socket.peer()
    assert texts(await peer.follow()) == ["before"]
    log.write(b"after\n")
    assert texts(await peer.next()) == ["after"]


async def test_silence_is_told(socket: Socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BEAT_S", 0.01)
    peer = await socket.peer()
    await peer.follow()
    assert await peer.next() == JournalNews()


async def test_a_connection_follows_one_log(socket: Socket) -> None:
    peer = await socket.peer()
    await peer.follow()
    with pytest.raises(HiveError) as refused:
        await peer.follow()
    assert refused.value.code is ErrorCode.CONFLICT


async def test_a_log_that_cannot_be_followed_gives_its_place_back(
    socket: Socket, backend: OneLog, room: Room
) -> None:
    (room.path / "fails").write_text("No machine 'h-alice' known")
    backend.log, readable = source(), backend.log
    peer = await socket.peer()
    with pytest.raises(HiveError) as refused:
        await peer.follow()
    assert refused.value.code is ErrorCode.AGENT_NOT_RUNNING
    backend.log = readable
    assert texts(await peer.follow()) == []


async def test_the_end_of_a_log_is_told_with_its_reason(
    socket: Socket, backend: OneLog, room: Room
) -> None:
    backend.log = source()
    room.put("one")
    peer = await socket.peer()
    assert texts(await peer.follow()) == ["one"]
    os.close(await asyncio.to_thread(os.open, room.path / "more", os.O_WRONLY))
    ended = (await peer.next()).ended
    assert ended is not None
    assert "Cannot read " in ended


async def test_followers_are_counted_and_forgotten(socket: Socket) -> None:
    peers = [await socket.peer() for _ in range(FOLLOWERS_MAX + 1)]
    for peer in peers[:-1]:
        await peer.follow()
    with pytest.raises(HiveError) as refused:
        await peers[-1].follow()
    assert refused.value.code is ErrorCode.TOO_MANY
    peers[0].connection.close()
    await peers[0].connection.wait_closed()
    async with asyncio.timeout(PATIENCE_S):
        while len(socket.journal._followers) == FOLLOWERS_MAX:
            await asyncio.sleep(0)
    await peers[-1].follow()


async def test_a_client_that_leaves_takes_its_child_along(
    socket: Socket, backend: OneLog, room: Room
) -> None:
    backend.log = source()
    peer = await socket.peer()
    await peer.follow()
    more = await asyncio.to_thread(os.open, room.path / "more", os.O_WRONLY)
    pid = int((room.path / "pid").read_text())
    gone = os.pidfd_open(pid)
    peer.connection.close()
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    loop.add_reader(gone, lambda: ended.done() or ended.set_result(None))
    await asyncio.wait_for(ended, PATIENCE_S)
    loop.remove_reader(gone)
    os.close(gone)
    os.close(more)


async def test_a_container_that_comes_back_is_followed_anew(
    socket: Socket, backend: OneLog, room: Room
) -> None:
    backend.log = source()
    room.put("one")
    peer = await socket.peer()
    await peer.follow()
    more = await asyncio.to_thread(os.open, room.path / "more", os.O_WRONLY)
    for state in (AgentState.THINKING, AgentState.STARTING, AgentState.IDLE):
        data = raw(AgentStateChanged(state=state, since_at=0.0, detail=None))
        socket.journal.heard(
            Event(seq=1, at=0.0, kind="agent.state", agent="alice", data=data)
        )
        room.put(state)
    again = await asyncio.to_thread(os.open, room.path / "more", os.O_WRONLY)
    got: list[str] = []
    while got[-1:] != ["idle"]:
        got += texts(await peer.next())
    assert got == ["thinking", "starting", "idle"]
    assert [line[-1] for line in room.asked[1:]] == ["--after-cursor=s=ab;i=1"] * 2
    os.close(more)
    os.close(again)
