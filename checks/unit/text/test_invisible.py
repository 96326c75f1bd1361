"""The table of invisible characters: complete, and the same wherever it is used."""

import functools
import itertools
import sys
import unicodedata

import pytest

from pyglue.api.approvals import (
    ApprovalDetail,
    ApprovalKind,
    ApprovalState,
    ApprovalSummary,
    DiffBase,
    DiffSet,
    Effect,
    PolicyChange,
)
from pyglue.api.diff import DiffLine, FileDiff, FileStatus, Hunk, LineKind
from pyglue.cli.output.show import approval_text
from pyglue.git.filenames import problem
from pyglue.text.display import named, visible
from pyglue.text.invisible import HIDDEN, SPANS

UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zs", "Zl", "Zp"})
IGNORABLE = (
    *((0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160)),
    *((0x17B4, 0x17B5), (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E)),
    *((0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF)),
    *((0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A)),
    (0xE0000, 0xE0FFF),
)
"""Default_Ignorable_Code_Point of Unicode's DerivedCoreProperties."""


@functools.cache
def every() -> str:
    return "".join(map(chr, range(sys.maxunicode + 1)))


@functools.cache
def table() -> frozenset[str]:
    return frozenset(HIDDEN.findall(every()))


def test_whatever_unicode_does_not_draw_is_in_the_table() -> None:
    unseen = {char for char in every() if unicodedata.category(char) in UNSEEN}
    ignorable = {chr(c) for first, last in IGNORABLE for c in range(first, last + 1)}
    nothing = {chr(c) for c in range(sys.maxunicode + 1) if c & 0xFFFE == 0xFFFE}
    assert not (unseen | ignorable | nothing) - table() - {" "}


def test_nothing_that_is_drawn_is_in_the_table() -> None:
    drawn = {char for char in table() if unicodedata.category(char)[0] in "LNPS"}
    assert drawn == set("\u115f\u1160\u2800\u3164\uffa0\U0001d159"), "blank letters"


def test_the_spans_are_in_order_and_apart() -> None:
    assert all(first <= last for first, last in SPANS)
    ordered = sorted(SPANS)
    assert all(a[1] < b[0] - 1 for a, b in itertools.pairwise(ordered))


def test_terminals_pages_and_file_names_agree() -> None:
    for char in table():
        assert visible(char) != char
        assert (named(char) != char) == (char not in "\t\n")
        if not 0xD800 <= ord(char) < 0xE000:  # not to be encoded as a name
            assert problem(f"a{char}b".encode()) is not None, hex(ord(char))
    for word in ["text", "é", "日本語", "русский", "עברית", "😀", "“quotes”"]:
        assert visible(word) == named(word) == word
        assert problem(word.encode()) is None


@pytest.mark.parametrize("name", ["agent.nix ", " agent.nix", "agent.nix\u3000"])
def test_a_name_that_only_looks_like_another_is_refused(name: str) -> None:
    assert problem(name.encode()) is not None


def approval(char: str) -> ApprovalDetail:
    """Return an approval with this wherever its proposer may write."""
    line = DiffLine(kind=LineKind.ADDED, text=f"a{char}b", old_no=None, new_no=1)
    hunk = Hunk(old_start=1, old_lines=0, new_start=1, new_lines=1, lines=(line,))
    file = FileDiff(
        path=f"p{char}q",
        old_path=f"o{char}q",
        status=FileStatus.RENAMED,
        binary=False,
        old_size=None,
        new_size=1,
        hunks=(hunk,),
        truncated=False,
    )
    return ApprovalDetail(
        approval=ApprovalSummary(
            id=1,
            agent="alice",
            kind=ApprovalKind.CHANGE,
            state=ApprovalState.PENDING,
            commit="c" * 40,
            manifest_sha256="0" * 64,
            description=f"d{char}e",
            proposed_by="manager",
            created_at=0.0,
            decided_at=None,
            decided_by=None,
            reason=f"r{char}s",
            widens=(),
            operation=None,
        ),
        author=f"x{char}y",
        message="m",
        policy=(
            PolicyChange(
                option="o",
                effect=Effect.WIDENS,
                sentence=f"s{char}t",
                before=None,
                after=None,
            ),
        ),
        diffs=(DiffSet(base=DiffBase.RUNNING, commit=None, files=(file,)),),
        manifest_json="{}",
        manifest_before_json=None,
    )


def test_an_approval_in_a_terminal_shows_every_one() -> None:
    shown = approval_text(approval("".join(sorted(table()))))
    assert table().isdisjoint(shown.replace("\n", ""))
    assert "\\ufe0f" in shown, "and says which it was"
