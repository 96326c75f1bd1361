"""Runs a program in bubblewrap, with access only to what it is given.

The local backend runs agents in it, the evaluator runs Nix. ``prepare`` returns the
command line for ``pyglue.process``: new user, pid, network, mount, ipc, uts and cgroup
namespaces, no capabilities, no further user namespaces, a system call filter, a
read-only root with /usr and a small part of /etc, and the requested binds. ``probe``
tries whether that works on this machine. ``python_runtime`` has the files that our own
interpreter and package need inside.

Everything is bound by an open descriptor (``--bind-fd``): bubblewrap checks that it
bound the opened file, so a path swapped in between fails, and closes the descriptor
before the program starts. (Measured: a plain ``/proc/self/fd/N`` stays open inside, and
``/proc/self/fd/N/..`` then leads out.) ``reach`` makes places accessible whose paths
the user cannot traverse.
"""

from pyglue.sandbox.probe import UNSAFE_VARIABLE, Probe, Support, probe
from pyglue.sandbox.reach import reach
from pyglue.sandbox.runtime import (
    PythonRuntime,
    own_places,
    program_binds,
    python_runtime,
)
from pyglue.sandbox.spec import Bind, Prepared, SandboxSpec, prepare

__all__ = [
    "UNSAFE_VARIABLE",
    "Bind",
    "Prepared",
    "Probe",
    "PythonRuntime",
    "SandboxSpec",
    "Support",
    "own_places",
    "prepare",
    "probe",
    "program_binds",
    "python_runtime",
    "reach",
]
