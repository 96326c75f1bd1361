"""Imports hived once, and forks one whenever it is asked.

``python -m checks.kits.host.forked_hived DESCRIPTOR`` answers what comes through that
socket (``checks.kits.host.forks``): to arguments, variables and a descriptor for what
it says, the process ID of a new hived; to a process ID, how that hived ended. It ends
when the socket is closed, and all that it has forked with it.
"""

import ctypes
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Final

from checks.kits.host import hived

_PR_SET_PDEATHSIG: Final = 1
_QUESTION_MAX: Final = 64 * 1024


def serve(asking: socket.socket) -> bool:
    """Answer; return True in what was forked, and False at the end."""
    while True:
        asked, descriptors, _, _ = socket.recv_fds(asking, _QUESTION_MAX, 1)
        if not asked:
            return False
        question = json.loads(asked)
        if isinstance(question, int):
            _, status = os.waitpid(question, 0)
            answer = os.waitstatus_to_exitcode(status)
        else:
            (argv, env), (output,) = question, descriptors
            answer = os.fork()
            if answer == 0:
                become(argv, env, output)
                return True
            os.close(output)
        asking.send(json.dumps(answer).encode())


def become(argv: Sequence[str], env: Mapping[str, str], output: int) -> None:
    """Have what a process has that was started by itself."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    os.setsid()
    for standard in (1, 2):
        os.dup2(output, standard)
    os.close(output)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    sys.argv = ["hived", *argv]


def main(descriptor: int) -> None:
    """Serve until the socket ends; in a fork, run hived."""
    with socket.socket(fileno=descriptor) as asking:
        is_fork = serve(asking)
    if is_fork:
        hived.main()


if __name__ == "__main__":
    main(int(sys.argv[1]))
