"""A container with a network, under the module's rules: only the internet.

Each place answers until the rules are there, so that it is they which keep it away;
root in the container gives itself addresses of IPv6, which the hive never does.
"""

import json
from typing import Final

from checks.nix.host import record
from checks.systemd.machine import Machine
from checks.vm.containers import started
from checks.vm.network import CALL, PORT, WORLD, WORLD6, listen, neighbour, world
from pyglue.config import HiveConfig

_PRIVATE: Final = ("10.1.1.4", "172.16.1.4", "192.168.1.4", "100.64.1.4", "fd00:2::4")
_OTHER: Final = ("10.231.200.2", "fd00:3::2")
_HOST6: Final = "fd00:1::1"
_OWN6: Final = "fd00:1::2"
_UP: Final = f"""
import subprocess
for words in ("addr add {_OWN6}/64 dev eth0 nodad", "route add default via {_HOST6}"):
    subprocess.run(["ip", "-6", *words.split()], check=True)
"""


def _gate(address: str) -> str:
    end = address.rstrip("0123456789")
    return f"{end}1"


def test_a_network_leads_to_the_internet_alone(
    machine: Machine, installed: HiveConfig
) -> None:
    machine.write("/etc/nftables.conf", "")
    machine.run(
        "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"
    )
    world(machine)
    places = {"lan": _PRIVATE, "other": _OTHER}
    for name, device in (("lan", "lan0"), ("other", "ve-h-other")):
        pairs = [(_gate(own), own) for own in places[name]]
        neighbour(machine, name, device, *pairs)
    listen(machine)
    container = started(machine, installed, "net", network=True)
    conf = machine.run("cat", "/etc/nixos-containers/h-net.conf").out
    settings = dict(line.split("=", 1) for line in conf.splitlines() if "=" in line)
    host, own = settings["HOST_ADDRESS"], settings["LOCAL_ADDRESS"]
    device = "ve-h-net"
    machine.run("ip", "addr", "add", f"{_HOST6}/64", "dev", device, "nodad")
    container.said(_UP)
    server = container.python(
        f"""
import socket
server = socket.create_server(
    ("::", {PORT}), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64
)
print("listening", flush=True)
while True:
    server.accept()
"""
    )
    assert server.stdout is not None
    assert server.stdout.readline() == "listening\n"

    near = (*_PRIVATE, *_OTHER, host, "1.2.3.1", _HOST6, WORLD6)
    look = CALL % (PORT, (WORLD, *near))
    in_other = ("ip", "netns", "exec", "other", "/usr/bin/python3", "-c")
    into = CALL % (PORT, (own, _OWN6))

    assert set(json.loads(container.said(look)).values()) == {"done"}
    assert set(json.loads(machine.run(*in_other, into).out).values()) == {"done"}

    table = record.evaluate("booted")["networking"]["nftables"]["tables"]["hyperhive"]
    rules = f"table {table['family']} hyperhive {{\n{table['content']}}}\n"
    machine.run("nft", "-f", "-", stdin=rules)
    # Where no neighbour may answer for an address either, there is no route to it.
    lost = {"TimeoutError", "OSError"}
    found = json.loads(container.said(look))
    assert found.pop(WORLD) == "done"
    assert set(found) == set(near) and set(found.values()) <= lost
    assert set(json.loads(machine.run(*in_other, into).out).values()) <= lost
    server.kill()
