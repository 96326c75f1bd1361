"""Lines around changes: unchanged ones only, numbered in both versions."""

from pathlib import Path
from typing import Final

import pytest

from checks.kits.git.objects import Objects, Room
from pyglue.api.approvals import CONTEXT_MAX
from pyglue.api.diff import DiffLine, LineKind
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.context import context
from pyglue.git.diff import diff

PLAIN: Final = b"".join(b"line %d\n" % n for n in range(1, 101))
CHANGED: Final = PLAIN.replace(b"line 20\n", b"").replace(
    b"line 60\n", b"line 60\nnew\n\xe2\x80\xaenew\n"
)
LONG: Final = b"".join(b"%d\n" % n for n in range(9000))


class Pair:
    """Two commits of a repository."""

    def __init__(self, room: Room) -> None:
        objects = Objects()
        seed = {"agent.nix": b"{ }\n", "same": PLAIN}
        before = {"a": PLAIN, "end": PLAIN[:-1], "gone": PLAIN, "long": LONG}
        after = {
            "a": CHANGED,
            "end": PLAIN[:-1].replace(b"line 50\n", b""),
            "new": PLAIN,
            "long": LONG.replace(b"5\n", b"x\n"),
        }
        old = objects.commit(objects.files({**seed, **before}), room.main)
        self.new = objects.commit(objects.files({**seed, **after}), old)
        room.submit(objects, self.new, allow_unchanged=True)
        self.old, self.repo = old, room.applied

    def lines(self, path: str, first: int, last: int) -> tuple[DiffLine, ...]:
        return context(self.repo, self.old, self.new, path, range(first, last + 1))


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(Room.make(tmp_path))


def test_lines_before_between_and_after_the_changes(pair: Pair) -> None:
    assert pair.lines("a", 1, 16)[0] == DiffLine(
        kind=LineKind.CONTEXT, text="line 1", old_no=1, new_no=1
    )
    between = pair.lines("a", 23, 56)
    ends = [(one.text, one.old_no, one.new_no) for one in (between[0], between[-1])]
    assert ends == [("line 24", 24, 23), ("line 57", 57, 56)]
    last = pair.lines("a", 65, 101)[-1]
    assert (last.text, last.old_no, last.new_no) == ("line 100", 100, 101)
    assert not last.no_newline


def test_what_is_shown_ends_where_the_lines_begin(pair: Pair) -> None:
    (file,) = diff(pair.repo, pair.old, pair.new, only="a")
    assert file.lines_after == 101
    first, second = file.hunks
    begin, end = first.new_start + first.new_lines, second.new_start - 1
    assert len(pair.lines("a", begin, end)) == end - begin + 1
    for lines in ((begin - 1, end), (begin, end + 1)):
        with pytest.raises(HiveError, match="not all of these lines"):
            pair.lines("a", *lines)


def test_a_last_line_without_a_newline_is_said(pair: Pair) -> None:
    *_, before, last = pair.lines("end", 60, 99)
    assert last.no_newline and not before.no_newline
    assert (last.text, last.old_no) == ("line 100", 100)


@pytest.mark.parametrize(
    ("path", "first", "last", "why"),
    [
        ("a", 18, 22, "not all of these lines"),  # a change
        ("a", 10, 60, "not all of these lines"),  # over one
        ("a", 65, 102, "not all of these lines"),  # beyond the end
        ("a", 5000, 5001, "not all of these lines"),
        ("a", 9, 8, "1 to 500 lines"),
        ("a", 0, 1, "not all of these lines"),
        ("a", 1, CONTEXT_MAX + 1, "1 to 500 lines"),
        ("a", 1, 10**7, "1 to 500 lines"),
        ("new", 1, 5, "not all of these lines"),  # all of it is shown
        ("long", 8999, 9000, "not all of these lines"),  # after what is left out
        ("same", 1, 2, "No file"),
        ("gone", 1, 2, "No file"),
        ("../a", 1, 2, "No file"),
        ("/etc/passwd", 1, 2, "No file"),
        ("a\0b", 1, 2, "No file"),
        (".", 1, 2, "No file"),
        ("\x1b]0;x\x07", 1, 2, r"No file “\\x1b\]0;x\\x07”"),
    ],
)
def test_what_is_not_certainly_unchanged_is_refused(
    pair: Pair, path: str, first: int, last: int, why: str
) -> None:
    with pytest.raises(HiveError, match=why) as caught:
        pair.lines(path, first, last)
    wanted = ErrorCode.NOT_FOUND if why.startswith("No") else ErrorCode.BAD_REQUEST
    assert caught.value.code is wanted


def test_a_commit_that_is_not_there_is_refused(pair: Pair) -> None:
    with pytest.raises(HiveError) as caught:
        context(pair.repo, pair.old, "0" * 40, "a", range(1, 2))
    assert caught.value.code is ErrorCode.NOT_FOUND
