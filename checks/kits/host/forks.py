"""A local hive's hived as a fork of a process that has imported it.

Imports are half of a start of hived. Each process of pytest has one that forks
(``checks.kits.host.forked_hived``), from the first hive on. /proc tells the command
line and the variables of that one: a test of these asks for a hived that is not
``forked``.
"""

import atexit
import functools
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from pyglue.cli.local.parts import Parts, Program
from pyglue.process import Child, LogFile

HIVED: Final = "checks.kits.host.hived"
FORKED: Final = "checks.kits.host.forked_hived"
CHECKOUT: Final = Path(__file__).resolve().parents[3]
_ANSWER_MAX: Final = 1024
_ASKING: Final = threading.Lock()
"""Hives may run in several threads, and an answer belongs to the question before it."""


class ForkingParts(Parts):
    """The parts of a local hive whose hived is a fork."""

    def child(self, program: Program, env: Mapping[str, str], log: LogFile) -> Child:
        """Start the process of a part."""
        if program.module != HIVED:
            return super().child(program, env, log)
        reader, writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(reader, False)
        try:
            forked = Forked(_ask([program.argv, dict(env)], writer))
        finally:
            os.close(writer)
        process = cast("subprocess.Popen[bytes]", forked)
        return Child(process, output=reader, log=log, on_line=None)


@dataclass(frozen=True)
class Forked:
    """A hived, as far as ``Child`` asks for its process."""

    pid: int

    def wait(self) -> int:
        """Return how it ended, once it has."""
        return _ask(self.pid)


def _ask(question: int | Sequence[Any], *descriptors: int) -> int:
    with _ASKING:
        forks = _forks()
        socket.send_fds(forks, [json.dumps(question).encode()], descriptors)
        said = forks.recv(_ANSWER_MAX)
    assert said, "the process that forks hiveds has ended; its errors are above"
    answer: int = json.loads(said)
    return answer


@functools.cache
def _forks() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", FORKED, str(theirs.fileno())],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(CHECKOUT),
                "PYTHONUNBUFFERED": "1",
            },
            stdin=subprocess.DEVNULL,
            cwd="/",
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
            umask=0o022,
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours
