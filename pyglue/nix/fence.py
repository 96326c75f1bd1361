"""What keeps an evaluation in: a sandbox where there is one, else another user.

Nix's own restrictions (see ``evaluator``) already stop every file, network and build
attack that is known; this is the second wall. With a working bubblewrap the program
sees its own files, the agent's directory and the hive's modules, all read-only, and
nothing else: no /proc, no network, no other process. Started by root, an unprivileged
user takes over first. Directories are handed over as open descriptors, so they may lie
below ones that this user cannot enter; what the user could not read is copied.
"""

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyglue.errors import ErrorCode, HiveError
from pyglue.process import RunAs, run_sync

# All that Nix sees of an environment.
ENVIRONMENT: Final = {
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "NIX_CONF_DIR": "/nonexistent",
    "NIX_PATH": "",
    "NIX_USER_CONF_FILES": "",
    "PATH": "/nonexistent",
}
NOBODY: Final = 65534
_COPY_ENTRIES: Final = 20_000
_COPY_BYTES: Final = 128 * 1024 * 1024
_DIRECTORY: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_ISOLATE: Final = (
    *("--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"),
    *("--cap-drop", "ALL", "--chdir", "/"),
)


@dataclass(frozen=True)
class Fenced:
    """How to start a program inside: what comes before it, and what it sees.

    ``seen`` has, for each directory asked for, its path as the program sees it;
    ``real`` where its files lie. Valid inside the ``with`` that gave it.
    """

    prefix: tuple[str, ...]
    run_as: RunAs | None
    pass_fds: tuple[int, ...]
    seen: Mapping[str, str]
    real: Mapping[str, Path]


class Fence:
    """Chosen once: bubblewrap or not, and who the program runs as."""

    def __init__(self, program: Path, *, uid: int | None = None) -> None:
        """``uid`` (default 65534) is who runs the program if this process is root."""
        self._program = program
        user = NOBODY if uid is None else uid
        self._run_as = RunAs(user, user) if os.geteuid() == 0 else None
        self._bubblewrap = self._working_bubblewrap()

    @property
    def sandboxed(self) -> bool:
        """Whether bubblewrap is around the program."""
        return self._bubblewrap is not None

    @contextlib.contextmanager
    def around(self, directories: Mapping[str, Path]) -> Iterator[Fenced]:
        """Make ``directories`` visible, read-only, and yield how to start inside.

        Raises:
            HiveError: ``too_large`` for a directory that must be copied and is huge.
        """
        with contextlib.ExitStack() as stack:
            real = {
                name: self._readable(path, stack) for name, path in directories.items()
            }
            if self._bubblewrap is None:
                seen = {name: str(path) for name, path in real.items()}
                yield Fenced((), self._run_as, (), seen, real)
                return
            binds: list[str] = []
            descriptors = []
            for name, path in real.items():
                descriptor = os.open(path, _DIRECTORY)
                stack.callback(os.close, descriptor)
                descriptors.append(descriptor)
                source = f"/proc/self/fd/{descriptor}"
                binds += ["--ro-bind", source, f"/hive/{name}"]
            prefix = (*self._base(self._bubblewrap), *binds, "--")
            seen = {name: f"/hive/{name}" for name in real}
            yield Fenced(prefix, self._run_as, tuple(descriptors), seen, real)

    def _base(self, bubblewrap: str) -> tuple[str, ...]:
        """Return bubblewrap with all that the program itself needs."""
        return (bubblewrap, *_ISOLATE, *_system(self._program))

    def _working_bubblewrap(self) -> str | None:
        found = shutil.which("bwrap")
        if found is None:
            return None
        tried = run_sync(
            [*self._base(found), "--", str(self._program), "--version"],
            env=ENVIRONMENT,
            timeout=20,
            run_as=self._run_as,
        )
        return found if tried.code == 0 else None

    def _readable(self, path: Path, stack: contextlib.ExitStack) -> Path:
        """Return ``path``, or a copy if the program's user could not read it."""
        mode = path.stat().st_mode
        if self._run_as is None or (self.sandboxed and mode & 0o5 == 0o5):
            return path
        room = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hive-")))
        room.chmod(0o755)
        copy = room / "copy"
        _copy(path, copy)
        return copy


def _system(program: Path) -> Iterator[str]:
    """Yield the binds of what a program of this system is made of."""
    if program.is_relative_to("/nix/store"):
        yield from ("--ro-bind", "/nix/store", "/nix/store")
        return
    yield from ("--ro-bind", "/usr", "/usr")
    for name in ("bin", "lib", "lib32", "lib64"):
        path = Path("/", name)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), str(path))
        elif path.is_dir():
            yield from ("--ro-bind", str(path), str(path))
    if not program.is_relative_to("/usr"):
        yield from ("--ro-bind", str(program.parent), str(program.parent))


def _copy(source: Path, target: Path) -> None:
    """Copy directories and files so that anyone can read them; links stay links."""
    left, room = _COPY_ENTRIES, _COPY_BYTES
    for above, names, files in os.walk(source):
        here = target / Path(above).relative_to(source)
        here.mkdir(mode=0o755)
        here.chmod(0o755)
        for name in (*names, *files):
            path = Path(above, name)
            status = path.lstat()
            left, room = left - 1, room - status.st_size
            if left < 0 or room < 0:
                raise HiveError(
                    ErrorCode.TOO_LARGE,
                    f"The directory has more than {_COPY_ENTRIES} files or "
                    f"{_COPY_BYTES} bytes. Keep large files elsewhere.",
                )
            if stat.S_ISLNK(status.st_mode):
                (here / name).symlink_to(path.readlink())
            elif stat.S_ISREG(status.st_mode):
                shutil.copyfile(path, here / name, follow_symlinks=False)
                (here / name).chmod(0o644)
