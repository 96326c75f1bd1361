"""A host with systemd as PID 1, for tests: booted, entered, and thrown away.

``booted`` boots the tree on an overlay in a systemd-nspawn of its own, with this
checkout and its environment read-only below ``TOOLS``. It is as much of a host as the
backend needs: systemd, machined, journald, D-Bus, Nix, and containers in it. What it
is not: it has no memory, cpu or pids controller, and no network but loopback.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from checks.systemd.tree import mirror, suite

TOOLS: Final = "/opt/hive-test"
"""``bin`` has our programs, in the host and, by the stand-in, in containers."""
CHECKOUT: Final = f"{TOOLS}/checkout"
"""Where they find us: at its own place it might be below a home, which units hide."""

_VENV: Final = f"{TOOLS}/venv"
_PYTHON: Final = (f"{_VENV}/bin/{Path(sys.executable).name}", "-P")
_HERE: Final = Path(__file__).resolve().parent
_CHECKOUT: Final = _HERE.parents[1]
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENVIRONMENT: Final = {
    "PATH": _PATH,
    "LC_ALL": "C.UTF-8",
    "HOME": "/root",
    # What agents own is looked at as root.
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
}
_CGROUPS: Final = Path("/sys/fs/cgroup")
_GROUP: Final = "host-hive-"
_LOOKS: Final = 50
_LOOK_EVERY_S: Final = 0.02
_BOOT_S: Final = 120.0
_STOP_S: Final = 5.0
CHECKED: Final = "pyglue.harness.main"
UNCHECKED: Final = "checks.kits.harness.unchecked"
PEER: Final = "checks.kits.harness.peer"
"""What a container may run as ``hive-agent``; peers, unless asked."""
_AGENT: Final = "hive-agent"
_NOT_NEEDED: Final = "dpkg"
"""Most files of /var, which every host has a copy of; nothing is installed there."""
_MODULES: Final = {
    "hive": "pyglue.cli.hive",
    "hive-egress": "pyglue.egress.main",
    _AGENT: PEER,
    "hive-mcp": "pyglue.mcp.main",
    "hive-notify": "pyglue.notify.main",
    "hive-relay": "pyglue.relay.main",
    "hive-web": "pyglue.web.main",
    "hive-owned-binds": "checks.systemd.owned_binds",
    "hived": "pyglue.host.main",
    "notify-sink": "checks.systemd.notify_sink",
    "nixos-container": "checks.systemd.nixos_container",
    "scripted-model": "pyglue.demo.scripted_model",
}


def why_not() -> str | None:
    """Return why no host can be booted here, None if one can."""
    if os.geteuid() != 0:
        return "needs root: sudo make test"
    for program, package in (
        ("systemd-nspawn", "systemd-container"),
        ("debootstrap", "debootstrap"),
        ("nsenter", "util-linux"),
    ):
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian: apt install {package})"
    if suite() is None or mirror() is None:
        return "no Debian package mirror for this machine's release is configured"
    if Path(sys.base_prefix).parts[1:2] in (("home",), ("root",)):
        return (
            f"the interpreter of the environment, {sys.base_prefix}, is below a home, "
            "which units do not see; make .venv with /usr/bin/python3"
        )
    if not any(_cgroup_roots()):
        return "this machine has no cgroup tree that may be written"
    return None


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str


@dataclass
class Machine:
    """A booted host. ``leader`` is its PID 1, seen from here; ``room`` its disk."""

    leader: int
    room: Path
    patience: float = 120.0
    """Seconds that a program in it may take."""

    @property
    def root(self) -> Path:
        """Its root directory, for files and sockets. Absolute links lead astray."""
        return Path(f"/proc/{self.leader}/root")

    def run(
        self,
        *argv: str,
        check: bool = True,
        timeout: float | None = None,
        stdin: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Done:
        """Run a program in it, as root."""
        done = subprocess.run(
            ("nsenter", "-t", str(self.leader), "-a", "--", *argv),
            env={**_ENVIRONMENT, **(env or {})},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout or self.patience,
            check=False,
        )
        if check and done.returncode != 0:
            said = f"{done.stdout}{done.stderr}"
            raise AssertionError(f"{' '.join(argv)}: {done.returncode}\n{said}")
        return Done(done.returncode, done.stdout, done.stderr)

    def python(self, *argv: str, check: bool = True) -> Done:
        """Run our own interpreter in it."""
        env = {"PYTHONPATH": CHECKOUT}
        return self.run(*_PYTHON, *argv, check=check, env=env)

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """Return a unit's properties."""
        argv = ("systemctl", "show", unit, f"--property={','.join(properties)}")
        for _ in range(_LOOKS):
            done = self.run(*argv, check=False)
            # systemd hangs up on who asks while it has much to do.
            if "endpoint is not connected" not in done.err:
                break
        assert done.code == 0, done.err
        lines = done.out.splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file in it."""
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(mode)

    def agents_run(self, module: str) -> None:
        """Let containers that start from now on run this module as their harness."""
        _write_program(self.room / "tools", _AGENT, module)

    @contextlib.contextmanager
    def harness(self, module: str) -> Iterator[None]:
        """Let containers that start in the block run this, and afterwards peers."""
        self.agents_run(module)
        try:
            yield
        finally:
            self.agents_run(PEER)

    def journal(self, *arguments: str) -> str:
        """Return its journal, as journalctl prints it with these arguments."""
        return self.run("journalctl", "--no-pager", "-o", "short", *arguments).out


@contextlib.contextmanager
def booted(tree: Path, room: Path, name: str) -> Iterator[Machine]:
    """Boot ``tree`` as the host ``name``, with its /var and /nix in ``room``.

    These two are on a real disk: an overlay cannot be mounted with mapped owners,
    which binds into containers are.
    """
    needed = shutil.ignore_patterns(_NOT_NEEDED)
    shutil.copytree(tree / "var", room / "var", symlinks=True, ignore=needed)
    (room / "nix/store").mkdir(parents=True)
    (room / "var/log/journal").mkdir(exist_ok=True)
    put_tools(room / "tools")
    with _cgroup(name) as enter, _ready_socket(room / "notify") as ready:
        process = subprocess.Popen(
            _argv(tree, room, name),
            env={
                "PATH": _PATH,
                "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
                "NOTIFY_SOCKET": str(room / "notify"),
            },
            stdin=subprocess.DEVNULL,
            stdout=(room / "console").open("wb"),
            stderr=subprocess.STDOUT,
            preexec_fn=enter,  # before nspawn looks where it is
            start_new_session=True,
        )
        try:
            machine = Machine(_leader(ready, process, room), room)
            # nspawn goes on telling: it and then PID 1 would wait for a reader.
            ready.close()
            settle(machine)
            yield machine
            _stop(machine, process)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def _interpreter() -> tuple[str, ...]:
    """Return what the environment's interpreter needs beside the tree's /usr."""
    place = Path(sys.base_prefix)
    return () if place.is_relative_to("/usr") else (str(place),)


def _argv(tree: Path, room: Path, name: str) -> tuple[str, ...]:
    return (
        *("setpriv", "--pdeathsig", "KILL", "--", "systemd-nspawn", "--boot"),
        *("-D", str(tree), "-M", name, "--volatile=overlay", f"--hostname={name}"),
        *("--register=no", "--keep-unit", "--console=pipe", "--notify-ready=yes"),
        *("--private-network", "--link-journal=no", "--resolv-conf=off"),
        f"--bind={room}/var:/var",
        f"--bind={room}/nix:/nix",
        f"--bind-ro={room}/tools:{TOOLS}",
        f"--bind-ro={room}/tools/bin:/usr/local/bin",
        f"--bind-ro={_CHECKOUT}:{CHECKOUT}",
        f"--bind-ro={sys.prefix}:{_VENV}",
        *(f"--bind-ro={place}" for place in _interpreter()),
    )


def put_tools(place: Path) -> None:
    """Put our programs where PATH finds them, each run by our own interpreter."""
    for name in ("bin", "checkout", "venv"):
        (place / name).mkdir(parents=True)
    for name, module in _MODULES.items():
        _write_program(place, name, module)
    seen_inside = ("/usr", TOOLS, *_interpreter())
    flags = "".join(f"--bind-ro={place}\n" for place in seen_inside)
    (place / "container-flags").write_text(flags)


def _write_program(place: Path, name: str, module: str) -> None:
    script = place / "bin" / name
    run = f'exec {" ".join(_PYTHON)} -m {module} "$@"'
    script.write_text(f"#!/bin/sh\nexport PYTHONPATH={CHECKOUT}\n{run}\n")
    script.chmod(0o755)


# --- start and stop -------------------------------------------------------------------


def _cgroup_roots() -> Iterator[Path]:
    """Give the hierarchies that systemd uses: one, or two on an older set-up."""
    if (_CGROUPS / "cgroup.procs").exists():
        places = [_CGROUPS]
    else:
        places = [_CGROUPS / "unified", _CGROUPS / "systemd"]
    for place in places:
        if os.access(place / "cgroup.procs", os.W_OK):
            yield place


@contextlib.contextmanager
def _cgroup(name: str) -> Iterator["_Enter"]:
    """Make a group for the host: two in one would share nspawn's own groups.

    What is left in it is killed in the end; and before, what a run left that is gone.
    """
    own = f"{_GROUP}{os.getpid()}-{name}"
    for root in _cgroup_roots():
        for left in root.glob(f"{_GROUP}*"):
            if not Path("/proc", left.name.split("-")[2]).exists():
                _remove(left)
    groups = [root / own for root in _cgroup_roots()]
    for group in groups:
        group.mkdir(exist_ok=True)
    try:
        yield _Enter(tuple(group / "cgroup.procs" for group in groups))
    finally:
        for group in groups:
            _remove(group)


def _remove(group: Path) -> None:
    """Kill everything in a group, and remove it."""
    with contextlib.suppress(OSError):
        (group / "cgroup.kill").write_text("1")
    for _ in range(_LOOKS):
        for place, _, _ in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):
                Path(place).rmdir()
        if not group.exists():
            return
        time.sleep(_LOOK_EVERY_S)  # no event says that a group has become empty


@dataclass(frozen=True)
class _Enter:
    """Moves the calling process into the groups."""

    members: tuple[Path, ...]

    def __call__(self) -> None:
        for place in self.members:
            place.write_text(str(os.getpid()))


@contextlib.contextmanager
def _ready_socket(path: Path) -> Iterator[socket.socket]:
    """Listen for what nspawn tells whoever started it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
        ready.bind(str(path))
        ready.settimeout(1.0)
        yield ready


def _leader(
    ready: socket.socket, process: "subprocess.Popen[bytes]", room: Path
) -> int:
    """Return the host's PID 1 when it says that it is up."""
    leader, up, left = 0, False, _BOOT_S
    while not (leader and up):
        if process.poll() is not None or left <= 0:
            said = (room / "console").read_text(errors="replace")
            raise AssertionError(f"the test host did not boot:\n{said[-4000:]}")
        try:
            message = ready.recv(4096).decode()
        except TimeoutError:
            left -= 1.0
            continue
        for line in message.splitlines():
            if line.startswith("X_NSPAWN_LEADER_PID="):
                leader = int(line.partition("=")[2])
            up = up or line == "READY=1"
    return leader


def settle(machine: Machine) -> None:
    """Wait for everything that boots; give sandboxes in it a whole /proc.

    A user namespace may mount /proc only where one is to be seen that nothing is
    mounted over; nspawn mounts over parts of the host's.
    """
    state = machine.run("systemctl", "is-system-running", "--wait", check=False)
    if state.out.strip() != "running":
        failed = machine.run("systemctl", "--failed", "--no-pager").out
        raise AssertionError(f"the test host is {state.out}{failed}")
    machine.run("mkdir", "-p", "-m", "0700", "/run/hive-test", "/run/hive-test/proc")
    machine.run("mount", "-t", "proc", "proc", "/run/hive-test/proc")
    unit = (_HERE / "container" / "container@.service").read_text()
    text = unit.replace("@here@", f"{CHECKOUT}/checks/systemd/container")
    machine.write("/etc/systemd/system/container@.service", text)
    machine.run("systemctl", "daemon-reload")


def _stop(machine: Machine, process: "subprocess.Popen[bytes]") -> None:
    """End the host with its PID 1: nobody needs what its services would still do."""
    with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
        os.kill(machine.leader, signal.SIGKILL)
        process.wait(_STOP_S)


def tail(machine: Machine, lines: int) -> str:
    """Return the end of a host's journal, for somebody who looks at a failure."""
    with contextlib.suppress(AssertionError, OSError, subprocess.SubprocessError):
        return machine.journal("-n", str(lines))
    return "its journal cannot be read"
