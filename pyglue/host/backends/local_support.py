"""How well this machine can isolate local agents, and the warnings about it."""

import sys
from typing import Final

from pyglue.process import RunAs, run_sync
from pyglue.sandbox import UNSAFE_VARIABLE, Probe, PythonRuntime, Support, probe

ISOLATION: Final = {
    Support.BWRAP: (
        "bubblewrap: own files, processes, network and users, no capabilities, "
        "system call filter"
    ),
    Support.UID_ONLY: "separate user IDs only",
    Support.UNSAFE: "none: agents run as you",
    Support.REFUSED: "agents cannot be started",
}
"""Descriptions of the kinds of isolation."""


def examine(run_as: RunAs | None, runtime: PythonRuntime) -> Probe:
    """Probe the isolation of agents that run as ``run_as``. Blocking, about 50 ms.

    Without a sandbox, that user must have permission to run the harness in place.
    """
    found = probe(run_as)
    if found.support is not Support.UID_ONLY:
        return found
    argv = [*runtime.argv, "-c", "import pyglue.harness"]
    done = run_sync(argv, env=runtime.env, timeout=30, run_as=run_as)
    if done.code == 0:
        return found
    return Probe(
        Support.REFUSED,
        f"{found.reason} Without bubblewrap, the agents' user would have to run "
        f"{sys.executable}, but lacks permission.",
    )


def warning(found: Probe) -> str | None:
    """Return a warning about weaker isolation; None if bubblewrap works."""
    match found.support:
        case Support.BWRAP:
            return None
        case Support.UID_ONLY:
            return (
                f"Agents are separated only by their user IDs: {found.reason} They "
                "share this host's network and process list, and can read everything "
                "that all users can read; the manager cannot write to the state of "
                "others."
            )
        case Support.UNSAFE:
            return (
                f"NO SANDBOX ({UNSAFE_VARIABLE}=1): agents run as you, can access all "
                f"your files and could approve their own changes. {found.reason}"
            )
        case Support.REFUSED:
            return (
                f"Agents cannot be started: {found.reason} ({UNSAFE_VARIABLE}=1 runs "
                "them unprotected; use it only on a host without anything of value.)"
            )
