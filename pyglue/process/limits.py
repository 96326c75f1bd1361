"""Limits and user of a program, as a prefix of its command line.

Limits and IDs are set by ``prlimit`` and ``setpriv`` (util-linux) before the program's
first instruction. Measured from a process of 130 MB: prlimit adds 0.3 ms, setpriv
1.5 ms. subprocess' own ``user=`` gives up vfork and costs 8 ms, ``preexec_fn`` is not
safe with threads, and prlimit(2) after the start leaves a gap.
"""

import os
import resource
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyglue.errors import ErrorCode, HiveError

_FILES: Final = 1024
_FILES_LEAST: Final = 64
"""Number of open files that every program of the hive needs."""


@dataclass(frozen=True, kw_only=True)
class Rlimits:
    """Limits of each process: bytes, CPU seconds, counts; None leaves one unchanged.

    ``processes`` counts all processes of the user, not only those of this run.
    """

    address_space: int | None = None
    cpu_s: int | None = None
    file_size: int | None = None
    open_files: int | None = None
    processes: int | None = None

    def prefix(self) -> list[str]:
        """Return the ``prlimit`` part of a command line; core dumps are always off.

        A stricter hard limit of this process stays in force. The soft limit of open
        files is reset to the usual one: see ``raise_open_files``.
        """
        args = ["--core=0"]
        if self.open_files is None:
            args.append(f"--nofile={_capped(resource.RLIMIT_NOFILE, _FILES)}:")
        for option, which, value in (
            ("as", resource.RLIMIT_AS, self.address_space),
            ("cpu", resource.RLIMIT_CPU, self.cpu_s),
            ("fsize", resource.RLIMIT_FSIZE, self.file_size),
            ("nofile", resource.RLIMIT_NOFILE, self.open_files),
            ("nproc", resource.RLIMIT_NPROC, self.processes),
        ):
            if value is not None:
                args.append(f"--{option}={_capped(which, value)}")
        return [find_program("prlimit"), *args, "--"]

    def apply(self, pid: int) -> None:
        """Limit a running process: this one, or a child that has not been reaped.

        For programs that have read nothing hostile yet. As with ``prefix``, core dumps
        are off and a stricter limit of this process stays in force.
        """
        for which, value in (
            (resource.RLIMIT_AS, self.address_space),
            (resource.RLIMIT_CPU, self.cpu_s),
            (resource.RLIMIT_FSIZE, self.file_size),
            (resource.RLIMIT_NOFILE, self.open_files),
            (resource.RLIMIT_NPROC, self.processes),
            (resource.RLIMIT_CORE, 0),
        ):
            if value is not None:
                bound = _capped(which, value)
                resource.prlimit(pid, which, (bound, bound))


def _capped(which: int, value: int) -> int:
    hard = resource.getrlimit(which)[1]
    return value if hard == resource.RLIM_INFINITY else min(value, hard)


def raise_open_files() -> None:
    """Raise this process's limit of open files to the hard limit.

    The default soft limit is 1,024, for programs that still use select(2); hived and
    the relay keep several descriptors for each agent.

    Raises:
        HiveError: ``config_invalid`` if the hard limit is too low.
    """
    need_open_files()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def need_open_files() -> None:
    """Refuse to run with too few open files: any later error would be unclear.

    Raises:
        HiveError: ``config_invalid``.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _FILES_LEAST:
        raise HiveError(
            ErrorCode.CONFIG_INVALID,
            f"At most {hard} files may be open at once, and {_FILES_LEAST} are needed. "
            "Raise the limit: `ulimit -n 1024`, or LimitNOFILE= of the unit.",
        )


def open_files() -> int:
    """Return the number of files that this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


@dataclass(frozen=True)
class RunAs:
    """The numeric user, group and supplementary groups of a program."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()

    def prefix(self) -> list[str]:
        """Return the ``setpriv`` part of a command line; empty if nothing changes."""
        if (self.uid, self.gid) == (os.geteuid(), os.getegid()):
            return []
        ids = [f"--reuid={self.uid}", f"--regid={self.gid}"]
        groups = ",".join(map(str, self.groups))
        ids.append(f"--groups={groups}" if groups else "--clear-groups")
        return [
            find_program("setpriv"),
            *ids,
            "--inh-caps=-all",
            "--no-new-privs",
            "--",
        ]


def command_line(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    limits: Rlimits | None,
    run_as: RunAs | None,
    wrapper: Sequence[str] = (),
) -> list[str]:
    """Return the whole command line of ``argv`` under ``limits`` as ``run_as``.

    ``wrapper`` comes first and still runs as this process's user.

    Raises:
        HiveError: ``missing_program``.
    """
    line = [resolve(argv[0], env.get("PATH", os.defpath)), *argv[1:]]
    if run_as is not None:
        line = run_as.prefix() + line
    if limits is not None:
        line = limits.prefix() + line
    return [*wrapper, *line]


def resolve(program: str, path: str) -> str:
    """Return the absolute path of ``program``, looked up in ``path``.

    Raises:
        HiveError: ``missing_program``.
    """
    found = shutil.which(program, path=path)
    if found is None:
        raise HiveError(
            ErrorCode.MISSING_PROGRAM,
            f"{Path(program).name} was not found. Install it and put it on the PATH "
            "of the hive's processes.",
            details={"program": Path(program).name},
        )
    return str(Path(found).absolute())


_TOOL_PATH: Final = "/run/current-system/sw/bin:/usr/bin:/bin"


def find_program(name: str) -> str:
    """Return the absolute path of a program that the hive itself uses.

    Looked up in this process's PATH, then where the system keeps its own.

    Raises:
        HiveError: ``missing_program``.
    """
    return resolve(name, f"{os.environ.get('PATH', '')}:{_TOOL_PATH}")
