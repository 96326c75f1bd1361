"""Start other programs: the one place on the host that does.

``run`` (asyncio) and ``run_sync`` (threads) run a program to its end; ``Child`` keeps
a long-lived one, ``Piped`` one that is spoken with, ``PtyShell`` a terminal's. Always
an argument list, never a shell; a clean environment that the caller names; a session
(of ``Piped``: a group) of its own, killed as a whole on timeout, on cancellation, when
it says too much, and after it has ended. What fails is a ``HiveError``:
``missing_program``, ``timeout``, ``too_large``, ``unavailable``; an exit code other
than 0 is an answer, not an error. Used by nix, sandbox, host, harness and cli.

A process that makes a session of its own leaves the group; only a pid namespace (see
``pyglue.sandbox``) holds those.
"""

from pyglue.process.child import Child
from pyglue.process.limits import (
    Rlimits,
    RunAs,
    find_program,
    need_open_files,
    open_files,
    raise_open_files,
)
from pyglue.process.logfile import LogFile
from pyglue.process.once import Completed, describe_exit, run, run_sync
from pyglue.process.pidfd import kill
from pyglue.process.piped import Piped
from pyglue.process.pty import PtyShell

__all__ = [
    "Child",
    "Completed",
    "LogFile",
    "Piped",
    "PtyShell",
    "Rlimits",
    "RunAs",
    "describe_exit",
    "find_program",
    "kill",
    "need_open_files",
    "open_files",
    "raise_open_files",
    "run",
    "run_sync",
]
