"""The system call filter of every sandbox, as the bytes that the kernel loads.

``sandbox`` passes them to bubblewrap. Calls that reach deep into the kernel or into
other processes return EPERM, even if they require a missing capability anyway: code
that cannot be reached cannot be exploited. New namespaces are refused too. ``clone3``
returns ENOSYS, because a filter cannot look into its struct; libc then uses ``clone``.
Only Unix, IP and netlink sockets are allowed: others, such as vsock, ignore network
namespaces. A call of another architecture kills the process.
"""

import errno
import platform
import struct
from typing import Final

from pyglue.errors import ErrorCode, HiveError

_AUDIT_ARCH: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_COLUMN: Final = {"x86_64": 0, "aarch64": 1}

# Numbers on x86_64 and aarch64, from the kernel's unistd headers.
_DENIED: Final = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "migrate_pages": (256, 238),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "move_pages": (279, 239),
    "nfsservctl": (180, 42),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_madvise": (440, 440),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}
_DENIED_X86_ONLY: Final = {
    "ioperm": 173,
    "iopl": 172,
    "modify_ldt": 154,
    "uselib": 134,
    "ustat": 136,
}
_CLONE: Final = (56, 220)
_CLONE3: Final = (435, 435)
_IOCTL: Final = (16, 29)
_SOCKET: Final = (41, 198)
_SOCKETPAIR: Final = (53, 199)
_UNSHARE: Final = (272, 97)

_X32_BIT: Final = 0x40000000
_NEW_NAMESPACES: Final = 0x7E020000  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}
_NEW_TIME: Final = 0x80  # only in unshare; in clone these bits are the exit signal
_TIOCSTI: Final = 0x5412
_TIOCLINUX: Final = 0x541C
_FAMILIES: Final = (1, 2, 10, 16)  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK

# offsets in struct seccomp_data; both architectures are little-endian
_NR: Final = 0
_ARCH: Final = 4
_ARG0: Final = 16
_ARG1: Final = 24

_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_IF_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_IF_AT_LEAST: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_IF_ANY_BIT: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K

_KILL: Final = 0x80000000
_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000


class _Program:
    """A BPF program whose tests jump to named returns that come after them."""

    def __init__(self) -> None:
        self._code: list[tuple[int, int, str | None, bool]] = []
        self._labels: dict[str, int] = {}

    def load(self, offset: int) -> None:
        self._code.append((_LOAD, offset, None, True))

    def test(self, kind: int, value: int, label: str, *, when: bool = True) -> None:
        """Jump to ``label`` if the test's outcome is ``when``, else continue."""
        self._code.append((kind, value, label, when))

    def end(self, answer: int, label: str | None = None) -> None:
        """Return; ``label`` names this place."""
        if label is not None:
            self.label(label)
        self._code.append((_RETURN, answer, None, True))

    def label(self, name: str) -> None:
        self._labels[name] = len(self._code)

    def bytes(self) -> bytes:
        """Return the program as an array of ``struct sock_filter``."""
        parts = []
        for place, (code, value, label, when) in enumerate(self._code):
            jump = 0 if label is None else self._labels[label] - place - 1
            yes, no = (jump, 0) if when else (0, jump)
            parts.append(struct.pack("<HBBI", code, yes, no, value))
        return b"".join(parts)


def program(machine: str | None = None) -> bytes:
    """Return the filter for ``machine`` as ``uname -m`` names it; None is this one.

    Raises:
        HiveError: ``sandbox_unavailable`` for an architecture without call numbers.
    """
    machine = machine or platform.machine()
    if machine not in _AUDIT_ARCH:
        raise HiveError(
            ErrorCode.SANDBOX_UNAVAILABLE,
            f"There is no system call filter for {machine}; hyperhive sandboxes agents "
            "on x86_64 and aarch64.",
        )
    column = _COLUMN[machine]
    code = _Program()
    code.load(_ARCH)
    code.test(_IF_EQUAL, _AUDIT_ARCH[machine], "kill", when=False)
    code.load(_NR)
    if machine == "x86_64":
        code.test(_IF_AT_LEAST, _X32_BIT, "deny")
    for name, pair in (
        ("clone", _CLONE),
        ("ioctl", _IOCTL),
        ("socket", _SOCKET),
        ("socket", _SOCKETPAIR),
        ("unshare", _UNSHARE),
        ("nosys", _CLONE3),
        *(("deny", pair) for pair in _DENIED.values()),
    ):
        code.test(_IF_EQUAL, pair[column], name)
    if machine == "x86_64":
        for number in _DENIED_X86_ONLY.values():
            code.test(_IF_EQUAL, number, "deny")
    code.end(_ALLOW)
    _arguments(code)
    code.end(_KILL, "kill")
    code.end(_ERRNO | errno.EPERM, "deny")
    code.end(_ERRNO | errno.ENOSYS, "nosys")
    return code.bytes()


def _arguments(code: _Program) -> None:
    """Add the calls that depend on an argument."""
    code.label("clone")
    code.load(_ARG0)
    code.test(_IF_ANY_BIT, _NEW_NAMESPACES, "deny")
    code.end(_ALLOW)
    code.label("unshare")
    code.load(_ARG0)
    code.test(_IF_ANY_BIT, _NEW_NAMESPACES | _NEW_TIME, "deny")
    code.end(_ALLOW)
    code.label("ioctl")
    code.load(_ARG1)
    code.test(_IF_EQUAL, _TIOCSTI, "deny")
    code.test(_IF_EQUAL, _TIOCLINUX, "deny")
    code.end(_ALLOW)
    code.label("socket")
    code.load(_ARG0)
    for family in _FAMILIES:
        code.test(_IF_EQUAL, family, "allow")
    code.end(_ERRNO | errno.EAFNOSUPPORT)
    code.end(_ALLOW, "allow")
