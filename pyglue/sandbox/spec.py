"""The contents of a sandbox, and the bubblewrap command line for it.

Callers use ``prepare``: it opens every source, writes the small files of /etc and the
system call filter into memory files, and returns a command line with the descriptors to
pass. A ``Prepared`` is valid for one start.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Final

from pyglue.process import RunAs, find_program
from pyglue.sandbox import rootfs, seccomp
from pyglue.sandbox.reach import reach
from pyglue.sandbox.sources import open_source

INSIDE_ID: Final = 1000
"""The user and group ID of the program, as seen from inside."""
_MEMORY: Final = str(2 << 20)
"""Maximum bytes of each directory in memory."""


@dataclass(frozen=True, kw_only=True)
class Bind:
    """A directory, file or socket of the host at ``target`` inside.

    ``below`` is the directory from which on an agent may have placed links, which are
    refused. Without it, ``source`` must be where only the host's owner can write.
    """

    source: Path
    target: str
    writable: bool = False
    below: Path | None = None

    def __post_init__(self) -> None:
        """Refuse binds that are unsafe in any case."""
        target = PurePosixPath(self.target)
        if not target.is_absolute() or ".." in target.parts or str(target) == "/":
            raise ValueError(f"not a place for a bind: {self.target!r}")
        if self.writable and self.below is None:
            raise ValueError("what is writable inside needs `below`")


@dataclass(frozen=True, kw_only=True)
class SandboxSpec:
    """The program's view. ``env`` is its whole environment; sizes in bytes.

    ``network`` shares the host's network, including loopback; ``certificates`` adds the
    host's certificate authorities without it. ``home`` is the one in passwd.
    ``hostname`` None keeps the host's, for a service that may not set one (systemd's
    ProtectHostname). ``system`` False leaves out /usr and /etc, so that there are only
    the binds. ``memory`` are directories in memory that only the program's user can
    read.
    """

    binds: tuple[Bind, ...] = ()
    memory: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    chdir: str = "/"
    network: bool = False
    certificates: bool = False
    hostname: str | None = "hive"
    user: str = "agent"
    home: str = "/state"
    tmp_bytes: int = 1 << 30
    system: bool = True


class Prepared:
    """A command line for ``pyglue.process``, its wrapper and descriptors.

    Start it once, with an empty environment, then ``close`` it (or use ``with``).
    """

    def __init__(
        self,
        argv: Sequence[str],
        fds: Sequence[int] = (),
        *,
        wrapper: Sequence[str] = (),
    ) -> None:
        self.argv: Final = tuple(argv)
        self.pass_fds: Final = tuple(fds)
        self.wrapper: Final = tuple(wrapper)
        self._open = list(fds)

    def close(self) -> None:
        """Close this process's descriptors; the started program keeps its own."""
        while self._open:
            os.close(self._open.pop())

    def __enter__(self) -> "Prepared":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def prepare(
    spec: SandboxSpec, argv: Sequence[str], *, run_as: RunAs | None = None
) -> Prepared:
    """Return how to run ``argv`` (with paths inside) in the sandbox as ``run_as``.

    Start it with the same ``run_as``, which is never root, because bubblewrap started
    by root keeps capabilities. None is this user.

    Raises:
        HiveError: ``missing_program``, ``sandbox_unavailable``, ``not_found``,
            ``forbidden``, ``unavailable``.
    """
    build = _Build()
    try:
        line = build.line(spec)
        wrapper = reach(build.sources, run_as)
    except BaseException:
        build.close()
        raise
    return Prepared([*line, "--", *argv], build.fds, wrapper=wrapper)


class _Build:
    """Collects arguments and the descriptors that they name."""

    def __init__(self) -> None:
        self.fds: list[int] = []
        self.sources: dict[Path, int] = {}
        self._args: list[str] = []

    def close(self) -> None:
        for descriptor in self.fds:
            os.close(descriptor)

    def line(self, spec: SandboxSpec) -> list[str]:
        self._args += [find_program("bwrap"), "--unshare-all"]
        if spec.network:
            self._args.append("--share-net")
        self._args += ["--unshare-user", "--disable-userns", "--cap-drop", "ALL"]
        self._args += ["--uid", str(INSIDE_ID), "--gid", str(INSIDE_ID)]
        if spec.hostname is not None:
            self._args += ["--hostname", spec.hostname]
        self._args.append("--new-session")
        self._args += ["--die-with-parent", "--clearenv"]
        for name, value in spec.env.items():
            self._args += ["--setenv", name, value]
        if spec.system:
            self._system(spec)
        self._args += ["--proc", "/proc", "--dev", "/dev"]
        size = str(spec.tmp_bytes)
        self._args += ["--size", size, "--tmpfs", "/dev/shm"]  # noqa: S108 (inside)
        self._args += ["--remount-ro", "/dev"]
        self._args += ["--size", size, "--perms", "1777", "--tmpfs", "/tmp"]  # noqa: S108
        for bind in spec.binds:
            self._bind(bind)
        for place in spec.memory:
            self._args += ["--size", _MEMORY, "--perms", "0700", "--tmpfs", place]
        self._args += ["--remount-ro", "/", "--chdir", spec.chdir]
        self._args += ["--seccomp", str(self._memory("seccomp", seccomp.program()))]
        return self._args

    def _system(self, spec: SandboxSpec) -> None:
        for link, target in rootfs.links():
            self._args += ["--symlink", target, link]
        for path in rootfs.directories(certificates=spec.network or spec.certificates):
            self._bind(Bind(source=path, target=str(path)))
        files = rootfs.etc(
            user=spec.user, number=INSIDE_ID, home=spec.home, network=spec.network
        )
        for name, data in files.items():
            descriptor = self._memory(name, data)
            self._args += ["--perms", "0644", "--file", str(descriptor), f"/etc/{name}"]

    def _bind(self, bind: Bind) -> None:
        descriptor = open_source(bind.source, bind.below)
        self.fds.append(descriptor)
        self.sources[Path(f"/proc/self/fd/{descriptor}").readlink()] = descriptor
        option = "--bind-fd" if bind.writable else "--ro-bind-fd"
        self._args += [option, str(descriptor), bind.target]

    def _memory(self, name: str, data: bytes) -> int:
        descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
        self.fds.append(descriptor)
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor
