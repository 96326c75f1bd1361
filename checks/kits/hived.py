"""hived whose agents are peers of tests (``checks.kits.harness.peer``), not the CLI.

``python -m checks.kits.hived --config FILE``. The product has no option for this: what
the local backend starts in the sandbox is given as it is made.
"""

from functools import partial
from pathlib import Path

from pyglue.host import main as hived
from pyglue.host.backends.local import LocalBackend
from pyglue.host.wiring import base

_PEER = Path(__file__).parent / "harness" / "peer.py"


def play() -> None:
    """Let every agent of this process be a peer."""
    program = ("-c", _PEER.read_text())
    vars(base)["LocalBackend"] = partial(LocalBackend, program=program)


if __name__ == "__main__":
    play()
    hived.main()
