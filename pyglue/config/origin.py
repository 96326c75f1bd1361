"""The dashboard's address in browsers, and which names are this machine's own.

A cookie does not know ports: what one port of a host sets, every other port of that
host receives. On loopback anybody may listen, so a dashboard there has a name that
nobody else knows, ``http://<128 random bits>.localhost:PORT``: no page can lead a
browser to it at another port (docs/decisions/0014). hived keeps the name and hands it
to hive-web; both read here what the configuration says.
"""

import ipaddress
import secrets
import socket
from typing import Final
from urllib.parse import urlsplit

from pyglue.config import WebConfig

_NAME_BYTES: Final = 16
_LOCALHOST: Final = "localhost"
_LOOPBACK: Final = ("127.0.0.1", "::1")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def is_loopback(host: str) -> bool:
    """Return whether a host name or address leads to the machine that asks for it."""
    name = host.strip("[]").rstrip(".").lower()
    if name == _LOCALHOST or name.endswith(f".{_LOCALHOST}"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def configured(web: WebConfig) -> str | None:
    """Return the origin that the configuration names; None: a name of its own.

    An address on loopback is nobody's own, so naming one changes nothing.
    """
    if web.external_url is not None:
        if is_loopback(urlsplit(web.external_url).hostname or ""):
            return None
        return normal(web.external_url)
    if is_loopback(web.host):
        return None
    host = f"[{web.host}]" if ":" in web.host else web.host
    return normal(f"http://{host}:{web.port}")


def new_name() -> str:
    """Return a name that nobody can guess."""
    return secrets.token_hex(_NAME_BYTES)


def is_name(text: str) -> bool:
    """Return whether ``new_name`` may have made this."""
    return len(text) == 2 * _NAME_BYTES and not set(text) - set("0123456789abcdef")


def named(name: str, port: int) -> str:
    """Return the origin of a dashboard that is called by a name of its own."""
    return normal(f"http://{name}.{_LOCALHOST}:{port}")


def listens_on(web: WebConfig) -> tuple[str, ...]:
    """Return the addresses that the dashboard needs.

    Browsers try both of loopback for a name below ``localhost``, ``::1`` first: who
    had the one that we leave free would be the dashboard.
    """
    if configured(web) is not None:
        return (web.host,)
    covered = {"::": _LOOPBACK, "0.0.0.0": _LOOPBACK[:1]}.get(web.host, ())  # noqa: S104
    needed = [one for one in _LOOPBACK if one not in covered and _exists(one)]
    return tuple(dict.fromkeys([web.host, *needed]))


def _exists(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.bind((address, 0))
    except OSError:  # a machine without IPv6
        return False
    return True


def normal(origin: str) -> str:
    """Return an origin as browsers write it: lower case, no default port, no path."""
    scheme, _, rest = origin.lower().partition("://")
    host = rest.partition("/")[0]
    return f"{scheme}://{host.removesuffix(f':{_DEFAULT_PORTS.get(scheme)}')}"
