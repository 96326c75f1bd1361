"""A container's limits, as enforced by the kernel on that container only."""

import json
import signal
from typing import Final

import pytest

from checks.systemd.machine import Machine
from checks.vm.containers import Container, started
from pyglue.config import HiveConfig
from pyglue.host.backends.dropin import TASKS_MAX

_MIB: Final = 1 << 20
_MEMORY: Final = 192 * _MIB
_CPU_PERCENT: Final = 20
_GREEDY: Final = f"""
held = []
for _ in range(64):
    held.append(bytes(b"x" * (16 * {_MIB})))
print("got it all")
"""
_WITHIN: Final = f"""
held = bytearray(b"x" * (64 * {_MIB}))
print(len(held))
"""
_BUSY: Final = """
import time
used, began = time.process_time, time.monotonic()
first = used()
while used() - first < 2:
    pass
print((used() - first) / (time.monotonic() - began))
"""
_MANY: Final = f"""
import json, threading
threading.stack_size(64 << 10)
end, started, refused = threading.Event(), 0, None
for _ in range({TASKS_MAX} + 500):
    try:
        threading.Thread(target=end.wait, daemon=True).start()
    except RuntimeError as error:
        refused = str(error)
        break
    started += 1
print(json.dumps([started, refused]), flush=True)
end.set()
"""


@pytest.fixture(scope="module")
def limited(machine: Machine, installed: HiveConfig) -> Container:
    return started(machine, installed, "small", memory=_MEMORY, cpu=_CPU_PERCENT)


@pytest.fixture(scope="module")
def beside(machine: Machine, installed: HiveConfig) -> Container:
    """A container of the same hive that has no such limit."""
    return started(machine, installed, "large")


def test_too_much_memory_ends_the_process_that_took_it_and_no_other(
    machine: Machine, limited: Container, beside: Container
) -> None:
    leader, killed = beside.leader, limited.counted("memory.events", "oom_kill")
    hived = machine.show("hived", "MainPID")["MainPID"]
    assert limited.said(_WITHIN) == str(64 * _MIB)

    out, _ = (greedy := limited.python(_GREEDY)).communicate()

    assert (greedy.returncode, out) == (-signal.SIGKILL, "")
    assert limited.counted("memory.events", "oom_kill") > killed
    assert limited.counted("memory.events", "max") > 0
    assert (limited.group / "memory.max").read_text().strip() == str(_MEMORY)
    assert beside.counted("memory.events", "oom_kill") == 0
    assert beside.said(_GREEDY) == "got it all"
    assert (beside.leader, machine.show("hived", "MainPID")["MainPID"]) == (
        leader,
        hived,
    )


def test_a_quota_holds_a_busy_container_to_its_share(
    limited: Container, beside: Container
) -> None:
    share = float(limited.said(_BUSY))

    # One period of the kernel's (100 ms) can begin before and end after the measure.
    assert share <= 1.1 * _CPU_PERCENT / 100
    assert limited.counted("cpu.stat", "nr_throttled") > 0
    assert beside.counted("cpu.stat", "nr_throttled") == 0


def test_a_container_starts_no_more_tasks_than_its_limit(
    beside: Container,
) -> None:
    began, refused = json.loads(beside.said(_MANY))

    assert refused == "can't start new thread"
    assert TASKS_MAX * 0.9 < began < TASKS_MAX
    assert (beside.group / "pids.max").read_text().strip() == str(TASKS_MAX)
    assert beside.said("print('still here')") == "still here"
