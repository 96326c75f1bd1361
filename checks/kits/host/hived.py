"""hived whose agents are peers of tests (``checks.kits.harness.peer``), not the CLI.

``python -m checks.kits.host.hived --config FILE``. The product has no option for this:
what the local backend starts in the sandbox is replaced. The agents that ``REAL`` in
its environment names, or all with ``ALL``, run the real harness; with ``UNCHECKED``
that does not check the CLI at its start, which takes a start of the CLI. For this hived
a day passes at once when it gets ``A_DAY``, a signal.
"""

import os
import signal
import time
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from pyglue.config import HiveConfig
from pyglue.host import main as hived
from pyglue.host.backends.base import AgentSpec
from pyglue.host.backends.local import LocalBackend
from pyglue.host.backends.local_start import LocalStart
from pyglue.host.wiring import base
from pyglue.sandbox import Prepared

A_DAY: Final = signal.SIGUSR1
_DAY_S: Final = 24 * 60 * 60
_KITS: Final = Path(__file__).parents[1]
REAL: Final = "HIVE_TEST_REAL"
ALL: Final = "*"
UNCHECKED: Final = "HIVE_TEST_UNCHECKED"
_PEER: Final = ("-c", (_KITS / "harness" / "peer.py").read_text())
_HARNESS: Final = ("-c", (_KITS / "harness" / "unchecked.py").read_text())


class _Start(LocalStart):
    """Starts a peer, or the real harness for an agent that has it."""

    def prepared(self, spec: AgentSpec, *arguments: Any, **named: Any) -> Prepared:
        real = {ALL, spec.name}.intersection(os.environ.get(REAL, "").split())
        harness = _HARNESS if UNCHECKED in os.environ else self.program
        values = {**_values(self), "program": harness if real else _PEER}
        return LocalStart(**values).prepared(spec, *arguments, **named)


def _values(start: LocalStart) -> dict[str, Any]:
    return {field.name: getattr(start, field.name) for field in fields(start)}


class _Peers(LocalBackend):
    def __init__(self, config: HiveConfig) -> None:
        super().__init__(config)
        self._start = _Start(**_values(self._start))


def play() -> None:
    """Let the agents of this process be peers, but for those with the real harness."""
    assert LocalBackend in base._BACKENDS
    vars(base)["_BACKENDS"] = (_Peers,)


def pass_days() -> None:
    """Move the clocks of this process, also asyncio's, a day on at each signal."""
    days = 0

    def one_more(_number: int, _frame: object) -> None:
        nonlocal days
        days += 1

    for name in ("time", "monotonic"):
        real = getattr(time, name)
        vars(time)[name] = lambda real=real: real() + days * _DAY_S
    signal.signal(A_DAY, one_more)


def main() -> None:
    """Run hived."""
    play()
    pass_days()
    hived.main()


if __name__ == "__main__":
    main()
