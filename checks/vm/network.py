"""Neighbours of containers: network namespaces with a listener each."""

from typing import Final

from checks.systemd.machine import Machine

PORT: Final = 7001
WORLD: Final = "1.2.3.4"
WORLD6: Final = "2001:db8:1::4"
LISTEN: Final = f"""
import os, socket
server = socket.create_server(
    ("::", {PORT}), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64
)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
    ready.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
while True:
    server.accept()
"""
CALL: Final = """
import json, socket
def call(host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as sock:
        sock.settimeout(10)
        try:
            sock.connect((host, %d))
        except OSError as error:
            return type(error).__name__
    return "done"
print(json.dumps({host: call(host) for host in %r}))
"""


def listen(machine: Machine, *where: str) -> None:
    """Listen on ``PORT``; ready on return."""
    unit = ("systemd-run", "--quiet", "--property=Type=notify", *where)
    machine.run(*unit, "/usr/bin/python3", "-c", LISTEN)


def neighbour(
    machine: Machine, name: str, device: str, *pairs: tuple[str, str]
) -> None:
    """Make a namespace behind ``device``, with the host's and its own addresses."""
    inside = ("ip", "-n", name)
    argvs = [
        ("ip", "netns", "add", name),
        ("ip", "link", "add", device, "type", "veth", "peer", "eth0", "netns", name),
        ("ip", "link", "set", device, "up"),
        (*inside, "link", "set", "lo", "up"),
        (*inside, "link", "set", "eth0", "up"),
    ]
    for gate, own in pairs:
        long, nodad = ("64", ("nodad",)) if ":" in own else ("24", ())
        argvs += [
            ("ip", "addr", "add", f"{gate}/{long}", "dev", device, *nodad),
            (*inside, "addr", "add", f"{own}/{long}", "dev", "eth0", *nodad),
        ]
    for gate, _ in {":" in own: (gate, own) for gate, own in pairs}.values():
        argvs.append((*inside, "route", "add", "default", "via", gate))
    for argv in argvs:
        machine.run(*argv)
    listen(machine, f"--property=NetworkNamespacePath=/run/netns/{name}")


def world(machine: Machine) -> None:
    """Make the internet, once."""
    if machine.run("ip", "netns", "list").out.find("world") < 0:
        pairs = (("1.2.3.1", WORLD), ("2001:db8:1::1", WORLD6))
        neighbour(machine, "world", "up0", *pairs)
