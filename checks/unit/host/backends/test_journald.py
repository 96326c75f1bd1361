"""Logs from the journal: calls of journalctl, and how their output is used."""

import asyncio
import contextlib
import os
from pathlib import Path

import pytest

from checks.kits.host.journal import Room, following, source, texts
from checks.kits.patience import PATIENCE_S
from pyglue.api.journal import JournalPage
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.backends.logs import SIZE_MAX


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return Room(tmp_path)


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
