"""What the virtual machine boots: a kernel, its first programs, and a disk.

The kernel is Debian's for clouds, of this machine's release, unpacked and not
installed. The disk has the tree of ``checks/systemd``, whose programs the tests need.
All of it is made once and kept beside the tree.
"""

import hashlib
import lzma
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from checks.systemd.machine import TOOLS, put_tools
from checks.systemd.tree import Say, cache, tree

_MODULES: Final = (
    *("virtio_pci", "virtio_blk", "virtiofs", "overlay", "veth", "dummy"),
    *("nf_tables", "nft_ct"),
)
"""With what they need. Loaded first of all: the tree has no program that loads more."""
_DISK: Final = "8G"
_UNIT: Final = f"""\
[Unit]
Description=The tests of this machine
[Service]
Type=exec
StandardOutput=file:/dev/ttyS1
StandardError=inherit
ExecStart=/bin/sh {TOOLS}/run
[Install]
WantedBy=multi-user.target
"""
_RUN: Final = f"""\
mount -t virtiofs -o ro checkout {TOOLS}/checkout
mount -t virtiofs -o ro venv {TOOLS}/venv
/bin/sh {TOOLS}/checkout/checks/vm/inside.sh
echo "ended: $?"
systemctl --no-block poweroff
"""
_INIT: Final = """\
#!/bin/busybox sh
busybox() { /bin/busybox "$@"; }
busybox mount -t devtmpfs dev /dev
for module in /modules/*; do busybox insmod "$module"; done
busybox mount -t ext4 /dev/vda /root
busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root /sbin/init
"""


@dataclass(frozen=True)
class Image:
    """The files that the machine is started with."""

    kernel: Path
    initrd: Path
    disk: Path


def image(say: Say) -> Image:
    """Return the image, made if it is not there; takes a minute then."""
    root, package = tree(say), _package()
    source = Path(__file__).read_bytes()
    inputs = f"{root.name} {package}".encode() + source
    place = cache() / f"vm-{hashlib.sha256(inputs).hexdigest()[:16]}"
    if not place.is_dir():
        for left in cache().glob("vm-*"):
            shutil.rmtree(left)
        say(f"making the virtual machine's disk, with {package} (once)")
        with tempfile.TemporaryDirectory(prefix="vm-", dir=cache()) as half:
            _make(Path(half), root, package)
            (Path(half) / "made").rename(place)
    return Image(place / "kernel", place / "initrd", place / "disk")


def _done(*argv: str | Path, cwd: Path | None = None, given: bytes = b"") -> bytes:
    done = subprocess.run(argv, cwd=cwd, input=given, capture_output=True, check=False)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace")[-2000:]
        raise RuntimeError(f"{argv[0]} failed: {said}")
    return done.stdout


def _package() -> str:
    """Return the package of the present kernel."""
    said = _done("apt-cache", "depends", "linux-image-cloud-amd64").decode()
    found = re.search(r"Depends: (linux-image-\S+)", said)
    if found is None:
        raise RuntimeError("apt knows no linux-image-cloud-amd64")
    return found[1]


def _make(half: Path, root: Path, package: str) -> None:
    made, parts, stage = half / "made", half / "parts", half / "stage"
    for directory in (made, parts):
        directory.mkdir()
    _done("apt-get", "download", "-q", package, "busybox-static", cwd=half)
    for file in half.glob("*.deb"):
        _done("dpkg-deb", "-x", file, parts)
    shutil.copy(next((parts / "boot").glob("vmlinuz-*")), made / "kernel")
    _initrd(parts, half / "first", made / "initrd")
    _done("cp", "-a", root, stage)
    tools = stage / TOOLS.lstrip("/")
    put_tools(tools)
    (tools / "run").write_text(_RUN)
    for program in (tools / "bin").iterdir():
        shutil.copy2(program, stage / "usr/local/bin")
    units = stage / "etc/systemd/system"
    (units / "tests.service").write_text(_UNIT)
    (units / "multi-user.target.wants").mkdir(exist_ok=True)
    (units / "multi-user.target.wants/tests.service").symlink_to("../tests.service")
    (stage / "nix/store").mkdir(parents=True)
    _done("mke2fs", "-q", "-t", "ext4", "-F", "-d", stage, made / "disk", _DISK)


def _initrd(parts: Path, room: Path, target: Path) -> None:
    """Pack what loads the modules and goes on from the disk."""
    busybox = next(parts.rglob("bin/busybox"))
    for name in ("bin", "dev", "root", "modules"):
        (room / name).mkdir(parents=True)
    shutil.copy2(busybox, room / "bin")
    files = {
        path.name.partition(".ko")[0].replace("-", "_"): path
        for path in parts.rglob("*.ko*")
    }
    for number, (name, content) in enumerate(_ordered(files).items()):
        (room / "modules" / f"{number:02}-{name}.ko").write_bytes(content)
    (room / "init").write_text(_INIT)
    (room / "init").chmod(0o755)
    names = "\n".join(str(path.relative_to(room)) for path in room.rglob("*"))
    packed = (busybox, "cpio", "-o", "-H", "newc")
    target.write_bytes(_done(*packed, cwd=room, given=names.encode()))


def _ordered(files: dict[str, Path]) -> dict[str, bytes]:
    """Return the modules that are needed, each after those that it needs."""
    found: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in found or name not in files:  # one that is not there is built in
            return
        content = files[name].read_bytes()
        if files[name].suffix == ".xz":
            content = lzma.decompress(content)
        needs = re.search(rb"\0depends=([^\0]+)\0", content)
        for need in needs[1].decode().split(",") if needs else ():
            add(need.replace("-", "_"))
        found[name] = content

    for name in _MODULES:
        add(name)
    return found
