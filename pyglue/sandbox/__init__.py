"""Run a program where it sees and reaches only what it is given: bubblewrap.

The local backend runs agents in it, the evaluator Nix. ``prepare`` makes the command
line that ``pyglue.process`` then starts: own user, pid, network, mount, ipc, uts and
cgroup namespaces, no capability, no new user namespace, a system call filter, a
read-only root of /usr, a little of /etc, and the binds asked for. ``probe`` finds out
by doing it whether it works on this machine. ``python_runtime`` is what our own
interpreter and package need inside.

Everything is bound by an open descriptor (``--bind-fd``): bubblewrap checks that what
it bound is what was opened, so a path swapped in between fails, and closes it before
the program starts. (Measured: a plain ``/proc/self/fd/N`` stays open inside, and
``/proc/self/fd/N/..`` then leads out.) What the user cannot walk to, ``reach`` shows.
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
