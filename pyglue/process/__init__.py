"""Starts other programs; no other code on the host does.

``run`` (asyncio) and ``run_sync`` (threads) run a program to its end, ``Standby`` one
that was started before its input is known (``spare``); ``Child`` keeps a long-lived
one, ``Piped`` an interactive one, ``PtyShell`` the shell of a terminal.
Always with an argument list, never through a shell; in a clean environment given by the
caller; in a session (``Piped``: a group) of its own, killed as a whole on timeout, on
cancellation, on too much output, and after the program has ended. Failures are a
``HiveError``: ``missing_program``, ``timeout``, ``too_large``, ``unavailable``; a
non-zero exit code is a result, not an error. Used by git, nix, sandbox, host, harness
and cli. All of them are based on ``started``, which git uses directly because it
handles overruns itself.

A process that starts a session of its own leaves the group, and is killed as long as it
descends from the program; an orphan in a session of its own is contained by nothing but
a pid namespace (see ``pyglue.sandbox``).

A module is imported when one of its names is first used: the child that checks an
agent's pack starts often, and needs ``started`` without asyncio.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pyglue.process.child import Child
    from pyglue.process.filter import filtered
    from pyglue.process.limits import (
        Rlimits,
        RunAs,
        find_program,
        need_open_files,
        open_files,
        raise_open_files,
    )
    from pyglue.process.logfile import LogFile
    from pyglue.process.once import Completed, Standby, describe_exit, run, run_sync
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
    "Standby",
    "describe_exit",
    "filtered",
    "find_program",
    "kill",
    "need_open_files",
    "open_files",
    "raise_open_files",
    "run",
    "run_sync",
]

_MODULES: Final = {
    "Child": "child",
    "Completed": "once",
    "LogFile": "logfile",
    "Piped": "piped",
    "PtyShell": "pty",
    "Standby": "once",
    "describe_exit": "once",
    "filtered": "filter",
    "kill": "pidfd",
    "run": "once",
    "run_sync": "once",
}
"""The module of a name; the others are in ``limits``."""

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"pyglue.process has no {name!r}")
        module = import_module(f"{__name__}.{_MODULES.get(name, 'limits')}")
        return getattr(module, name)
