"""Hosts that an agent may reach: ``github.com``, ``*.example.org``, ``db.test:5432``.

The entries of ``hyperhive.network.allow`` and of the operator's ``limits.network``.
hived checks and compares them; hive-egress asks ``allows`` for each connection. A
pattern is a name, or ``*.`` and a name (every name below it, not itself), or an address
(IPv6 in brackets), each with an optional port; without one it means ports 80 and 443.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pyglue.errors import ErrorCode, HiveError
from pyglue.net.addresses import Address
from pyglue.text.display import quoted

PORTS: Final = frozenset({80, 443})
"""What an entry without a port allows."""
NAME_MAX: Final = 253
ANY: Final = "*"
"""In the operator's limit of a secret: any host. Not an entry of an allow list."""

_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"(?:{_LABEL}\.)*[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?")
"""The last label begins with a letter: what looks like a number is an address."""
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")


@dataclass(frozen=True)
class Host:
    """A requested host: a name in lower case, or an address."""

    name: str
    port: int
    address: Address | None = None

    def __str__(self) -> str:
        """Write it as ``host:port``."""
        shown = f"[{self.name}]" if ":" in self.name else self.name
        return f"{shown}:{self.port}"

    @property
    def entry(self) -> str:
        """The entry of an allow list that allows only this host."""
        shown = str(self)
        return shown.rpartition(":")[0] if self.port in PORTS else shown


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """An entry of an allow list. ``below`` means every name below ``name``."""

    name: str
    below: bool
    ports: frozenset[int]
    address: Address | None = None

    def allows(self, host: Host) -> bool:
        """Return whether the entry allows a host."""
        if host.port not in self.ports:
            return False
        if not self.below:
            return host.name == self.name
        return host.address is None and host.name.endswith(f".{self.name}")

    def covers(self, other: "Pattern") -> bool:
        """Return whether this entry allows everything that ``other`` allows."""
        if not other.ports <= self.ports:
            return False
        if not self.below:
            return not other.below and other.name == self.name
        return other.name.endswith(f".{self.name}") or (
            other.below and other.name == self.name
        )


@lru_cache(maxsize=4096)
def parse(text: str) -> Pattern:
    """Read an entry of an allow list.

    Raises:
        HiveError: ``bad_request`` with what is wrong, and what to write.
    """
    name, port = _split(text)
    below = name.startswith("*.")
    host = _host(name.removeprefix("*."), port or 443)
    if host is None or (below and (host.address or "." not in host.name)):
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            f"Invalid host {quoted(text, limit=80)}: write a name in lower case "
            "(github.com), every name below one (*.example.org), or an address "
            "(192.0.2.7, [2001:db8::7]), each with a port if it is not 80 or 443 "
            "(db.example.org:5432).",
        )
    ports = PORTS if port is None else frozenset({port})
    return Pattern(name=host.name, below=below, ports=ports, address=host.address)


def asked(text: str, *, default_port: int | None = None) -> Host | None:
    """Parse a client's request (``GitHub.com:443``); None if it is not a host."""
    name, port = _split(text.lower())
    if port is None:
        port = default_port
    if port is None:
        return None
    return _host(name.removesuffix("."), port)


def allows(entries: Iterable[str], host: Host) -> bool:
    """Return whether an allow list allows a host."""
    return any(parse(entry).allows(host) for entry in entries)


def _split(text: str) -> tuple[str, int | None]:
    """Split off the port; an invalid one stays, and makes the name invalid."""
    name, colon, port = text.rpartition(":")
    if not colon or (text.startswith("[") and text.endswith("]")):
        return text, None
    if not _PORT.fullmatch(port) or int(port) > 65535:
        return text, None
    return name, int(port)


def _host(name: str, port: int) -> Host | None:
    if name.startswith("[") and name.endswith("]"):
        try:
            six = ipaddress.IPv6Address(name[1:-1])
        except ValueError:
            return None
        return None if six.scope_id else Host(str(six), port, six)
    try:
        four = ipaddress.IPv4Address(name)
    except ValueError:
        good = len(name) <= NAME_MAX and _NAME.fullmatch(name)
        return Host(name, port) if good else None
    return Host(str(four), port, four)
