"""Differences as data: exact lines, honest flags, bounded size."""

from pathlib import Path

import pytest

from checks.kits.git.objects import EXECUTABLE, FILE, SEED, Objects, Room
from pyglue.api.diff import DiffLine, FileDiff, FileStatus, LineKind
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.diff import DiffLimits, diff
from pyglue.git.verdict import PackLimits


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room.make(tmp_path)


def between(
    room: Room,
    old: dict[str, bytes],
    new: dict[str, bytes],
    *,
    limits: DiffLimits | None = None,
    only: str | None = None,
) -> dict[str, FileDiff]:
    """Commit both sets of files and return their diff by path."""
    objects = Objects()
    first = objects.commit(objects.files({**SEED, **old}), room.main)
    second = objects.commit(objects.files({**SEED, **new}), first)
    room.submit(objects, second, allow_unchanged=True)
    found = diff(room.applied, first, second, limits=limits, only=only)
    assert [file.path for file in found] == sorted(file.path for file in found)
    return {file.path: file for file in found}


def lines(file: FileDiff) -> list[str]:
    return [line.kind + line.text for hunk in file.hunks for line in hunk.lines]


def test_a_change_is_told_by_hunks_and_numbers(room: Room) -> None:
    old = b"".join(b"line %d\n" % n for n in range(1, 31))
    new = old.replace(b"line 2\n", b"line two\n").replace(b"line 29\n", b"")
    file = between(room, {"a": old}, {"a": new})["a"]
    assert file.status == FileStatus.MODIFIED and not file.truncated
    assert (file.old_size, file.new_size) == (len(old), len(new))
    first, second = file.hunks
    assert (first.old_start, first.old_lines) == (1, 5)
    assert (second.new_start, second.new_lines) == (26, 4)
    assert first.lines[:4] == (
        DiffLine(kind=LineKind.CONTEXT, text="line 1", old_no=1, new_no=1),
        DiffLine(kind=LineKind.REMOVED, text="line 2", old_no=2, new_no=None),
        DiffLine(kind=LineKind.ADDED, text="line two", old_no=None, new_no=2),
        DiffLine(kind=LineKind.CONTEXT, text="line 3", old_no=3, new_no=3),
    )


def test_added_deleted_and_renamed(room: Room) -> None:
    text = b"".join(b"%d\n" % n for n in range(20))
    files = between(
        room,
        {"gone": b"x\n", "here/old": text, "here/same": b"only moved\n"},
        {"new": b"y\n", "there": text + b"more\n", "moved": b"only moved\n"},
    )
    assert {path: file.status for path, file in files.items()} == {
        "gone": FileStatus.DELETED,
        "new": FileStatus.ADDED,
        "there": FileStatus.RENAMED,
        "moved": FileStatus.RENAMED,
    }
    assert files["there"].old_path == "here/old"
    assert lines(files["there"])[-1] == "+more"
    assert files["moved"].hunks == () and not files["moved"].truncated
    assert lines(files["gone"]) == ["-x"] and files["gone"].new_size is None
    assert lines(files["new"]) == ["+y"] and files["new"].old_size is None


def test_from_nothing_everything_is_added(room: Room) -> None:
    found = diff(room.applied, None, room.main)
    assert {(file.path, file.status) for file in found} == {
        (path, FileStatus.ADDED) for path in SEED
    }
    assert diff(room.applied, room.main, room.main) == ()


def test_a_mode_change_is_told(room: Room) -> None:
    objects = Objects()
    blob, nix = objects.blob(b"x\n"), (FILE, "agent.nix", objects.blob(b"{}"))
    first = objects.commit(objects.tree([nix, (FILE, "run", blob)]), room.main)
    second = objects.commit(objects.tree([nix, (EXECUTABLE, "run", blob)]), first)
    third = objects.tree([nix, (FILE, "run", objects.blob(b"y\n"))])
    last = objects.commit(third, second)
    room.submit(objects, last)
    (file,) = diff(room.applied, first, second)
    assert file.status == FileStatus.MODE and file.hunks == ()
    assert (file.old_executable, file.new_executable) == (False, True)
    (file,) = diff(room.applied, second, last)
    assert file.status == FileStatus.MODIFIED
    assert (file.old_executable, file.new_executable) == (True, False)
    assert lines(file) == ["-x", "+y"]


def test_what_is_easily_overlooked_is_there(room: Room) -> None:
    files = between(
        room,
        {"crlf": b"a\n", "eof": b"a\n", "odd": b"a\n", "ctl": b"a\n"},
        {
            "crlf": b"a\r\n",
            "eof": b"a",
            "odd": b"\xff\n",
            "ctl": b"\x1b[1A\xe2\x80\xae<b>\t \n",
        },
    )
    assert lines(files["crlf"]) == ["-a", "+a\r"]
    assert lines(files["eof"]) == ["-a", "+a"]
    assert [line.no_newline for line in files["eof"].hunks[0].lines] == [False, True]
    assert lines(files["odd"]) == ["-a", "+\ufffd"]
    assert lines(files["ctl"]) == ["-a", "+\x1b[1A\u202e<b>\t "]


def test_binary_files_are_told_by_size_but_nix_is_always_text(room: Room) -> None:
    files = between(room, {"a.png": b"\0\1"}, {"a.png": b"\0\1\2", "x.nix": b"a\0b\n"})
    assert files["a.png"].binary and files["a.png"].hunks == ()
    assert (files["a.png"].old_size, files["a.png"].new_size) == (2, 3)
    assert not files["x.nix"].binary and lines(files["x.nix"]) == ["+a\0b"]


def test_large_files_are_cut_and_say_so(room: Room) -> None:
    text = b"".join(b"%d\n" % n for n in range(100))
    limits = DiffLimits(max_file_lines=10)
    files = between(
        room, {"b": text}, {"a": text, "b": b"", "c": b"1\n"}, limits=limits
    )
    assert lines(files["a"]) == [f"+{n}" for n in range(10)]
    assert len(lines(files["b"])) == 10
    assert files["a"].truncated and files["b"].truncated
    assert not files["c"].truncated and lines(files["c"]) == ["+1"]
    assert (files["a"].new_size, files["b"].old_size) == (len(text), len(text))


@pytest.mark.parametrize(
    "limits",
    [
        DiffLimits(max_file_bytes=100),
        DiffLimits(max_file_compared=10),
        DiffLimits(max_total_bytes=100),
        DiffLimits(max_total_compared=10),
        DiffLimits(max_total_lines=0),
        DiffLimits(max_file_lines=0),
    ],
)
def test_every_limit_is_told(room: Room, limits: DiffLimits) -> None:
    text = b"".join(b"%d\n" % n for n in range(100))
    files = between(
        room, {"a": text}, {"a": b"0\n" + text, "b": b"new\n"}, limits=limits
    )
    assert files["a"].truncated and files["a"].hunks == ()
    assert files["a"].status == FileStatus.MODIFIED


def test_the_sum_over_files_is_bounded(room: Room) -> None:
    new = {f"f{n:02}": b"%d\n" % n * 50 for n in range(20)}
    limits = DiffLimits(max_total_lines=100, max_total_bytes=1_000)
    files = between(room, {}, new, limits=limits)
    assert sum(len(lines(file)) for file in files.values()) <= 100
    assert lines(files["f00"]) and files["f19"].truncated
    one = between(room, {}, new, limits=limits, only="f19")
    assert list(one) == ["f19"] and not one["f19"].truncated


def test_an_empty_file_is_complete_even_without_budget(room: Room) -> None:
    limits = DiffLimits(max_total_bytes=0)
    files = between(room, {}, {"empty": b"", "some": b"x"}, limits=limits)
    assert not files["empty"].truncated and files["some"].truncated


def test_a_hostile_pair_of_files_stays_cheap(room: Room) -> None:
    """Unlike one-letter lines cost the square of their number to compare."""
    one = b"".join(b"%c\n" % (97 + n * n % 26) for n in range(200_000))
    two = b"".join(b"%c\n" % (97 + n * 7 % 26) for n in range(200_000))
    limits = PackLimits()
    assert len(one) < limits.max_blob_bytes
    files = between(room, {"a": one, "c": one}, {"a": two, "d": two})
    assert files["a"].truncated and files["a"].hunks == ()
    assert files["c"].truncated and len(lines(files["c"])) == 3_000


def test_unknown_commits_are_refused(room: Room) -> None:
    tree = room.applied.commit(room.main).tree
    for sha in ("0" * 40, tree, "main", "HEAD"):
        with pytest.raises(HiveError) as caught:
            diff(room.applied, sha, room.main)
        assert caught.value.code == ErrorCode.NOT_FOUND
