"""Runs in an agent's sandbox (``sandbox`` puts it there) and tries to get out.

Every attempt has a child process of its own with half a second. ``never`` marks what
must not succeed. Only the standard library: it runs under the sandbox's own Python.
"""

import contextlib
import ctypes
import errno
import json
import os
import pathlib
import platform
import resource
import select
import signal
import socket
import stat
from collections.abc import Callable
from typing import Any

FACTS = json.loads(pathlib.Path("/state/facts.json").read_text())
LIBC = ctypes.CDLL(None, use_errno=True)
FOUND: dict[str, tuple[str, bool]] = {}
SILENT = os.open(os.devnull, os.O_WRONLY)
_SECONDS = 0.5
_PATIENCE_S = 10.0
"""How long an attempt may say nothing at all."""


def attempt(name: str, function: Callable[..., Any], *args: Any, never: bool) -> None:
    """Call ``function`` in a child; note the error's name, or what it returned."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        signal.setitimer(signal.ITIMER_REAL, _SECONDS)
        os.dup2(SILENT, 1)  # a call such as vfork may end it with words of its own
        os.dup2(SILENT, 2)
        try:
            said = f"done: {function(*args)!r}"[:300]
        except OSError as error:
            said = errno.errorcode.get(error.errno or 0, f"E {error}")
        except BaseException as error:
            said = f"E {type(error).__name__}: {error}"[:300]
        os.write(write, said.encode("utf-8", "replace"))
        os._exit(0)
    os.close(write)
    # A child that it made (by vfork, for one) has no timer and may hold the pipe open.
    ready, _, _ = select.select([read], [], [], _PATIENCE_S)
    said = os.read(read, 400).decode("utf-8", "replace") if ready else ""
    os.close(read)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not said:
        said = f"killed by {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else "ended"
    FOUND[name] = (said, never)


def syscall(number: int, *args: int) -> int:
    """Make a system call; what it returns, or OSError."""
    ctypes.set_errno(0)
    result: int = LIBC.syscall(ctypes.c_long(number), *map(ctypes.c_long, args))
    if result == -1:
        raise OSError(ctypes.get_errno(), "syscall")
    return result


def write(path: str) -> str:
    """Write into a file."""
    with open(path, "ab", buffering=0) as file:  # noqa: PTH123
        file.write(b"x")
    return "written"


def read(path: str) -> str:
    """Return the beginning of a file or the names in a directory."""
    if os.path.isdir(path):  # noqa: PTH112
        return str(sorted(os.listdir(path))[:20])  # noqa: PTH208
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        return str(file.read(60))


def connect(family: int, address: Any) -> str:
    """Connect."""
    with socket.socket(family) as sock:
        sock.settimeout(0.3)
        sock.connect(address)
    return "connected"


def opened(family: int, kind: int, protocol: int = 0) -> str:
    """Make a socket."""
    with socket.socket(family, kind, protocol):
        return "made"


HOSTS_TO_WRITE = (
    *("/usr/bin/x", "/usr/lib/x", "/etc/x", "/etc/passwd", "/etc/hosts", "/x"),
    *("/run/hive/manifest.json", "/run/hive/new", "/run/x", "/bin/sh", "/lib/x"),
    *(
        "/proc/sysrq-trigger",
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/vm/swappiness",
    ),
    *("/sys/kernel/uevent_helper", "/sys/power/state", "/dev/kmsg", "/dev/mem"),
    *("/dev/sda", "/dev/loop-control", "/dev/fuse", "/dev/kvm", "/dev/net/tun"),
    *(
        "/proc/sys/kernel/modprobe",
        "/proc/acpi/wakeup",
        "/sys/fs/cgroup/cgroup.procs",
    ),
    *(
        "/sys/fs/cgroup/memory.max",
        "/proc/1/mem",
        "/boot/x",
        "/var/lib/x",
        "/opt/x",
    ),
)
HOSTS_TO_READ = (
    *(
        "/root",
        "/home/root",
        "/etc/shadow",
        "/etc/gshadow",
        "/etc/sudoers",
        "/boot",
    ),
    *("/proc/kcore", "/dev/mem", "/dev/kmsg", "/proc/kmsg", "/agents", "/applied"),
    *("/var/log", "/var/lib", "/etc/ssh", "/root/.ssh", "/nix/var", "/srv", "/mnt"),
    *("/run/systemd", "/run/dbus/system_bus_socket", "/var/run/docker.sock"),
    *("/dev/disk", "/sys/kernel/debug/tracing"),
)


def files() -> None:
    """Read what is the host's, write what is not ours, make devices and links."""
    for path in HOSTS_TO_WRITE:
        attempt(f"write {path}", write, path, never=True)
    for path in (*FACTS["paths"], *HOSTS_TO_READ):
        attempt(f"read {path}", read, path, never=True)
    for path in ("/proc/1/environ", "/proc/self/environ", "/proc/self/mountinfo"):
        attempt(f"see {path}", read, path, never=False)
    for root in ("/proc/1/root", "/proc/self/root"):
        for path in FACTS["paths"][:3]:
            attempt(f"read {root}{path}", read, root + path, never=True)
    for kind, name in ((stat.S_IFCHR, "character"), (stat.S_IFBLK, "block")):
        for major in (1, 8):
            attempt(
                f"make a {name} device {major}",
                os.mknod,
                f"/state/dev-{name}-{major}",
                kind | 0o666,
                os.makedev(major, 1),
                never=True,
            )
    attempt("chown to root", os.chown, "/state", 0, 0, never=False)
    attempt("chroot", os.chroot, "/state", never=True)
    attempt(
        "link the record", os.link, "/run/hive/manifest.json", "/state/l", never=True
    )
    attempt("rename the sockets", os.rename, "/run/hive", "/state/run", never=True)
    attempt("unlink a socket", os.unlink, "/run/hive/hive.sock", never=True)
    attempt("file of 8 EiB", os.truncate, "/state/facts.json", 2**63 - 1, never=False)


def processes() -> None:
    """Reach processes that are not ours, become another user, raise limits."""
    for pid in (1, 2):
        attempt(f"trace {pid}", syscall, 101, 16, pid, 0, 0, never=True)
    attempt("memory of 1", syscall, 310, 1, 0, 0, 0, 0, 0, never=False)
    for name, call in (("setuid", os.setuid), ("setgid", os.setgid)):
        attempt(f"{name} 0", call, 0, never=True)
    attempt("setgroups", os.setgroups, [0], never=True)
    attempt("nice -20", os.setpriority, os.PRIO_PROCESS, 0, -20, never=True)
    for name in ("NOFILE", "NPROC", "MEMLOCK", "RTPRIO"):
        which = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(which)[1]
        if hard != resource.RLIM_INFINITY:
            more = (hard + 1, hard + 1)
            attempt(f"raise {name}", resource.setrlimit, which, more, never=True)
    for policy in (os.SCHED_FIFO, os.SCHED_RR):
        param = os.sched_param(1)
        attempt(
            f"realtime {policy}", os.sched_setscheduler, 0, policy, param, never=True
        )
    seen = [name for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
    FOUND["processes seen"] = (f"{len(seen)}", len(seen) > 40)
    attempt("many children", _children, never=False)
    attempt("many descriptors", _descriptors, never=False)
    attempt("much memory", lambda: len(bytearray(2**40)), never=True)


def _children() -> str:
    made = []
    try:
        for _ in range(200):
            child = os.fork()
            if child == 0:
                signal.pause()
            made.append(child)
    finally:
        for child in made:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    return f"{len(made)}"


def _descriptors() -> str:
    made = 0
    for _ in range(100_000):
        os.open("/dev/null", os.O_RDONLY)
        made += 1
    return f"{made}"


def network() -> None:
    """Connect out, to the host, to sockets of others; make sockets of every kind."""
    inet, six = socket.AF_INET, socket.AF_INET6
    for host in ("192.0.2.1", "127.0.0.1", "169.254.169.254", "10.0.0.1", "1.1.1.1"):
        for port in (FACTS["port"], 22, 53, 80, 443):
            attempt(f"connect {host}:{port}", connect, inet, (host, port), never=True)
    for host in ("::1", "2001:db8::1", "fe80::1"):
        attempt(f"connect {host}", connect, six, (host, FACTS["port"]), never=True)
    for path in FACTS["paths"]:
        attempt(f"connect {path}", connect, socket.AF_UNIX, path, never=True)
    for name in ("\0/tmp/.X11-unix/X0", "\0hive", "/run/dbus/system_bus_socket"):
        attempt(f"connect {name!r}", connect, socket.AF_UNIX, name, never=True)
    for family in range(2, 46):
        never = family not in (inet, six, socket.AF_NETLINK)
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
            name = f"socket {family} {int(kind)}"
            raw = kind == socket.SOCK_RAW and family in (inet, six)
            attempt(name, opened, family, kind, 1 if raw else 0, never=never or raw)
        pair = f"socketpair {family}"
        attempt(pair, syscall, 53, family, 1, 0, 0, never=False)


_NEVER = {
    **{"mount": 165, "umount2": 166, "pivot_root": 155, "swapon": 167, "swapoff": 168},
    **{"reboot": 169, "sethostname": 170, "setdomainname": 171, "iopl": 172},
    **{"ioperm": 173, "init_module": 175, "delete_module": 176, "quotactl": 179},
    **{"acct": 163, "settimeofday": 164, "kexec_load": 246, "add_key": 248},
    **{"request_key": 249, "keyctl": 250, "perf_event_open": 298, "fanotify_init": 300},
    **{"open_by_handle_at": 304, "clock_settime": 227, "setns": 308, "syslog": 103},
    **{"finit_module": 313, "bpf": 321, "userfaultfd": 323, "io_uring_setup": 425},
    **{"open_tree": 428, "move_mount": 429, "fsopen": 430, "fsmount": 432},
    **{"fspick": 433, "mount_setattr": 442, "kexec_file_load": 320, "vhangup": 153},
    **{"lookup_dcookie": 212, "nfsservctl": 180, "uselib": 134, "chroot": 161},
}
_FLAGS = {
    **{"NEWNS": 0x20000, "NEWUSER": 0x10000000, "NEWPID": 0x20000000},
    **{"NEWNET": 0x40000000, "NEWIPC": 0x08000000, "NEWUTS": 0x04000000},
    **{"NEWCGROUP": 0x02000000},
}


def calls() -> None:
    """Every system call of this machine with nothing, and the privileged ones well."""
    for name, number in _NEVER.items():
        for value in (0, 1, -1):
            attempt(
                f"{name}({value})",
                syscall,
                number,
                *[value] * 6,
                never=name != "vhangup",
            )
    for name, flag in _FLAGS.items():
        attempt(f"unshare {name}", syscall, 272, flag, never=True)
        attempt(f"clone {name}", syscall, 56, flag | 17, 0, 0, 0, 0, never=True)
    for number in range(463):
        attempt(f"call {number}", syscall, number, 0, 0, 0, 0, 0, 0, never=False)


def main() -> None:
    """Try everything."""
    files()
    processes()
    network()
    if platform.machine() == "x86_64":
        calls()
    pathlib.Path("/state/found.json").write_text(json.dumps(FOUND))
    print("attacks are done")


if __name__ == "__main__":
    main()
