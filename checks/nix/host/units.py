"""The host module's units, users and directories as the files that NixOS writes.

Used by the tests of the module, and by ``checks/systemd``, which runs a hive of them.
``service["path"]`` is left out: where programs come from differs.
"""

from collections.abc import Iterator
from typing import Any, Final

_ORDER: Final = (
    *("documentation", "after", "before", "conflicts", "requires", "wants"),
)


def service(unit: dict[str, Any]) -> str:
    """Return a service's unit file."""
    environment = [f"{name}={value}" for name, value in unit["environment"].items()]
    settings = {**unit["serviceConfig"], "Environment": environment}
    return "\n".join([*_head(unit), "[Service]", *_lines(settings), ""])


def listener(unit: dict[str, Any]) -> str:
    """Return a socket's unit file."""
    return "\n".join([*_head(unit), "[Socket]", *_lines(unit["socketConfig"]), ""])


def mount(unit: dict[str, Any]) -> str:
    """Return a mount's unit file."""
    names = ("what", "where", "type", "options")
    settings = {name.capitalize(): unit[name] for name in names}
    return "\n".join([*_head(unit), "[Mount]", *_lines(settings), ""])


def mount_name(unit: dict[str, Any]) -> str:
    """Return how systemd calls a mount's unit."""
    parts = unit["where"].strip("/").split("/")
    return "-".join(part.replace("-", r"\x2d") for part in parts) + ".mount"


def sysusers(users: dict[str, Any]) -> str:
    """Return users and groups as systemd-sysusers takes them."""
    groups = users["groups"]
    lines = [f"g {name} {group['gid']}" for name, group in groups.items()]
    lines += [
        f"u {name} {user['uid']}:{groups[user['group']]['gid']} -"
        for name, user in users["users"].items()
    ]
    lines += [
        f"m {m} {name}" for name, group in groups.items() for m in group["members"]
    ]
    return "\n".join([*lines, ""])


def _head(unit: dict[str, Any]) -> Iterator[str]:
    yield from ("[Unit]", f"Description={unit['description']}")
    ordered = {name.capitalize(): unit[name] for name in _ORDER}
    yield from _lines({**ordered, **unit["unitConfig"]})


def _lines(settings: dict[str, Any]) -> Iterator[str]:
    for name, value in settings.items():
        for item in value if isinstance(value, list) else [value]:
            text = str(item).lower() if isinstance(item, bool) else item
            yield f"{name}={text}"
