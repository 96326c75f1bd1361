"""Network namespaces of the test host, in place of the internet and others."""

from checks.systemd.machine import Machine


def namespace(machine: Machine, name: str, device: str, gate: str, own: str) -> None:
    """Make a network namespace behind ``device``, with the address ``own``."""
    inside = ("ip", "-n", name)
    for argv in (
        ("ip", "netns", "add", name),
        ("ip", "link", "add", device, "type", "veth", "peer", "eth0", "netns", name),
        ("ip", "addr", "add", f"{gate}/24", "dev", device),
        ("ip", "link", "set", device, "up"),
        (*inside, "addr", "add", f"{own}/24", "dev", "eth0"),
        (*inside, "link", "set", "eth0", "up"),
        (*inside, "route", "add", "default", "via", gate),
    ):
        machine.run(*argv)
