"""Which words of a changed line are new: those outside the common beginning and end."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pyglue.api.diff import DiffLine, LineKind

_WORDS: Final = re.compile(r"\w+|\s+|.", re.DOTALL)
_LINE_MAX: Final = 2000
"""Characters up to which the words of lines are compared."""
_ALIKE: Final = 1 / 3
"""Share of the longer line that both must have in common, else all of it is new."""


@dataclass(frozen=True)
class Span:
    """Characters of a line from ``start`` up to ``end``."""

    start: int
    end: int


def changed_words(lines: Sequence[DiffLine]) -> dict[int, Span]:
    """Return the changed part of lines of a hunk, by their number in it.

    The first removed line of a run is compared with the first added one after it, and
    so on, as the page shows them side by side.
    """
    found: dict[int, Span] = {}
    for old, new in _pairs(lines):
        spans = compare(lines[old].text, lines[new].text)
        for number, span in zip((old, new), spans, strict=True):
            if span is not None:
                found[number] = span
    return found


def compare(old: str, new: str) -> tuple[Span | None, Span | None]:
    """Return the part of each line that the other lacks; None for nothing, or all."""
    if old == new or max(len(old), len(new)) > _LINE_MAX:
        return None, None
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    least = min(len(before), len(after))
    head = _shared(before, after, least)
    tail = _shared(before[::-1], after[::-1], least - head)
    start, end = _length(before[:head]), _length(before[len(before) - tail :])
    if start + end < max(len(old), len(new)) * _ALIKE:
        return None, None
    return _span(start, len(old) - end), _span(start, len(new) - end)


def _pairs(lines: Sequence[DiffLine]) -> Iterator[tuple[int, int]]:
    removed: list[int] = []
    added: list[int] = []
    for number, item in enumerate(lines):
        if item.kind is LineKind.ADDED:
            added.append(number)
            continue
        if added or item.kind is LineKind.CONTEXT:
            yield from zip(removed, added, strict=False)
            removed, added = [], []
        if item.kind is LineKind.REMOVED:
            removed.append(number)
    yield from zip(removed, added, strict=False)


def _shared(before: list[str], after: list[str], most: int) -> int:
    """Return how many words they have in common at the beginning."""
    return next((n for n in range(most) if before[n] != after[n]), most)


def _length(words: list[str]) -> int:
    return sum(map(len, words))


def _span(start: int, end: int) -> Span | None:
    return Span(start, end) if end > start else None
