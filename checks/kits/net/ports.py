"""Free ports of this machine, and names that lead to it."""

import contextlib
import functools
import random
import socket
from typing import Any


def free_port() -> int:
    """Return a TCP port of loopback that nobody listens on now.

    It is below those that the kernel gives to outgoing connections, any of which may
    have taken a port before a program that was told of it listens there.
    """
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
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
