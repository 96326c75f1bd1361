"""Makes read-only directories in a running sandbox writable.

Run by path, by the user who started the sandbox: ``python -I -S admit.py PID PLAN``,
with the PID of a process inside. It imports nothing of this package, so that it starts
in 15 ms. PLAN is JSON: ``[[path inside, owner, owner inside, writable], ...]``; an
owner is a user and a group, and two nulls leave the owners unchanged. Each path is a
directory of the sandbox, below a read-only bind, or bound read-only itself, where
nobody inside can rename or replace anything; it is bound onto itself, writable or not,
nosuid and nodev. With owners, files of the first user appear as the second's, and new
files belong to the first (an ID-mapped mount: needs root and Linux 5.12).

The mounts are made in the sandbox's mount namespace, entered through the user
namespace that owns it: root does not need that, and other users can only enter their
own. No program of the sandbox is involved.
"""

import ctypes
import fcntl
import json
import os
import sys
from typing import Final, NoReturn

_CLONE_NEWNS: Final = 0x00020000
_CLONE_NEWUSER: Final = 0x10000000
_NS_GET_USERNS: Final = 0xB701
_MS_NOSUID: Final = 2
_MS_NODEV: Final = 4
_MS_REMOUNT: Final = 32
_MS_BIND: Final = 4096
_OPEN_TREE: Final = 428
_MOVE_MOUNT: Final = 429
_MOUNT_SETATTR: Final = 442
_OPEN_TREE_CLONE: Final = 1
_AT_EMPTY_PATH: Final = 0x1000
_MOVE_F_EMPTY_PATH: Final = 4
_ATTR_RDONLY: Final = 1
_ATTR_NOSUID: Final = 2
_ATTR_NODEV: Final = 4
_ATTR_IDMAP: Final = 0x00100000
_DIRECTORY: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_Owner = tuple[int, int]
_Mount = tuple[str, _Owner | None, _Owner | None, bool]

_libc: Final = ctypes.CDLL(None, use_errno=True)


class _Attributes(ctypes.Structure):
    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns", ctypes.c_uint64),
    )


def main(pid: int, plan: list[_Mount]) -> int:
    """Make the mounts; print a line for each failure, and return their number."""
    pairs = {pair for _, old, new, _ in plan if (pair := _pair(old, new)) is not None}
    users = {pair: _user_namespace(*pair) for pair in pairs}
    mounts = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
    if os.geteuid() != 0:
        _check(_libc.setns(fcntl.ioctl(mounts, _NS_GET_USERNS), _CLONE_NEWUSER))
    _check(_libc.setns(mounts, _CLONE_NEWNS))
    failed = 0
    for path, old, new, writable in plan:
        pair = _pair(old, new)
        try:
            _admit(path, None if pair is None else users[pair], writable=writable)
        except OSError as error:
            print(f"{path}: {error.strerror}", file=sys.stderr)
            failed += 1
    return failed


def _pair(old: _Owner | None, new: _Owner | None) -> tuple[_Owner, _Owner] | None:
    """Convert the lists of JSON."""
    if old is None or new is None:
        return None
    return (old[0], old[1]), (new[0], new[1])


def _admit(path: str, users: int | None, *, writable: bool) -> None:
    above, _, name = path.rpartition("/")
    os.fchdir(_opened(above))
    os.close(os.open(name, _DIRECTORY))  # no link, and no file
    if not os.statvfs(name).f_flag & os.ST_RDONLY:
        return  # already admitted
    if users is None:
        if not writable:
            return
        _mount(name, name, _MS_BIND)
        _mount(None, name, _MS_REMOUNT | _MS_BIND | _MS_NOSUID | _MS_NODEV)
        return
    show_as(name, users, writable=writable)


def show_as(name: str, users: int, *, writable: bool) -> None:
    """Mount a directory onto itself with other owners."""
    tree = _check(
        _libc.syscall(_OPEN_TREE, -100, name.encode(), _OPEN_TREE_CLONE | os.O_CLOEXEC)
    )
    attributes = _Attributes(
        _ATTR_NOSUID | _ATTR_NODEV | _ATTR_IDMAP,
        _ATTR_RDONLY if writable else 0,
        *(0, users),
    )
    size = ctypes.sizeof(attributes)
    _check(
        _libc.syscall(
            *(_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH),
            *(ctypes.byref(attributes), ctypes.c_size_t(size)),
        )
    )
    _check(
        _libc.syscall(_MOVE_MOUNT, tree, b"", -100, name.encode(), _MOVE_F_EMPTY_PATH)
    )


def _opened(path: str) -> int:
    descriptor = os.open("/", _DIRECTORY)
    for part in filter(None, path.split("/")):
        descriptor = os.open(part, _DIRECTORY, dir_fd=descriptor)
    return descriptor


def _mount(source: str | None, target: str, flags: int) -> None:
    source_ = None if source is None else source.encode()
    _check(_libc.mount(source_, target.encode(), None, flags, None))


def _user_namespace(old: tuple[int, int], new: tuple[int, int]) -> int:
    """Return a user namespace that maps ``old`` on disk to ``new``."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = _libc.unshare(_CLONE_NEWUSER)
        os.write(writer, b"." if code == 0 else b"!")
        _libc.pause()  # until it is killed
        os._exit(1)
    os.close(writer)
    try:
        if os.read(reader, 1) != b".":
            sys.exit("a user namespace could not be made")
        for kind, outside, inside in zip(("uid", "gid"), old, new, strict=True):
            with open(f"/proc/{child}/{kind}_map", "w") as file:  # noqa: PTH123
                file.write(f"{outside} {inside} 1")
        return os.open(f"/proc/{child}/ns/user", os.O_RDONLY)
    finally:
        os.close(reader)
        os.kill(child, 9)
        os.waitpid(child, 0)


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _run() -> NoReturn:
    try:
        sys.exit(1 if main(int(sys.argv[1]), json.loads(sys.argv[2])) else 0)
    except OSError as error:
        sys.exit(f"the sandbox could not be entered: {error.strerror}")


if __name__ == "__main__":
    _run()
