"""Tests whether agents can be confined on this machine.

Called once at start by the local backend, and by ``hive doctor`` through it. There are
four outcomes, each with a sentence for the operator that names the command or setting
for anything that is missing.
"""

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from pyglue.errors import HiveError
from pyglue.process import RunAs, run_sync
from pyglue.sandbox.spec import SandboxSpec, prepare

UNSAFE_VARIABLE: Final = "HIVE_UNSAFE_NO_SANDBOX"
_TIMEOUT_S: Final = 20.0
_SETTINGS: Final = (
    (
        "kernel/unprivileged_userns_clone",
        "0",
        (
            "this kernel forbids user namespaces to ordinary users; allow them with "
            "`sysctl -w kernel.unprivileged_userns_clone=1`"
        ),
    ),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        (
            "AppArmor forbids user namespaces; give bwrap an AppArmor profile or allow "
            "them with `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`"
        ),
    ),
    (
        "user/max_user_namespaces",
        "0",
        (
            "the kernel allows no user namespaces; allow them with `sysctl -w "
            "user.max_user_namespaces=10000`"
        ),
    ),
)


class Support(StrEnum):
    """How agents can be confined here, best first."""

    BWRAP = "bwrap"
    UID_ONLY = "uid_only"
    UNSAFE = "unsafe"
    REFUSED = "refused"


@dataclass(frozen=True)
class Probe:
    """What works, and why there is nothing better (empty for BWRAP)."""

    support: Support
    reason: str


def probe(run_as: RunAs | None) -> Probe:
    """Try a sandbox as ``run_as`` (None: this user). Blocking, about 20 ms.

    Root without ``run_as`` is refused: bubblewrap as root keeps capabilities, and
    without bubblewrap the agent would be root.
    """
    root = os.geteuid() == 0
    if root and (run_as is None or run_as.uid == 0):
        return Probe(
            Support.REFUSED,
            "Agents never run as root: set `ids` in the configuration file to "
            "unprivileged users.",
        )
    problem = _try(run_as)
    if problem is None:
        return Probe(Support.BWRAP, "")
    if os.environ.get(UNSAFE_VARIABLE) == "1" and not root:
        return Probe(Support.UNSAFE, problem)
    return Probe(Support.UID_ONLY if root else Support.REFUSED, problem)


def _try(run_as: RunAs | None) -> str | None:
    """Return None if a sandbox works, otherwise the remedy."""
    try:
        with prepare(SandboxSpec(), ["true"], run_as=run_as) as prepared:
            done = run_sync(
                prepared.argv,
                env={},
                timeout=_TIMEOUT_S,
                run_as=run_as,
                pass_fds=prepared.pass_fds,
                wrapper=prepared.wrapper,
            )
    except HiveError as error:
        if error.details.get("program") == "bwrap":
            return "bubblewrap is not installed (Debian: `apt install bubblewrap`)."
        return error.message
    if done.code == 0:
        return None
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    last = lines[-1] if lines else f"exit code {done.code}"
    if "nknown option" in last:
        return f"bubblewrap is too old ({last}); update it to 0.10 or later."
    return f"bubblewrap does not work here: {_why() or last}."


def _why() -> str | None:
    for name, forbidden, sentence in _SETTINGS:
        try:
            value = (Path("/proc/sys") / name).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if value == forbidden:
            return sentence
    return None
