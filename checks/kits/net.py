"""Free ports of this machine, and names that lead to it."""

import functools
import socket
from typing import Any


def free_port() -> int:
    """Return a TCP port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def resolve_localhost() -> None:
    """Find names below ``localhost``, as browsers do; the C library may not.

    Names below ``example``, which nobody has, lead here too.
    """
    ask = socket.getaddrinfo

    @functools.wraps(ask)
    def found(host: Any, *rest: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        here = name.endswith((".localhost", ".example"))
        return ask("localhost" if here else host, *rest, **more)

    socket.getaddrinfo = found
