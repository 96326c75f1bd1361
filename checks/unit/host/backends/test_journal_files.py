"""Logs that are files: the newest lines, cursors, rotation, and following one."""

import asyncio
import contextlib
import time
from pathlib import Path

import pytest

from checks.kits.host.journal import (
    following,
    texts,
)
from pyglue.api.journal import JournalPage
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.backends.logfiles import FileSource
from pyglue.host.backends.logs import LINE_MAX, SIZE_MAX
from pyglue.process import LogFile


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


async def test_lines_have_the_times_at_which_they_were_written(
    file: FileSource, tmp_path: Path
) -> None:
    LogFile(tmp_path / "logs" / "a.log").write(b"by an older hived\n")
    began = int(time.time())
    log = LogFile(tmp_path / "logs" / "a.log", stamps=True)
    log.write(b"one\n2000-01-01T00:00:00Z forged\n")
    page = await file.read(10, None)
    texts_ = ["by an older hived", "one", "2000-01-01T00:00:00Z forged"]
    assert texts(page) == texts_
    old, *new = (line.at for line in page.lines)
    assert old is None
    assert all(at is not None and began <= at <= time.time() for at in new)
    after = await file.read(10, (await file.read(1, None)).cursor)
    assert after.lines == ()
    async for news in file.follow(None):
        assert news.lines == page.lines
        break


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
    with pytest.raises(HiveError, match="Cannot read"):
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
