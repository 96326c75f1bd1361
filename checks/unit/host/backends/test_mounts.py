"""File systems that NixOS containers cannot bind are detected and named."""

import ctypes
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import pytest

from pyglue.host.backends import mounts

_TABLE: Final = r"""
22 1 254:0 / / rw - ext4 /dev/vda rw
30 22 0:25 / /nix/store rw shared:1 - overlay overlay rw
31 22 0:26 / /mnt/with\040space ro - 9p tag rw
32 22 0:27 / /nix/store ro - btrfs /dev/vdb ro
33 22 0:28 / /srv rw - nfs4 host:/ rw
34 22 0:29 / /run rw - tmpfs tmpfs rw
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    file = tmp_path / "mountinfo"
    file.write_text(_TABLE.lstrip())
    return file


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/nix", "ext4"),
        ("/nix/storehouse", "ext4"),
        ("/nix/store/x", "btrfs"),  # what is mounted last hides what is below
        ("/mnt/with space/x", "9p"),
        ("/srv", "nfs4"),
    ],
)
def test_the_kind_is_that_of_the_mount_around(
    table: Path, path: str, kind: str
) -> None:
    assert mounts.kind(Path(path), table) == kind


def test_only_what_cannot_be_mapped_is_warned_of(table: Path) -> None:
    assert mounts.warning((Path("/nix/store"), Path("/var/lib")), table) is None
    warned = mounts.warning((Path("/srv/hive"), Path("/mnt/with space")), table)
    assert warned is not None
    assert "/srv/hive (nfs4) and /mnt/with space (9p)" in warned
    assert "build-vm-with-bootloader" in warned


def test_an_older_kernel_maps_no_tmpfs(table: Path) -> None:
    run = (Path("/nix/store"), Path("/run/hyperhive"))
    for release in ("6.3.0", "6.18.44-fc", "7.0", "10.1-x", "unknown"):
        assert mounts.warning(run, table, release) is None
    for release in ("6.1.0-56-cloud-amd64", "5.15.1", "6.2"):
        warned = mounts.warning(run, table, release)
        assert warned is not None and "Linux 6.3 or later" in warned
        assert mounts.warning(run[:1], table, release) is None


class _Attributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "mode", "users")]


_OPEN_TREE, _MOUNT_SETATTR, _CLONE, _EMPTY_PATH, _IDMAP = 428, 442, 1, 0x1000, 0x100000


def _can_be_mapped(path: Path, users: int) -> bool:
    """Ask the kernel for the mount that systemd-nspawn makes of ``:idmap``."""
    libc = ctypes.CDLL(None, use_errno=True)
    tree = libc.syscall(_OPEN_TREE, -100, os.fsencode(path), _CLONE)
    assert tree >= 0, os.strerror(ctypes.get_errno())
    asked = _Attributes(_IDMAP, 0, 0, users)
    size = ctypes.sizeof(asked)
    try:
        return not libc.syscall(
            _MOUNT_SETATTR, tree, b"", _EMPTY_PATH, ctypes.byref(asked), size
        )
    finally:
        os.close(tree)


@pytest.mark.needs("root")
def test_the_kernel_is_as_the_list_says() -> None:
    """At least of what can be made here; the virtual machine has an older kernel."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        parts = {name: Path(place) / name for name in ("low", "up", "work", "all")}
        for part in parts.values():
            part.mkdir()
        options = "lowerdir={low},upperdir={up},workdir={work}".format(**parts)
        mount = ("mount", "-t", "overlay", "-o", options, "overlay", str(parts["all"]))
        subprocess.run(mount, check=True)
        sleeper = subprocess.Popen(
            ("unshare", "--user", "sh", "-c", "echo made; read end"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            assert sleeper.stdout is not None
            assert sleeper.stdout.readline() == b"made\n"
            for name in ("uid_map", "gid_map"):
                Path(f"/proc/{sleeper.pid}/{name}").write_text("0 100000 65536")
            users = os.open(f"/proc/{sleeper.pid}/ns/user", os.O_RDONLY)
            assert mounts.kind(parts["all"]) == "overlay"
            assert not _can_be_mapped(parts["all"], users)
            tmpfs = ("mount", "-t", "tmpfs", "tmpfs", str(parts["up"]))
            subprocess.run(tmpfs, check=True)
            for part in (parts["low"], parts["up"]):
                expected = mounts.warning((part,)) is None
                assert _can_be_mapped(part, users) == expected
            os.close(users)
            subprocess.run(("umount", str(parts["up"])), check=True)
        finally:
            sleeper.communicate(b"\n")
            subprocess.run(("umount", str(parts["all"])), check=True)
