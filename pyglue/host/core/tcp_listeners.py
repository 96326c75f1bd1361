"""The host's TCP listeners and their users, from the kernel's tables.

Reads init's network namespace, because hived may have no network itself (NixOS). Used
to find a free port for an agent, and to report how exposed the hive is.
"""

import contextlib
import ipaddress
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LISTEN: Final = "0A"
_TABLES: Final = Path("/proc/1/net")


@dataclass(frozen=True)
class TcpListener:
    """A listening socket; ``uid`` is the user that created it."""

    host: str
    port: int
    uid: int


def tcp_listeners(tables: Path = _TABLES) -> tuple[TcpListener, ...]:
    """Return every TCP listener; none if the tables cannot be read."""
    found = []
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (tables / table).read_text().splitlines()[1:]:
                _, local, _, state, _, _, _, uid, *_ = line.split()
                if state == _LISTEN:
                    address, _, port = local.rpartition(":")
                    found.append(
                        TcpListener(_address(address), int(port, 16), int(uid))
                    )
    return tuple(found)


def _address(text: str) -> str:
    """Return an address in the usual notation; the kernel prints 32-bit words."""
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    packed = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    return str(ipaddress.ip_address(packed))
