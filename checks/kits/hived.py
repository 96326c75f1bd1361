"""hived whose agents are peers of tests (``checks.kits.harness.peer``), not the CLI.

``python -m checks.kits.hived --config FILE``. The product has no option for this: what
the local backend starts in the sandbox is given as it is made.
"""

from pathlib import Path
from typing import Final

from pyglue.config import HiveConfig
from pyglue.host import main as hived
from pyglue.host.backends.local import LocalBackend
from pyglue.host.wiring import base

_PEER: Final = ("-c", (Path(__file__).parent / "harness" / "peer.py").read_text())


class _Peers(LocalBackend):
    def __init__(self, config: HiveConfig) -> None:
        super().__init__(config, program=_PEER)


def play() -> None:
    """Let every agent of this process be a peer."""
    assert LocalBackend in base._BACKENDS
    vars(base)["_BACKENDS"] = (_Peers,)


if __name__ == "__main__":
    play()
    hived.main()
