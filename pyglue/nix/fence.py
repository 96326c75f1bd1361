"""Confines an evaluation: in a sandbox if there is one, else as another user.

Nix's own restrictions (see ``evaluator``) already stop every known attack through
files, the network and builds; this is the second boundary. In the sandbox, the program
sees its own files, the agent's directory and the hive's modules, read-only, and nothing
else of this machine. Started by root, it runs as an unprivileged user; files that this
user cannot read are copied for it.
"""

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyglue.errors import ErrorCode, HiveError
from pyglue.process import RunAs, run_sync
from pyglue.sandbox import Bind, SandboxSpec, prepare
from pyglue.sandbox.directories import (
    make_directory,
    make_own,
    nobody,
    remove_directory,
)

# The whole environment that Nix sees.
ENVIRONMENT: Final = {
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "NIX_CONF_DIR": "/nonexistent",
    "NIX_PATH": "",
    "NIX_USER_CONF_FILES": "",
    "PATH": "/nonexistent",
}
_COPY_ENTRIES: Final = 20_000
_COPY_BYTES: Final = 128 * 1024 * 1024


@dataclass(frozen=True)
class Seen:
    """What the program sees: the path inside for each requested directory.

    ``real`` is where its files are. Valid within the ``with`` that yielded it. The
    program may write to ``output`` (in ``inside`` too), an empty directory of its own.
    """

    inside: Mapping[str, str]
    real: Mapping[str, Path]
    output: Path | None = None


@dataclass(frozen=True)
class Launch:
    """How to start the program: all arguments of ``process.run``."""

    argv: tuple[str, ...]
    run_as: RunAs | None
    pass_fds: tuple[int, ...]


class Fence:
    """How Nix is confined here, determined once: ``sandboxed`` or not, and its user."""

    def __init__(self, program: Path) -> None:
        """Try the sandbox with ``program``. Blocking, about 50 ms."""
        self._program = program
        self._run_as = nobody()
        self.sandboxed: Final = self._sandbox_works()

    @contextlib.contextmanager
    def seeing(
        self,
        directories: Mapping[str, Path],
        *,
        output: str | None = None,
        empty: str | None = None,
    ) -> Iterator[Seen]:
        """Make ``directories`` (or files) readable for the program, by name.

        With ``output``, there is also a writable directory of that name; with
        ``empty``, one that only the caller may fill.

        Raises:
            HiveError: ``too_large`` for a huge directory that has to be copied.
        """
        with contextlib.ExitStack() as stack:
            real = {
                name: self._readable(path, stack) for name, path in directories.items()
            }
            if empty is not None:
                real[empty] = self._own_directory(stack) / empty
                real[empty].mkdir()
                real[empty].chmod(0o755)  # whatever the umask
            own = None
            shown = dict(real)
            if output is not None:
                own = shown[output] = self._own_directory(stack) / output
                make_own(self._run_as, own)
            if self.sandboxed:
                inside = {name: f"/hive/{name}" for name in shown}
            else:
                inside = {name: str(path) for name, path in shown.items()}
            yield Seen(inside, real, own)

    @contextlib.contextmanager
    def launch(self, seen: Seen, arguments: Sequence[str]) -> Iterator[Launch]:
        """Yield how to start the program once, with ``arguments``.

        Raises:
            HiveError: what ``sandbox.prepare`` raises.
        """
        argv = [str(self._program), *arguments]
        if self.sandboxed:
            with prepare(_spec(self._program, seen), argv) as prepared:
                yield Launch(prepared.argv, self._run_as, prepared.pass_fds)
        else:
            yield Launch(tuple(argv), self._run_as, ())

    def _sandbox_works(self) -> bool:
        spec = _spec(self._program, Seen({}, {}))
        try:
            with prepare(spec, [str(self._program), "--version"]) as prepared:
                done = run_sync(
                    prepared.argv,
                    env=ENVIRONMENT,
                    timeout=20,
                    run_as=self._run_as,
                    pass_fds=prepared.pass_fds,
                )
        except HiveError:
            return False
        return done.code == 0

    def _readable(self, path: Path, stack: contextlib.ExitStack) -> Path:
        """Return ``path``, or a copy if the program's user cannot read it.

        Measured: bubblewrap 0.8 resolves the path of a bind, even by descriptor.
        """
        if self._run_as is None or _open_to_all(path):
            return path
        copy = self._own_directory(stack) / "copy"
        _copy(path, copy)
        return copy

    def _own_directory(self, stack: contextlib.ExitStack) -> Path:
        """Create a temporary directory that the program's user can enter."""
        directory = make_directory(self._run_as, "hive-")
        stack.callback(remove_directory, directory)
        return directory


def _open_to_all(path: Path) -> bool:
    real = path.resolve()
    walk = all(parent.stat().st_mode & 0o1 for parent in real.parents)
    needed = 0o5 if real.is_dir() else 0o4
    return walk and real.stat().st_mode & needed == needed


def _spec(program: Path, seen: Seen) -> SandboxSpec:
    binds = [
        Bind(source=seen.real[name], target=seen.inside[name]) for name in seen.real
    ]
    if seen.output is not None:
        target = f"/hive/{seen.output.name}"
        below = seen.output.parent
        binds.append(
            Bind(source=seen.output, target=target, writable=True, below=below)
        )
    return SandboxSpec(
        binds=(*_system(program), *binds),
        env=ENVIRONMENT,
        system=False,
        hostname=None,
    )


def _system(program: Path) -> Iterator[Bind]:
    """Yield the program's own files, and nothing else of this machine."""
    if program.is_relative_to("/nix/store"):
        yield Bind(source=Path("/nix/store"), target="/nix/store")
        return
    yield Bind(source=Path("/usr"), target="/usr")
    for name in ("/lib", "/lib64"):
        if Path(name).exists():
            yield Bind(source=Path(name), target=name)
    if not program.is_relative_to("/usr"):
        yield Bind(source=program.parent, target=str(program.parent))


def _copy(source: Path, target: Path) -> None:
    """Copy a file, or a directory with its files and links, readable by everyone."""
    if not source.is_dir():
        shutil.copyfile(source, target)
        target.chmod(0o644)
        return
    entries_left, bytes_left = _COPY_ENTRIES, _COPY_BYTES
    for above, names, files in os.walk(source):
        here = target / Path(above).relative_to(source)
        here.mkdir(mode=0o755)
        here.chmod(0o755)
        for name in (*names, *files):
            path = Path(above, name)
            status = path.lstat()
            entries_left -= 1
            bytes_left -= status.st_size
            if entries_left < 0 or bytes_left < 0:
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
