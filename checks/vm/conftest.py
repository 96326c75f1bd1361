"""Fixtures inside the virtual machine: the machine itself, and a hive on it."""

from pathlib import Path
from typing import Final

import pytest

from checks.systemd.hive import RUNTIME, install
from checks.systemd.machine import Machine, settle
from pyglue.config import HiveConfig

_PATIENCE_S: Final = 3600.0
"""Without KVM everything takes many times as long."""


@pytest.fixture(scope="session")
def machine() -> Machine:
    """Return this machine, which has booted for the tests."""
    here = Machine(1, Path("/"), _PATIENCE_S)
    settle(here)
    slow = "[Service]\nTimeoutStartSec=15min\n"
    here.write("/etc/systemd/system/container@.service.d/slow.conf", slow)
    here.run("systemctl", "daemon-reload")
    return here


@pytest.fixture(scope="session")
def installed(machine: Machine) -> HiveConfig:
    """A hive's daemons as units, without agents.

    Debian's kernel can be older than 6.3, which maps no users on a tmpfs: what
    containers have bound of /run comes from the disk.
    """
    for place in ("/var/lib/hive-run", RUNTIME):
        Path(place).mkdir()
    machine.run("mount", "--bind", "/var/lib/hive-run", RUNTIME)
    return install(machine, ())
