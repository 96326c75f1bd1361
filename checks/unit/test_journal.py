"""Logs: files with rotation, journalctl's contract, and who may read and follow."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from checks.host_kit import Kit, open_kit
from pyglue.api import operator as api
from pyglue.api.common import PROTOCOL, HelloParams, HelloResult, Role
from pyglue.api.events import Event
from pyglue.api.journal import JournalNews, JournalPage, JournalParams, JournalUnit
from pyglue.api.manager import AgentLogsParams
from pyglue.errors import ErrorCode, HiveError
from pyglue.host import journal as module
from pyglue.host.backends.base import Backend
from pyglue.host.backends.journald import Journald
from pyglue.host.backends.logfiles import FileSource
from pyglue.host.backends.logs import LINE_MAX, SIZE_MAX, JournalSource
from pyglue.host.journal import FOLLOWERS_MAX, Journal
from pyglue.jsonrpc import Connection, Handlers, connect, serve
from pyglue.process import LogFile

PATIENCE_S: Final = 60.0


def texts(page: JournalPage | JournalNews) -> list[str]:
    return [line.text for line in page.lines]


async def following(pages: AsyncGenerator[JournalPage, None], count: int) -> list[str]:
    """Read news until there are ``count`` lines."""
    got: list[str] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(got) < count:
            got += texts(await anext(pages))
    return got


# --- files ------------------------------------------------------------------------


@pytest.fixture
def log(tmp_path: Path) -> LogFile:
    return LogFile(tmp_path / "logs" / "a.log", cap=1000)


@pytest.fixture
def file(tmp_path: Path) -> FileSource:
    return FileSource(tmp_path / "logs" / "a.log")


async def test_a_log_that_is_not_there_is_empty(file: FileSource) -> None:
    assert await file.read(10, None) == JournalPage(lines=(), cursor=None)


async def test_the_newest_lines_and_what_comes_after_them(
    file: FileSource, log: LogFile
) -> None:
    log.write(b"one\ntwo\nthree\n")
    page = await file.read(2, None)
    assert texts(page) == ["two", "three"]
    assert texts(await file.read(10, page.cursor)) == []
    log.write(b"four\nfive\nsix\n")
    after = await file.read(2, page.cursor)
    assert texts(after) == ["four", "five"]
    assert texts(await file.read(2, after.cursor)) == ["six"]


async def test_a_line_that_is_only_begun_comes_whole_with_the_cursor(
    file: FileSource, log: LogFile
) -> None:
    log.write(b"one\nbeg")
    page = await file.read(5, None)
    assert texts(page) == ["one", "beg"]
    only = await file.read(1, None)
    assert (texts(only), only.cursor) == (["beg"], page.cursor)
    log.write(b"un\n")
    assert texts(await file.read(5, page.cursor)) == ["begun"]


async def test_hostile_text_is_visible_and_cut(file: FileSource, log: LogFile) -> None:
    log.write(b"\x1b[2J\x07\r\xff\xe2\x80\xaehidden\n" + b"x" * 9000 + b"\n")
    first, second = texts(await file.read(5, None))
    assert first == "\\x1b[2J\\x07\\r�\\u202ehidden"
    assert second == "x" * LINE_MAX + "…"


async def test_a_cursor_outlives_rotation(file: FileSource, log: LogFile) -> None:
    log.write(b"old\n")
    cursor = (await file.read(1, None)).cursor
    log.write(b"x" * 990 + b"\nhalf")  # the next file begins inside a line
    log.write(b" whole\nnew\n" + b"y" * 100 + b"\n")
    page = await file.read(10, cursor)
    assert [text[:10] for text in texts(page)] == [
        "x" * 10,
        "half whole",
        "new",
        "y" * 10,
    ]
    assert not page.gap


async def test_a_cursor_into_a_file_that_is_gone_is_a_gap(
    file: FileSource, log: LogFile
) -> None:
    log.write(b"old\n")
    cursor = (await file.read(1, None)).cursor
    for number in range(300):
        log.write(b"line %d\n" % number)
    page = await file.read(1000, cursor)
    assert page.gap
    assert texts(page)[-1] == "line 299"


@pytest.mark.parametrize(
    "cursor", ["x", "1:2", "1:2:3:4:5", "-1:2:3:4", "1:2:3:9" + "9" * 30, ""]
)
async def test_a_wrong_cursor_is_refused(file: FileSource, cursor: str) -> None:
    with pytest.raises(HiveError) as refused:
        await file.read(1, cursor)
    assert refused.value.code is ErrorCode.BAD_REQUEST


async def test_a_link_in_the_place_of_a_log_is_refused(
    file: FileSource, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret\n")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.log").symlink_to(tmp_path / "secret")
    with pytest.raises(HiveError, match="cannot be read"):
        await file.read(1, None)


async def test_one_page_is_bounded(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "a.log", cap=16 * 1024 * 1024)
    log.write((b"\x1b" * 3000 + b"\n") * 1500)  # four times as long when visible
    source = FileSource(tmp_path / "a.log")
    page = await source.read(5000, None)
    assert page.gap
    assert sum(map(len, texts(page))) <= SIZE_MAX
    inode = (tmp_path / "a.log").stat().st_ino
    head = await source.read(5000, f"{inode}:0:0:0")
    assert not head.gap, "from a cursor on nothing is dropped, there is just less"
    assert len(head.lines) < 1500


async def test_following_a_file_through_rotations(
    file: FileSource, log: LogFile
) -> None:
    async with contextlib.aclosing(file.follow(None)) as pages:
        for begin in range(0, 300, 10):
            reading = asyncio.create_task(following(pages, 10))
            for number in range(begin, begin + 10):
                log.write(b"line %d\n" % number)
            assert await reading == [f"line {begin + at}" for at in range(10)]


async def test_another_files_changes_do_not_wake_a_follower(
    file: FileSource, log: LogFile, tmp_path: Path
) -> None:
    async with contextlib.aclosing(file.follow(None)) as pages:
        reading = asyncio.create_task(following(pages, 1))
        await asyncio.sleep(0)
        LogFile(tmp_path / "logs" / "b.log").write(b"not mine\n")
        log.write(b"mine\n")
        assert await reading == ["mine"]


# --- journalctl -------------------------------------------------------------------

FAKE: Final = """#!{python} -IS
import json, os, sys
room = {room!r}
with open(room + "/asked", "a") as asked:
    asked.write(json.dumps(sys.argv[1:]) + "\\n")
with open(room + "/pid", "w") as file:
    file.write(str(os.getpid()))
if os.path.exists(room + "/fails"):
    sys.exit(open(room + "/fails").read())
after = [a for a in sys.argv if a.startswith("--after-cursor=")]
begin = int(after[0].rpartition("=")[2], 16) if after else 0
lines = open(room + "/entries").read().splitlines()[begin:]
count = [a.rpartition("=")[2] for a in sys.argv if a.startswith("--lines=")]
if count and count[0] != "all":
    lines = lines[:int(count[0])] if after else lines[-int(count[0]):]
for line in lines:
    print(line, flush=True)
if "--follow" in sys.argv:
    with open(room + "/more") as more:
        for line in more:
            print(line, end="", flush=True)
"""


class Room:
    """A ``journalctl`` on PATH, what it was asked, and what it holds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        program = path / "journalctl"
        program.write_text(FAKE.format(python=sys.executable, room=str(path)))
        program.chmod(0o755)
        (path / "entries").touch()
        os.mkfifo(path / "more")

    def entry(self, message: object, **fields: object) -> str:
        self.count += 1
        return json.dumps(
            {
                "__CURSOR": f"s=ab;i={self.count:x}",
                "__REALTIME_TIMESTAMP": str(1_700_000_000_000_000 + self.count),
                "MESSAGE": message,
                **fields,
            }
        )

    def put(self, *messages: object) -> None:
        with (self.path / "entries").open("a") as file:
            file.writelines(self.entry(one) + "\n" for one in messages)

    @property
    def asked(self) -> list[list[str]]:
        return [json.loads(x) for x in (self.path / "asked").read_text().splitlines()]


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return Room(tmp_path)


def source() -> Journald:
    return Journald("--machine=h-alice", "--unit=hive-agent.service")


async def test_journalctl_is_asked_by_an_argument_list(room: Room) -> None:
    room.put("one", "two")
    page = await source().read(5, None)
    assert texts(page) == ["one", "two"]
    assert page.lines[0].at == 1_700_000_000.000001
    after = await source().read(5, page.cursor)
    assert after == JournalPage(lines=(), cursor=page.cursor)
    common = ["--output=json", "--output-fields=MESSAGE", "--no-pager", "--quiet"]
    which = ["--machine=h-alice", "--unit=hive-agent.service"]
    assert room.asked == [
        [*common, *which, "--lines=5"],
        [*common, *which, "--lines=5", "--after-cursor=s=ab;i=2"],
    ]


async def test_every_kind_of_message_is_text(room: Room) -> None:
    room.put("a\nb\n", None, [27, 91, 255], ["first", "second"], "\u202e", 7)
    assert texts(await source().read(10, None)) == [
        *("a", "b", "(a message of more than 4096 bytes)", "\\x1b[�"),
        *("first", "second", "\\u202e", "7"),
    ]


async def test_the_count_holds_for_lines_not_entries(room: Room) -> None:
    room.put("a\nb\nc", "d")
    assert texts(await source().read(2, None)) == ["c", "d"]


@pytest.mark.parametrize("cursor", ["--file=/etc/shadow", "s=1 x", "s=1\n", "", "é"])
async def test_a_cursor_that_is_none_starts_nothing(room: Room, cursor: str) -> None:
    with pytest.raises(HiveError) as refused:
        await source().read(1, cursor)
    assert refused.value.code is ErrorCode.BAD_REQUEST
    assert not (room.path / "asked").exists()


async def test_a_container_that_does_not_run(room: Room) -> None:
    (room.path / "fails").write_text("No machine 'h-alice' known\x1b[0m")
    with pytest.raises(HiveError) as refused:
        await source().read(1, None)
    assert refused.value.code is ErrorCode.AGENT_NOT_RUNNING
    assert "No machine 'h-alice' known\\x1b[0m" in refused.value.message
    with pytest.raises(HiveError) as refused:
        await anext(source().follow(None))
    assert refused.value.code is ErrorCode.AGENT_NOT_RUNNING


async def test_following_is_one_child_that_ends_with_the_follower(room: Room) -> None:
    room.put("one")
    pages = source().follow(None)
    reading = asyncio.create_task(following(pages, 1))
    assert await reading == ["one"]
    more = os.open(room.path / "more", os.O_WRONLY)  # as soon as it is opened there
    os.write(more, f"{room.entry('two')}\n{room.entry('three')}\n".encode())
    assert await following(pages, 2) == ["two", "three"]
    pid = int((room.path / "pid").read_text())
    await pages.aclose()
    assert not Path(f"/proc/{pid}").exists()
    os.close(more)
    assert len(room.asked) == 1
    assert {"--follow", "--lines=all"} <= set(room.asked[0])


async def test_a_follower_that_is_cancelled_leaves_no_child(room: Room) -> None:
    room.put("one")
    pages = source().follow("s=ab;i=1")

    async def read() -> None:
        async with contextlib.aclosing(pages):
            await anext(pages)

    task = asyncio.create_task(read())
    more = await asyncio.to_thread(os.open, room.path / "more", os.O_WRONLY)
    pid = int((room.path / "pid").read_text())
    task.cancel()
    await asyncio.wait([task])
    assert not Path(f"/proc/{pid}").exists()
    os.close(more)


async def test_what_waits_for_a_slow_reader_is_bounded(room: Room) -> None:
    big = "x" * 4000
    room.put(*[f"{number} {big}" for number in range(1200)], "last")
    pages = source().follow(None)
    got: list[JournalPage] = []
    async with asyncio.timeout(PATIENCE_S):
        while not got or texts(got[-1])[-1] != "last":
            got.append(await anext(pages))
    await pages.aclose()
    assert all(sum(map(len, texts(page))) <= SIZE_MAX for page in got)


# --- who may ----------------------------------------------------------------------


class OneLog(Backend):
    """A backend that notes which log it was asked for."""

    name = "fake"
    isolation = "none"
    warnings = ()

    def __init__(self, log: JournalSource) -> None:
        self.log = log
        self.asked: list[tuple[str | None, JournalUnit]] = []

    def journal(self, name: str | None, unit: JournalUnit) -> JournalSource:
        self.asked.append((name, unit))
        return self.log

    def watch(self, callback: Any) -> None: ...
    async def apply(self, spec: Any) -> None: ...
    async def start(self, spec: Any) -> None: ...
    async def stop(self, name: str, *, grace_s: float = 5.0) -> None: ...
    def running(self, name: str) -> bool:
        return False

    def log_tail(self, name: str, lines: int) -> tuple[str, ...]:
        return ()

    async def close(self) -> None: ...


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
    return Journal(kit.registry, backend)


def asked(agent: str, unit: JournalUnit | None = None, **more: Any) -> JournalParams:
    return JournalParams(agent=agent, unit=unit, **more)


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


class Peer:
    """A client of a socket that offers the journal, and what it was sent."""

    def __init__(self) -> None:
        self.news: asyncio.Queue[JournalNews] = asyncio.Queue()
        self.connection: Connection

    async def follow(self, agent: str = "alice") -> JournalPage:
        return await self.connection.call(api.JOURNAL_FOLLOW, asked(agent))

    async def next(self) -> JournalNews:
        return await asyncio.wait_for(self.news.get(), PATIENCE_S)


class Socket:
    """The journal behind a real socket."""

    def __init__(self, path: Path, journal: Journal) -> None:
        self.path = path
        self.journal = journal

    def session(
        self, connection: Connection, hello: HelloParams
    ) -> tuple[HelloResult, Handlers]:
        handlers = Handlers()
        handlers.on(
            api.JOURNAL_FOLLOW, lambda asked: self.journal.follow(asked, connection)
        )
        result = HelloResult(protocol=PROTOCOL, role=Role.OPERATOR, server="test")
        return result, handlers

    async def peer(self) -> Peer:
        peer = Peer()
        handlers = Handlers()
        handlers.on_note(api.JOURNAL_NEWS, peer.news.put_nowait)
        hello = HelloParams(protocol=PROTOCOL, client="test")
        peer.connection = await connect(self.path, handlers, hello=hello)
        return peer


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
    assert "cannot be read" in ended


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
    for state in ("thinking", "starting", "idle"):
        data = {"state": state}
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
