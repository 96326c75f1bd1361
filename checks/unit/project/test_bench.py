"""Reports of benchmarks, as a table and as JSON. Nothing is measured."""

import json
import sys
from importlib import import_module
from typing import Any

import pytest

from checks.bench.measure import Figure
from checks.bench.report import as_json, as_table

FAST = Figure(
    "fast", tuple(map(float, range(1, 201))), 50.25, 3.0, {"a": 50, "b": 0.25}
)
SLOW = Figure("slow", (4.0, 2.0, 3.0), 1.0, 2.5, {"bare": 1.0})


@pytest.fixture
def bench() -> Any:
    """The program, imported where it is used: each worker would take 1 s for it."""
    return import_module("checks.bench.__main__")


def test_figures() -> None:
    assert (FAST.median, FAST.p99, FAST.ratio) == (100.5, 198.0, 2.0)
    assert (SLOW.median, SLOW.p99, SLOW.ratio) == (3.0, 4.0, 3.0)


def test_json_has_one_object_with_all_of_them() -> None:
    fast, slow = json.loads(as_json([FAST, SLOW]))["benchmarks"]
    assert fast == {
        "name": "fast",
        "median": 100.5,
        "p99": 198.0,
        "unit": "ms",
        "reference": 50.25,
        "ratio": 2.0,
        "samples": 200,
    }
    assert slow["name"] == "slow"


def test_the_table_says_what_is_within_its_limit() -> None:
    title, fast, slow, _, what, _ = as_table([FAST, SLOW]).splitlines()
    assert title.split()[-2:] == ["limit", "within"]
    assert fast.split()[-3:] == ["2.00", "3", "yes"]
    assert slow.split()[-3:] == ["3.00", "2.5", "no"]
    assert what == "fast: 200 samples beside a 50.00 + b 0.25 ms"


def test_an_unknown_name_is_refused_with_those_there_are(
    bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["checks.bench", "nope"])
    with pytest.raises(SystemExit):
        bench.main()
    said = capsys.readouterr().err
    names = ("send_recv_wake", "proposal_render", "turn_oneshot", "warm_start")
    assert "no benchmark nope" in said and all(name in said for name in names)


def test_a_figure_may_be_named_instead_of_its_benchmark(
    bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = []

    async def browser() -> tuple[Figure, ...]:
        ran.append("browser")
        return (FAST, SLOW)

    monkeypatch.setitem(bench.BENCHMARKS, "overview_browser", browser)
    names = ["blocked_page", "first_paint"]
    monkeypatch.setattr(sys, "argv", ["checks.bench", "--json", *names])
    bench.main()
    assert ran == ["browser"]
    assert len(json.loads(capsys.readouterr().out)["benchmarks"]) == 2
