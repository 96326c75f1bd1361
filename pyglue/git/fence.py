"""Confining the programs that read an agent's pack: a sandbox, another user.

git and libgit2 parse hostile bytes here. In the sandbox they see themselves, a
directory of their own and the objects to compare with: no network, no capabilities, no
user of the host. Started by root, they run as nobody, who cannot reach the state
directory, so the known objects, small files, are copied next to the pack. Without a
working sandbox they run under limits alone, and the log says so. Blocking.
"""

import contextlib
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyglue.errors import HiveError
from pyglue.git.run import import_path
from pyglue.git.skeleton import write_repository
from pyglue.process import RunAs, describe_exit, run_sync
from pyglue.sandbox import Bind, SandboxSpec, prepare, python_runtime
from pyglue.sandbox.directories import (
    make_directory,
    make_own,
    nobody,
    remove_directory,
)
from pyglue.text.display import visible

QUARANTINE: Final = "repo.git"
"""The repository in a directory into which a pack is unpacked."""
_AT_ONCE: Final = 2
"""Packs checked at the same time: each may use the memory of ``PackLimits``."""
_PROBE_S: Final = 20.0
_ERRORS_MAX: Final = 400
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Launch:
    """A command line that starts a program behind the fence, with its descriptors."""

    argv: tuple[str, ...]
    pass_fds: tuple[int, ...]


class Fence:
    """One per hived: whether the sandbox works is determined once."""

    def __init__(self) -> None:
        self._run_as = nobody()
        self._lock = threading.Lock()
        self._works: bool | None = None
        self.slots: Final = threading.BoundedSemaphore(_AT_ONCE)

    @property
    def works(self) -> bool:
        """Whether the sandbox works here. The first call takes about 200 ms."""
        with self._lock:
            if self._works is None:
                why = self._probe()
                self._works = why is None
                if why is not None:
                    _log.warning("checking packs without a sandbox: %s", why)
            return self._works

    def place(self, workdir: Path, shown: Path) -> "Place | None":
        """Make a place for one check, with a repository to unpack into.

        None without a working sandbox. ``shown`` holds the repositories with which
        packs are compared.
        """
        if not self.works:
            return None
        own = self._run_as
        top = make_directory(own, "pack-", None if own else workdir)
        directory = top / "own"
        make_own(own, directory)
        write_repository(directory / QUARANTINE, bare=True)
        seen = None if own else shown
        return Place(top=top, directory=directory, shown=seen, run_as=own)

    def _probe(self) -> str | None:
        """Return why the sandbox does not work here; None if it does."""
        script = "import subprocess, pyglue.git.check; subprocess.run(['git', '-v'])"
        try:
            with tempfile.TemporaryDirectory() as name:
                place = Place(
                    top=Path(name),
                    directory=Path(name),
                    shown=None,
                    run_as=self._run_as,
                )
                place.top.chmod(0o755)
                with place.launch(["-c", script]) as launch:
                    done = run_sync(
                        launch.argv, env={}, timeout=_PROBE_S, pass_fds=launch.pass_fds
                    )
        except HiveError as error:
            return error.message
        except OSError as error:
            return str(error)
        if done.code == 0:
            return None
        errors = done.stderr[-_ERRORS_MAX:].decode("utf-8", "replace")
        return f"{describe_exit(done.code)}: {visible(errors, limit=_ERRORS_MAX)}"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Directories of one check: ``directory`` is the program's own, in ``top``.

    ``shown`` is bound read-only; None: the required parts are copied into ``top``.
    """

    top: Path
    directory: Path
    shown: Path | None
    run_as: RunAs | None

    def objects(self, known: Path) -> Path:
        """Return where the program finds the objects of ``known``, just these.

        Objects copied in advance, or for another repository, are brought up to date.
        """
        if self.shown is not None:
            return known
        copy = self.top / "objects"
        _mirror(known, copy)
        return copy

    def give(self, directory: Path) -> None:
        """Give the files that the host wrote into ``directory`` to the program."""
        if self.run_as is not None:
            for path in (directory, *directory.rglob("*")):
                os.chown(path, self.run_as.uid, self.run_as.gid, follow_symlinks=False)

    @contextlib.contextmanager
    def launch(
        self, arguments: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> Iterator[Launch]:
        """Yield the way to start our own interpreter, with this package and git.

        Raises:
            HiveError: what ``sandbox.prepare`` raises.
        """
        runtime = python_runtime(("git",))
        # pygit2 refuses to start without a directory for certificates; it may be empty.
        certificates = {"SSL_CERT_DIR": "/tmp"}  # noqa: S108 (the sandbox's own)
        binds = [*runtime.binds, self._own()]
        if self.shown is not None:
            binds.append(Bind(source=self.shown, target=str(self.shown)))
        spec = SandboxSpec(
            binds=tuple(binds),
            env={
                **runtime.env,
                **certificates,
                **(environment or {}),
                "PATH": runtime.env["PATH"],
                "PYTHONPATH": import_path(),
            },
            hostname=None,
        )
        argv = [*runtime.argv, *arguments]
        with prepare(spec, argv, run_as=self.run_as) as prepared:
            user = [] if self.run_as is None else self.run_as.prefix()
            line = (*prepared.wrapper, *user, *prepared.argv)
            yield Launch(line, prepared.pass_fds)

    def remove(self) -> None:
        """Remove it."""
        remove_directory(self.top)

    def _own(self) -> Bind:
        return Bind(
            source=self.top, target=str(self.top), writable=True, below=self.top.parent
        )


def _mirror(source: Path, target: Path) -> None:
    """Make ``target`` a copy of ``source``: its plain files and directories, no others.

    A file of an object database never changes under its name, so existing ones stay.
    Each proposal adds a few small files, so system calls per file matter.
    """
    with contextlib.suppress(FileExistsError):
        target.mkdir()
        target.chmod(0o755)  # whatever the umask
    with os.scandir(target) as entries:
        extra = {entry.name: entry for entry in entries}
    with os.scandir(source) as entries:
        for entry in entries:
            there = extra.pop(entry.name, None)
            if entry.is_dir(follow_symlinks=False):
                _mirror(source / entry.name, target / entry.name)
            elif there is None and entry.is_file(follow_symlinks=False):
                _copy_file(source / entry.name, target / entry.name)
    for name, left in extra.items():
        if left.is_dir(follow_symlinks=False):
            shutil.rmtree(target / name)
        else:
            (target / name).unlink()


def _copy_file(source: Path, target: Path) -> None:
    """Copy a whole file, or leave none."""
    reader = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        writer = os.open(target, _NEW_FILE, 0o600)
        try:
            left = os.fstat(reader).st_size
            while left > 0:
                copied = os.sendfile(writer, reader, None, left)
                if copied == 0:
                    break
                left -= copied
            os.fchmod(writer, 0o444)
        except BaseException:
            target.unlink()
            raise
        finally:
            os.close(writer)
    finally:
        os.close(reader)
