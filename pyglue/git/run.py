"""Run git and the checking child, in a fixed, clean environment.

Only called by the other modules of this package. git sees no user or system
configuration, no hooks, no prompts and no transport; writes are synced to disk unless
they are temporary. Blocking; ``process.started`` has the mechanics.
"""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Required, TypedDict, Unpack

from pyglue.errors import ErrorCode, HiveError
from pyglue.git.filenames import show
from pyglue.process.limits import Rlimits
from pyglue.process.started import Ran, Started

if TYPE_CHECKING:  # the checking child starts often and does not need it
    from pyglue.git.fence import Place

DEFAULT_TIMEOUT: Final = 60.0

_CONFIG: Final = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.fsync": "all",
    "core.bigFileThreshold": "4m",
    "protocol.allow": "never",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "pack.threads": "1",
    "transfer.credentialsInUrl": "die",
}


def clean_environment(program: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the only variables that a child of this package sees."""
    environment = {
        "PATH": str(program.parent),
        "HOME": "/nonexistent",
        "XDG_CONFIG_HOME": "/nonexistent",
        "LC_ALL": "C",
        "TZ": "UTC",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
        "GIT_EDITOR": "/bin/false",
        "GIT_PAGER": "cat",
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_CONFIG_COUNT": str(len(_CONFIG)),
    }
    for number, (key, value) in enumerate(_CONFIG.items()):
        environment[f"GIT_CONFIG_KEY_{number}"] = key
        environment[f"GIT_CONFIG_VALUE_{number}"] = value
    environment.update(extra)
    return environment


class How(TypedDict, total=False):
    """The options of ``start_git``."""

    git_dir: Required[Path]
    work_tree: Path | None
    extra_env: Mapping[str, str] | None
    durable: bool
    pass_fds: Sequence[int]


def start_git(
    args: Sequence[str],
    *,
    git_dir: Path,
    work_tree: Path | None = None,
    extra_env: Mapping[str, str] | None = None,
    durable: bool = True,
    pass_fds: Sequence[int] = (),
) -> Started:
    """Start ``git args`` on one of the host's repositories; it waits for its input.

    With ``durable`` False nothing is synced to disk, for data that may be lost in a
    crash. ``pass_fds`` are the descriptors named by paths in ``/proc/self/fd``.

    Raises:
        HiveError: ``missing_program``.
    """
    program = shutil.which("git")
    if program is None:
        raise HiveError(
            ErrorCode.MISSING_PROGRAM,
            "git was not found. Install git and put it on hived's PATH.",
        )
    environment = clean_environment(Path(program), extra_env or {})
    git_dir = git_dir.absolute()
    tree = () if work_tree is None else (f"--work-tree={work_tree.absolute()}",)
    passing = () if durable else ("-c", "core.fsync=none")
    return Started(
        [program, f"--git-dir={git_dir}", *tree, *passing, *args],
        environment=environment,
        directory=work_tree or git_dir,
        pass_fds=pass_fds,
    )


def run_git(
    args: Sequence[str],
    *,
    stdin: bytes | Path | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    limits: Rlimits | None = None,
    check: bool = True,
    **how: Unpack[How],
) -> Ran:
    """Run ``git args`` as ``start_git`` starts it. ``timeout`` is in seconds.

    ``stdin`` is bytes, or a file whose bytes are streamed. With ``check`` False the
    caller handles the exit code and overruns.

    Raises:
        HiveError: ``missing_program``; with ``check``: ``timeout``, ``internal``.
    """
    ran = start_git(args, **how).finish(stdin, timeout=timeout, limits=limits)
    if check:
        expect_success(args[0], ran)
    return ran


def expect_success(command: str, ran: Ran) -> None:
    """Raise if git has failed.

    Raises:
        HiveError: ``timeout``, ``internal``.
    """
    if ran.overrun is not None:
        raise HiveError(
            ErrorCode.TIMEOUT,
            f"git {command} took too long or produced too much output.",
        )
    if ran.code != 0:
        raise HiveError(
            ErrorCode.INTERNAL,
            f"git {command} failed (exit {ran.code}): {show(ran.errors, limit=300)}",
        )


def import_path() -> str:
    """Return this process's import path as a PYTHONPATH for its children.

    Wrappers of packaged programs extend ``sys.path`` in ways that a plain interpreter
    does not repeat. The paths are absolute because a child starts elsewhere.
    """
    return os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)


def start_module(module: str, *, place: "Place | None" = None) -> Started:
    """Start ``python -m module``, which waits for input, with or without the fence."""
    python = Path(sys.executable)
    if place is not None:
        environment = clean_environment(python, {})
        with place.launch(["-m", module], environment) as launch:
            return Started(
                launch.argv,
                environment={},
                directory=Path("/"),
                pass_fds=launch.pass_fds,
            )
    extra = {"PYTHONPATH": import_path(), "PYTHONDONTWRITEBYTECODE": "1"}
    return Started(
        [str(python), "-P", "-s", "-m", module],
        environment=clean_environment(python, extra),
        directory=Path("/"),
    )


def run_module(module: str, job: bytes, *, timeout: float, limits: Rlimits) -> Ran:
    """Run ``python -m module`` under limits, with ``job`` as its input."""
    return start_module(module).finish(job, timeout=timeout, limits=limits)
