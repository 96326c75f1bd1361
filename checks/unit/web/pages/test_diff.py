"""The diff's rows: pairs, limits that say so, and the text without limits."""

import msgspec

from checks.kits.web import data as data
from pyglue.api.diff import DiffLine, FileDiff, FileStatus, Hunk, LineKind
from pyglue.web.pages import diff as diffview


def lines_of(count: int, text: str = "x") -> tuple[DiffLine, ...]:
    return tuple(
        DiffLine(kind=LineKind.ADDED, text=text, old_no=None, new_no=number + 1)
        for number in range(count)
    )


def added(path: str, lines: tuple[DiffLine, ...]) -> FileDiff:
    hunk = Hunk(old_start=0, old_lines=0, new_start=1, new_lines=0, lines=lines)
    empty = data.file_diff(path, "", "x")
    return msgspec.structs.replace(empty, hunks=(hunk,) if lines else ())


def test_counts_and_numbers() -> None:
    (view,) = diffview.build([data.file_diff("a.txt", "1\n2\n3\n", "1\ntwo\n3\n4\n")])
    assert (view.added, view.removed, view.complete) == (2, 1, True)
    cells = view.hunks[0].cells
    assert [(c.sign, c.old_no, c.new_no, str(c.html)) for c in cells] == [
        (" ", 1, 1, "1"),
        ("-", 2, None, "2"),
        ("+", None, 2, "two"),
        (" ", 3, 3, "3"),
        ("+", None, 4, "4"),
    ]


def test_side_by_side_pairs_removed_with_added() -> None:
    (view,) = diffview.build([data.file_diff("a.txt", "a\nb\nc\n", "a\nB\nx\nc\n")])
    rows = [
        (row.left and str(row.left.html), row.right and str(row.right.html))
        for row in view.hunks[0].rows
    ]
    assert rows == [("a", "a"), ("b", "B"), (None, "x"), ("c", "c")]


def test_nix_is_coloured_on_both_sides() -> None:
    (view,) = diffview.build([data.file_diff("x.nix", "{ a = 1; }", '{ a = "<1>"; }')])
    html = "".join(str(cell.html) for cell in view.hunks[0].cells)
    assert '<span class="n"><mark>1</mark></span>' in html
    assert '<span class="s"><mark>&lt;1&gt;</mark></span>' in html


def test_binary_files_are_said() -> None:
    (view,) = diffview.build([data.binary("logo.png")])
    assert not view.complete
    assert view.note == "Binary file, not shown (before: absent, after: 2,048 bytes)."


def test_a_long_file_is_cut_with_a_note() -> None:
    (view,) = diffview.build([added("a.txt", lines_of(diffview.FILE_LINES + 5))])
    assert sum(len(hunk.cells) for hunk in view.hunks) == diffview.FILE_LINES
    assert view.note == "5 of 2,005 lines are not shown."
    assert view.added == diffview.FILE_LINES + 5


def test_a_page_of_many_files_is_cut_and_every_file_is_named() -> None:
    files = [added(f"{n}.txt", lines_of(diffview.FILE_LINES)) for n in range(5)]
    views = diffview.build(files)
    assert [view.complete for view in views] == [True, True, True, False, False]
    assert diffview.hidden(files) == 2


def test_long_lines_and_hived_s_own_cut_are_said() -> None:
    long = added("a.txt", lines_of(1, "x" * 1_000_000))
    cut = msgspec.structs.replace(added("b.txt", lines_of(1)), truncated=True)
    first, second = diffview.build([long, cut])
    assert first.note == "Long lines are truncated."
    assert second.note == "The file is too large; some lines were left out."


def test_a_path_cannot_break_its_line() -> None:
    (view,) = diffview.build([added("a\nb\tc.nix", lines_of(1))])
    assert view.path == "a\u240ab\u2409c.nix"


def test_renames_and_modes_are_said() -> None:
    file = msgspec.structs.replace(
        added("new.sh", ()),
        old_path="old.sh",
        status=FileStatus.RENAMED,
        new_executable=True,
    )
    (view,) = diffview.build([file])
    assert (view.status, view.mode) == ("renamed", ", now executable")
    assert view.old_path == "old.sh"


def test_as_text_has_everything_by_name() -> None:
    file = added("a.txt", (*lines_of(3000), *lines_of(1, "\x1b[2K\u202eend")))
    whole = "".join(diffview.as_text([file, data.binary("b.bin")]))
    assert whole.count("\n+x") == 3000
    assert "+\u241b[2K\u2039U+202E\u203aend\n" in whole
    assert "before: absent, after: 2,048 bytes" in whole
    assert "\x1b" not in whole
