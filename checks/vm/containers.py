"""Containers as created by hived, without hived: its files, NixOS's unit, a small init.

An evaluation and a harness would take minutes here, and limits are the unit's.
"""

import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from checks.systemd.hive import IDS
from checks.systemd.machine import Machine
from pyglue.config import HiveConfig
from pyglue.host.backends.base import AgentSpec
from pyglue.host.backends.nixos_files import (
    ContainerFiles,
    HostPlaces,
    container_of,
    unit_of,
)

_INIT: Final = """\
exec /usr/bin/python3 -c '
import os, signal, socket
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.signal(signal.SIGRTMIN + 3, lambda *_: os._exit(0))
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
    ready.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
while True:
    signal.pause()
'
"""
_ENTER: Final = (
    'echo $$ > "$0/cgroup.procs"; exec nsenter -t "$1" -a -- /usr/bin/python3 -c "$2"'
)


@dataclass(frozen=True)
class Container:
    """One that runs."""

    machine: Machine
    agent: str

    @property
    def group(self) -> Path:
        """Its control group, which has the limits."""
        found = self.machine.show(unit_of(self.agent), "ControlGroup")["ControlGroup"]
        return Path("/sys/fs/cgroup") / found.lstrip("/")

    @property
    def leader(self) -> str:
        """Its PID 1, as a number of the host's."""
        show = ("machinectl", "show", container_of(self.agent), "--property=Leader")
        return self.machine.run(*show, "--value").out.strip()

    def python(self, code: str) -> "subprocess.Popen[str]":
        """Run Python as root in it, under its limits."""
        payload = str(self.group / "payload")
        return subprocess.Popen(
            ("sh", "-c", _ENTER, payload, self.leader, code),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def said(self, code: str) -> str:
        """Return what Python code prints in it."""
        out, err = (process := self.python(code)).communicate()
        assert process.returncode == 0, err
        return out.strip()

    def counted(self, file: str, name: str) -> int:
        """Return a number that the kernel counts for it."""
        text = (self.group / file).read_text()
        found = re.search(rf"^{name} (\d+)$", text, re.MULTILINE)
        assert found is not None, text
        return int(found[1])


def started(
    machine: Machine,
    config: HiveConfig,
    agent: str,
    *,
    memory: int | None = None,
    cpu: int | None = None,
    network: bool = False,
) -> Container:
    """Start a container with the limits that a manifest asks for."""
    layout, nixos = config.layout, config.nixos
    assert nixos is not None
    for place in (layout.run(agent), layout.agent_state(agent), layout.session(agent)):
        place.mkdir(parents=True, exist_ok=True)
        os.chown(place, IDS.agent, IDS.agent)
    with tempfile.TemporaryDirectory() as room:
        system = Path(room) / "system"
        system.mkdir()
        (system / "init").write_text(_INIT)
        (system / "system").write_text("x86_64-linux")
        stored = machine.run("nix-store", "--add", str(system)).out.strip()
    files = ContainerFiles(config, nixos, HostPlaces())
    spec = AgentSpec(
        name=agent,
        manager=False,
        record=b"{}",
        network=network,
        memory_max=memory,
        cpu_quota=cpu,
    )
    files.claim(agent)
    files.write(spec, stored)
    machine.run("systemctl", "daemon-reload")
    done = machine.run("systemctl", "start", unit_of(agent), check=False)
    assert done.code == 0, machine.journal("-n", "60")
    return Container(machine, agent)
