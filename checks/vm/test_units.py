"""The hardening of running units: systemd's score and its effects."""

import re
import socket
import subprocess
from pathlib import Path
from typing import Final

import pytest

from checks.nix.host.scores import GOALS
from checks.systemd.machine import Machine
from checks.vm.network import PORT, WORLD, world
from pyglue.config import HiveConfig

_NO_CAPABILITY: Final = 0
_CALL: Final = """
import os, socket, sys
with open(sys.argv[1], "w") as group:
    group.write(str(os.getpid()))
with socket.socket() as sock:
    sock.settimeout(5)
    try:
        sock.connect((sys.argv[2], int(sys.argv[3])))
        print("done")
    except OSError as error:
        print(type(error).__name__)
"""


@pytest.mark.parametrize("unit", sorted(GOALS))
def test_a_running_unit_is_no_more_exposed_than_promised(
    machine: Machine, installed: HiveConfig, unit: str
) -> None:
    assert machine.show(unit, "ActiveState")["ActiveState"] == "active"
    done = machine.run("systemd-analyze", "security", "--no-pager", unit)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.out)
    assert found is not None, done.out
    assert float(found[1]) <= GOALS[unit]


@pytest.mark.parametrize("unit", ["hive-relay", "hive-web"])
def test_what_faces_the_network_has_no_power(
    machine: Machine, installed: HiveConfig, unit: str
) -> None:
    pid = machine.show(unit, "MainPID")["MainPID"]
    status = Path(f"/proc/{pid}/status").read_text()
    said = dict(re.findall(r"^(\w+):\s+(\w+)", status, re.MULTILINE))
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(said[name], 16) == _NO_CAPABILITY, name
    assert (said["NoNewPrivs"], said["Seccomp"]) == ("1", "2")
    assert int(said["Uid"]) > 0


def test_hived_has_no_network(machine: Machine, installed: HiveConfig) -> None:
    pid = machine.show("hived", "MainPID")["MainPID"]
    names = machine.run("nsenter", "-t", pid, "-n", "--", "ip", "-o", "link").out
    assert re.findall(r"^\d+: (\w+)", names, re.MULTILINE) == ["lo"]


def test_the_dashboard_reaches_no_other_address(
    machine: Machine, installed: HiveConfig
) -> None:
    """Whoever is in its control group, that is: the kernel's own rule."""
    world(machine)
    with socket.create_connection((WORLD, PORT), timeout=60):
        pass
    group = machine.show("hive-web", "ControlGroup")["ControlGroup"]
    procs = f"/sys/fs/cgroup{group}/cgroup.procs"
    tried = {}
    for address in (WORLD, "127.0.0.1"):
        argv = ("/usr/bin/python3", "-c", _CALL, procs, address, str(PORT))
        tried[address] = subprocess.run(
            argv, capture_output=True, text=True, check=True
        ).stdout.strip()
    assert tried[WORLD] in ("PermissionError", "TimeoutError")
    assert tried["127.0.0.1"] in ("done", "ConnectionRefusedError")  # who listens there
