"""A repeated complaint is logged a few times, then counted."""

import logging

from pyglue.limits import HIVED
from pyglue.program.log import RepeatFilter


def record(
    text: str, *values: object, level: int = logging.WARNING
) -> logging.LogRecord:
    return logging.LogRecord("some", level, __file__, 1, text, values, None)


def test_the_same_complaint_is_written_a_few_times_then_counted() -> None:
    now = [0.0]
    repeats = RepeatFilter(lambda: now[0])
    through = [repeats.filter(record("%s failed", number)) for number in range(100)]
    assert through == [True] * HIVED.log_burst + [False] * (100 - HIVED.log_burst)
    assert repeats.filter(record("another: %s", "x"))
    now[0] = HIVED.log_s
    late = record("%s failed", "x")
    assert repeats.filter(late)
    left_out = 100 - HIVED.log_burst
    assert late.getMessage() == f"x failed ({left_out} more were suppressed)"
    again = record("%s failed", "y")
    assert repeats.filter(again)
    assert again.getMessage() == "y failed"


def test_what_is_no_complaint_is_all_written() -> None:
    repeats = RepeatFilter()
    lines = [record("head=%s", "x", level=logging.INFO) for _ in range(100)]
    assert all(map(repeats.filter, lines))


def test_kinds_without_end_are_forgotten() -> None:
    repeats = RepeatFilter()
    for number in range(5000):
        assert repeats.filter(record(f"kind {number}"))
    assert len(repeats._kinds) <= 1000


def test_values_that_are_filled_in_already_make_no_other_complaint() -> None:
    repeats = RepeatFilter(lambda: 0.0)
    said = [f"Invalid request from ip=: {number}" for number in range(100)]
    through = [repeats.filter(record(text)) for text in said]
    assert sum(through) == HIVED.log_burst
    assert repeats.filter(record("Another complaint: 1"))
