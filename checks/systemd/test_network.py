"""A container with a network, under the module's own rules: only the internet.

The internet, and another agent's container, are network namespaces of the test host;
each has a listener, which answers until the rules are there.
"""

from typing import Final

import pytest

from checks.nix.host import record
from checks.systemd.hive import SystemHive
from checks.systemd.machine import Machine
from checks.systemd.neighbours import namespace
from pyglue.api.operations import OperationState

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nspawn"),
]

WORLD: Final = "1.2.3.4"
WORLD_GATE: Final = "1.2.3.1"
OTHER: Final = "10.231.200.2"
OTHER_GATE: Final = "10.231.200.1"
PORT: Final = 7001
NETWORK: Final = '{ hyperhive.model = "haiku"; hyperhive.network = %s; }'
LISTEN: Final = """
import os, socket
server = socket.create_server(("0.0.0.0", %d))
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
    ready.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
while True:
    server.accept()
"""
CALL: Final = """
import json, socket
def call(host):
    with socket.socket() as sock:
        sock.settimeout(2)
        try:
            sock.connect((host, %d))
        except OSError as error:
            return type(error).__name__
    return "done"
print(json.dumps([call(host) for host in %r]))
"""


def neighbour(machine: Machine, name: str, device: str, gate: str, own: str) -> None:
    """Make a network namespace behind ``device``, with a listener in it."""
    namespace(machine, name, device, gate, own)
    listen(machine, f"--property=NetworkNamespacePath=/run/netns/{name}")


def listen(machine: Machine, *where: str) -> None:
    """Listen on ``PORT``; ready on return."""
    unit = ("systemd-run", "--quiet", "--property=Type=notify", *where)
    machine.run(*unit, "/usr/bin/python3", "-c", LISTEN % PORT)


async def test_a_network_leads_to_the_internet_alone(hive: SystemHive) -> None:
    machine = hive.machine
    machine.write("/etc/resolv.conf", f"nameserver {WORLD}\n")
    machine.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    neighbour(machine, "world", "up0", WORLD_GATE, WORLD)
    neighbour(machine, "other", "ve-h-other", OTHER_GATE, OTHER)
    listen(machine)
    done = await hive.approve(await hive.propose("alice", NETWORK % "true"))
    assert (done.state, done.error) == (OperationState.DONE, None)
    await hive.idle("alice")
    conf = machine.run("cat", "/etc/nixos-containers/h-alice.conf").out
    settings = dict(line.split("=", 1) for line in conf.splitlines() if "=" in line)
    needs = machine.run("systemctl", "show", "-P", "Requires", "container@h-alice").out
    assert "nftables.service" in needs.split()
    host, own = settings["HOST_ADDRESS"], settings["LOCAL_ADDRESS"]
    listen(machine, "-M", "h-alice")
    look = CALL % (PORT, (WORLD, host, WORLD_GATE, OTHER))
    call = CALL % (PORT, (own,))
    call_own = ("ip", "netns", "exec", "other", "/usr/bin/python3", "-c", call)
    assert hive.inside("alice", look) == ["done"] * 4
    assert machine.run(*call_own).out == '["done"]\n'

    table = record.evaluate("booted")["networking"]["nftables"]["tables"]["hyperhive"]
    rules = f"table {table['family']} hyperhive {{\n{table['content']}}}\n"
    machine.run("nft", "-f", "-", stdin=rules)
    lost = "TimeoutError"
    assert hive.inside("alice", look) == ["done", lost, lost, lost]
    assert machine.run(*call_own).out == f'["{lost}"]\n'


ASK: Final = """
import json, socket
def ask(target):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect("/run/hive/egress.sock")
        line, host = f"CONNECT {target} HTTP/1.1", f"Host: {target}"
        sock.sendall(f"{line}\\r\\n{host}\\r\\n\\r\\n".encode())
        return sock.recv(4096).decode().partition("\\r\\n")[0]
print(json.dumps([ask(target) for target in %r]))
"""
HOSTS: Final = '{ hyperhive.model = "haiku"; hyperhive.network.allow = [ %s ]; }'


async def test_hosts_are_reached_without_a_network(hive: SystemHive) -> None:
    """In place of the network that the test above left; in the end there is none."""
    listed = [f"{one}:{PORT}" for one in (WORLD, WORLD_GATE)]
    entries = " ".join(f'"{one}"' for one in listed)
    done = await hive.approve(await hive.propose("alice", HOSTS % entries))
    assert (done.state, done.error) == (OperationState.DONE, None)
    await hive.idle("alice")
    assert hive.inside("alice", CALL % (PORT, (WORLD,))) == ["OSError"]
    targets = (*listed, f"{OTHER}:{PORT}", f"{WORLD}:443", f"127.0.0.1:{PORT}")
    reached, own, *others = hive.inside("alice", ASK % (targets,), user="agent")
    assert reached.startswith("HTTP/1.1 200 ")
    assert own.startswith("HTTP/1.1 403 ") and "this machine's own" in own
    for target, said in zip(targets[2:], others, strict=True):
        assert said.startswith(f"HTTP/1.1 403 Forbidden: You may not reach {target}.")
    show = hive.machine.show("hive-egress.service", "User", "MainPID")
    assert show["User"] == "hive-egress" and show["MainPID"] != "0"

    done = await hive.approve(await hive.propose("alice", NETWORK % "false"))
    assert (done.state, done.error) == (OperationState.DONE, None)
    await hive.idle("alice")
    assert hive.inside("alice", CALL % (PORT, (WORLD,))) == ["OSError"]
    gone = "import os; print(int(os.path.exists('/run/hive/egress.sock')))"
    assert hive.inside("alice", gone) == 0
