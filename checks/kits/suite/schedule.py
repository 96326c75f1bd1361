"""The order of the suite and its duration: the longest files first.

A file goes to one worker whole, and a worker takes the next file when it is nearly
done with its own (pytest-xdist). So the run is as short as it can be when the long
files begin first and the short ones fill the end. ``seconds.json`` says how long each
file took when it was last recorded (``make test ARGS=--record-seconds``). It orders
and does nothing else: a file that it does not know, or is wrong about, costs time only.

All of ``checks/systemd`` goes to one worker, so that one host is booted for the run.
The browser's tests come last: Playwright's loop runs in the main thread from its first
page to the end of the session, and no asyncio test can run beside it.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest

_CHECKS: Final = Path(__file__).resolve().parents[2]
_RECORD: Final = _CHECKS / "seconds.json"
_WHOLE: Final = "systemd"
"""The group that is not divided."""
_LAST: Final = "browser"
_UNKNOWN_S: Final = 10
"""What a file that is not in the record is taken for."""


def workers(cores: int) -> int:
    """Return how many processes run tests: twice as many as there are cores.

    Much of a test's time is spent waiting for programs, for the disk and for time-outs.
    """
    return 2 * cores


def group_of(path: str) -> str:
    """Return the directory below ``checks`` that a file's or test's name begins with.

    A file elsewhere is its own group.
    """
    parts = Path(path.split("::")[0]).parts
    return parts[1] if len(parts) > 2 and parts[0] == _CHECKS.name else parts[0]


def unit_of(nodeid: str) -> str:
    """Return what a test is run together with: its file, or its whole group."""
    group = group_of(nodeid)
    return group if group == _WHOLE else nodeid.split("::")[0]


def recorded() -> dict[str, float]:
    """Return the seconds of each file, as they were last recorded."""
    found: dict[str, float] = json.loads(_RECORD.read_text())
    return found


def ordered(nodeids: Iterable[str], seconds: dict[str, float]) -> list[str]:
    """Return what runs together, the longest first and the browser's files last."""
    files = dict.fromkeys(nodeid.split("::")[0] for nodeid in nodeids)
    long: defaultdict[str, float] = defaultdict(float)
    for file in files:
        long[unit_of(file)] += seconds.get(file, _UNKNOWN_S)
    return sorted(long, key=lambda unit: (group_of(unit) == _LAST, -long[unit], unit))


class Seconds:
    """A plugin: adds up how long the files took, shows the groups, and records."""

    def __init__(self, *, record: bool) -> None:
        self._record = record
        self._files: defaultdict[str, float] = defaultdict(float)
        self._tests: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add a phase of a test to its file."""
        file = report.nodeid.split("::")[0]
        self._files[file] += report.duration
        self._tests[file] += report.when == "call"

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Show the groups: their tests, seconds, and longest file."""
        groups = sorted({group_of(file) for file in self._files})
        if len(groups) > 1:
            terminalreporter.section("seconds of all workers")
            self._show(terminalreporter, groups)
        if self._record:
            self._write()

    def _show(self, terminalreporter: Any, groups: list[str]) -> None:
        for group in groups:
            files = [file for file in self._files if group_of(file) == group]
            longest = max(files, key=self._files.__getitem__)
            terminalreporter.line(
                f"{group:8} {sum(self._tests[file] for file in files):6} tests "
                f"{sum(self._files[file] for file in files):6.0f} s, "
                f"of them {self._files[longest]:.0f} s in {longest}"
            )

    def _write(self) -> None:
        kept = recorded() | {f: round(s, 1) for f, s in self._files.items()}
        there = {f: s for f, s in kept.items() if (_CHECKS.parent / f).exists()}
        text = json.dumps(dict(sorted(there.items())), indent=0)
        _RECORD.write_text(f"{text}\n")
