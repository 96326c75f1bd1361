"""The changed words of a line."""

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyglue.api.diff import DiffLine, LineKind
from pyglue.web.pages.highlight import Budget, coloured, line
from pyglue.web.pages.word_diff import Span, changed_words, compare


def _words(old: str, new: str) -> tuple[str | None, str | None]:
    left, right = compare(old, new)
    return (
        None if left is None else old[left.start : left.end],
        None if right is None else new[right.start : right.end],
    )


@pytest.mark.parametrize(
    ("old", "new", "left", "right"),
    [
        ('  model = "haiku";', '  model = "sonnet";', "haiku", "sonnet"),
        ("a = [ 1 2 ];", "a = [ 1 2 3 ];", None, "3 "),
        ("network = false;", "network = true;", "false", "true"),
        ("one two three", "one three", "two ", None),
        ("same", "same", None, None),
        ("nothing alike", "entirely other words", None, None),
        ("", "new", None, None),
        ("aaaa", "aaaa aaaa", None, " aaaa"),
    ],
)
def test_what_differs(old: str, new: str, left: str | None, right: str | None) -> None:
    assert _words(old, new) == (left, right)


@given(st.text(max_size=60), st.text(max_size=60))
def test_all_but_the_spans_is_the_same(old: str, new: str) -> None:
    left, right = compare(old, new)
    if left is None and right is None:
        return
    rest = [
        text if span is None else text[: span.start] + text[span.end :]
        for text, span in ((old, left), (new, right))
    ]
    assert rest[0] == rest[1]


def _line(kind: LineKind, text: str) -> DiffLine:
    return DiffLine(kind=kind, text=text, old_no=1, new_no=1)


def test_lines_are_compared_with_the_ones_beside_them() -> None:
    removed, added = LineKind.REMOVED, LineKind.ADDED
    lines = [
        _line(removed, "a = 1;"),
        _line(removed, "b = 1;"),
        _line(added, "a = 2;"),
        _line(added, "b = 2;"),
        _line(added, "c = 2;"),
        _line(LineKind.CONTEXT, "x = 1;"),
        _line(added, "x = 2;"),
        _line(removed, "y = 1;"),
        _line(added, "y = 2;"),
    ]
    assert changed_words(lines) == dict.fromkeys((0, 1, 2, 3, 7, 8), Span(4, 5))


@pytest.mark.parametrize("mark", [Span(0, 3), Span(6, 9), Span(14, 40), Span(0, 40)])
def test_marking_changes_no_text(mark: Span) -> None:
    texts = ['  x = "<b>&\u202e";', "  y = ''", "    in ${z} </mark>", "  '';"]
    marked = coloured("a.nix", texts, Budget(), whole=True, marks=[mark] * len(texts))
    plain = coloured("a.nix", texts, Budget(), whole=True)
    tags = re.compile(r"</?mark>|</?span[^>]*>")
    for text, with_marks, without in zip(texts, marked, plain, strict=True):
        assert tags.sub("", with_marks) == tags.sub("", without)
        shown = "".join(re.findall(r"<mark>(.*?)</mark>", line(text, mark)))
        visible = unescape(tags.sub("", shown)).replace("\u2039U+202E\u203a", "\u202e")
        assert visible == text[mark.start : mark.end]
