"""The filter's answers for both architectures, by running its bytes."""

import errno
import struct

import pytest

from pyglue.errors import ErrorCode, HiveError
from pyglue.sandbox import seccomp

ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOW = 0x7FFF0000
KILL = 0x80000000


def refuse(number: int) -> int:
    return 0x00050000 | number


EPERM = refuse(errno.EPERM)


def answer(machine: str, call: int, *args: int, arch: int | None = None) -> int:
    """Run the filter as the kernel does."""
    words = [*args, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("<iIQ6Q", call, arch or ARCHES[machine], 0, *words)
    code = list(struct.iter_unpack("<HBBI", seccomp.program(machine)))
    place = accumulator = 0
    while True:
        kind, yes, no, value = code[place]
        place += 1
        if kind == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif kind == 0x06:
            return int(value)
        else:
            met = {
                0x15: accumulator == value,
                0x35: accumulator >= value,
                0x45: bool(accumulator & value),
            }[kind]
            place += yes if met else no


@pytest.mark.parametrize("machine", ARCHES)
def test_every_listed_call_is_refused(machine: str) -> None:
    column = list(ARCHES).index(machine)
    for name, numbers in seccomp._DENIED.items():
        assert answer(machine, numbers[column]) == EPERM, name


@pytest.mark.parametrize("machine", ARCHES)
def test_ordinary_calls_are_allowed(machine: str) -> None:
    for call in {"x86_64": (0, 1, 9, 59, 202, 257), "aarch64": (63, 64, 221, 222)}[
        machine
    ]:
        assert answer(machine, call) == ALLOW


@pytest.mark.parametrize(("machine", "clone"), [("x86_64", 56), ("aarch64", 220)])
def test_clone_makes_processes_and_threads_but_no_namespace(
    machine: str, clone: int
) -> None:
    assert answer(machine, clone, 0x3D0F00) == ALLOW  # what pthread_create asks for
    assert answer(machine, clone, 17) == ALLOW
    for flag in (0x20000, 0x02000000, 0x10000000, 0x20000000, 0x40000000):
        assert answer(machine, clone, 17 | flag) == EPERM
    assert answer(machine, 435) == refuse(errno.ENOSYS)


@pytest.mark.parametrize(("machine", "unshare"), [("x86_64", 272), ("aarch64", 97)])
def test_unshare_makes_no_namespace(machine: str, unshare: int) -> None:
    assert answer(machine, unshare, 0x400) == ALLOW  # CLONE_FILES
    for flag in (0x80, 0x20000, 0x10000000):
        assert answer(machine, unshare, flag) == EPERM


@pytest.mark.parametrize(("machine", "ioctl"), [("x86_64", 16), ("aarch64", 29)])
def test_no_input_is_pushed_into_a_terminal(machine: str, ioctl: int) -> None:
    assert answer(machine, ioctl, 0, 0x5413) == ALLOW  # window size
    assert answer(machine, ioctl, 0, 0x5412) == EPERM
    assert answer(machine, ioctl, 0, 0xFFFFFFFF00005412) == EPERM
    assert answer(machine, ioctl, 0, 0x541C) == EPERM


@pytest.mark.parametrize(
    ("machine", "socket"),
    [("x86_64", 41), ("x86_64", 53), ("aarch64", 198), ("aarch64", 199)],
)
def test_socket_families(machine: str, socket: int) -> None:
    for family in (1, 2, 10, 16):
        assert answer(machine, socket, family) == ALLOW
    for family in (17, 30, 38, 40):  # packet, tipc, alg, vsock
        assert answer(machine, socket, family) == refuse(errno.EAFNOSUPPORT)


def test_other_architectures_are_killed() -> None:
    assert answer("x86_64", 4, arch=0x40000003) == KILL  # i386
    assert answer("aarch64", 4, arch=0x40000028) == KILL  # arm
    assert answer("x86_64", 0x40000000 | 1) == EPERM  # x32


def test_an_architecture_without_numbers_is_refused() -> None:
    with pytest.raises(HiveError) as refused:
        seccomp.program("riscv64")
    assert refused.value.code is ErrorCode.SANDBOX_UNAVAILABLE
