"""hived whose agents are peers of tests (``checks.kits.harness.peer``), not the CLI.

``python -m checks.kits.host.hived --config FILE``. The product has no option for this:
what the local backend starts in the sandbox is given as it is made. With ``UNCHECKED``
in its environment, agents run the real harness, which does not check the CLI at its
start: that takes a start of the CLI. For this hived a day passes at once when it gets
``A_DAY``, a signal.
"""

import os
import signal
import time
from pathlib import Path
from typing import Final

from pyglue.config import HiveConfig
from pyglue.host import main as hived
from pyglue.host.backends.local import LocalBackend
from pyglue.host.wiring import base

A_DAY: Final = signal.SIGUSR1
_DAY_S: Final = 24 * 60 * 60
_KITS: Final = Path(__file__).parents[1]
UNCHECKED: Final = "HIVE_TEST_UNCHECKED"
_PEER: Final = ("-c", (_KITS / "harness" / "peer.py").read_text())
_HARNESS: Final = ("-c", (_KITS / "harness" / "unchecked.py").read_text())


class _Peers(LocalBackend):
    def __init__(self, config: HiveConfig) -> None:
        super().__init__(config, program=_PEER)


class _Unchecked(LocalBackend):
    def __init__(self, config: HiveConfig) -> None:
        super().__init__(config, program=_HARNESS)


def play() -> None:
    """Let every agent of this process be a peer, or a harness that checks nothing."""
    assert LocalBackend in base._BACKENDS
    vars(base)["_BACKENDS"] = (_Unchecked if UNCHECKED in os.environ else _Peers,)


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


if __name__ == "__main__":
    play()
    pass_days()
    hived.main()
