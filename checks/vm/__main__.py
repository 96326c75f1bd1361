"""``python -m checks.vm``: boot the virtual machine, which runs the tests.

Its processor is QEMU's: no KVM is needed. It sees the checkout and its environment
read-only; what it writes is gone with it.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from checks.systemd.machine import why_not
from checks.vm.image import Image, image

_ROOT: Final = Path(__file__).resolve().parents[2]
_QEMU: Final = "qemu-system-x86_64"
_SHARES: Final = {"checkout": _ROOT, "venv": Path(sys.prefix)}
_MEMORY: Final = "3G"
_SERVERS: Final = ("/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _missing() -> str | None:
    reason = why_not()
    if reason is not None:
        return reason
    for program, package in ((_QEMU, "qemu-system-x86"), ("mke2fs", "e2fsprogs")):
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian: apt install {package})"
    if _server() is None:
        return "virtiofsd is not installed (Debian: apt install virtiofsd)"
    return None


def _server() -> str | None:
    return next((path for path in _SERVERS if Path(path).exists()), None)


def _argv(made: Image, room: Path) -> list[str]:
    argv = [
        *(_QEMU, "-nodefaults", "-no-reboot", "-display", "none", "-cpu", "max"),
        *("-accel", "tcg,thread=multi", "-smp", "2"),
        *("-machine", "q35,memory-backend=memory", "-m", _MEMORY),
        *("-object", f"memory-backend-memfd,id=memory,size={_MEMORY},share=on"),
        *("-kernel", str(made.kernel), "-initrd", str(made.initrd)),
        *("-append", "console=ttyS0 mitigations=off"),
        *("-drive", f"file={made.disk},format=raw,if=virtio,snapshot=on"),
        *("-serial", f"file:{room}/console", "-serial", f"file:{room}/said"),
    ]
    for tag in _SHARES:
        argv += ["-chardev", f"socket,id={tag},path={room}/{tag}"]
        argv += ["-device", f"vhost-user-fs-pci,chardev={tag},tag={tag}"]
    return argv


def _shared(room: Path) -> "list[subprocess.Popen[bytes]]":
    """Start what the machine's read-only directories come from."""
    server = _server()
    assert server is not None

    def words(path: Path) -> tuple[str, ...]:
        if server == _SERVERS[0]:  # QEMU's own, until it was written anew
            return ("-o", f"source={path}", "-o", "cache=always")
        return ("--shared-dir", str(path), "--cache", "always")

    log = (room / "shares").open("wb")
    return [
        subprocess.Popen(
            (server, f"--socket-path={room}/{tag}", *words(path)),
            stdout=log,
            stderr=log,
        )
        for tag, path in _SHARES.items()
    ]


def _follow(process: "subprocess.Popen[bytes]", said: Path) -> str:
    """Show what the tests say until the machine is off; return all of it."""
    with said.open(errors="replace") as lines:
        while process.poll() is None:
            shown = lines.read()
            print(shown, end="", flush=True)
            time.sleep(0.5)  # a file of QEMU's: nothing tells of new text
        print(lines.read(), end="", flush=True)
    return said.read_text(errors="replace")


def main() -> int:
    """Boot it, and return its tests' exit code."""
    reason = _missing()
    if reason is not None:
        _say(f"NOT RUN: {reason}")
        return 1
    made = image(_say)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hive-vm-") as place:
        room = Path(place)
        (room / "said").touch()
        shares = _shared(room)
        process = subprocess.Popen(_argv(made, room))
        try:
            said = _follow(process, room / "said")
        finally:
            for one in (process, *shares):
                one.kill()
                one.wait()
        ended = re.search(r"^ended: (\d+)\s*$", said, re.MULTILINE)
        if ended is None:
            _say((room / "console").read_text(errors="replace")[-4000:])
            _say("the virtual machine ended before its tests")
            return 1
    _say(f"{time.monotonic() - began:.0f} s in the virtual machine")
    return int(ended[1])


if __name__ == "__main__":
    sys.exit(main())
