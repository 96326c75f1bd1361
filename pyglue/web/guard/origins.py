"""The dashboard's addresses, compared in full: scheme, name and port.

Without an address in the configuration, the dashboard has a secret name on loopback,
which hived keeps. It is requested once, and again if a browser uses another such name,
for example after a backup was restored. A name alone proves nothing: a cookie is sent
to every port of its host, and a program at another port may pass it on.
"""

import time
from enum import Enum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pyglue.api.common import NoParams
from pyglue.api.operator import WEB_ORIGIN
from pyglue.config import WebConfig, origin
from pyglue.jsonrpc import SyncClient
from pyglue.web.live.hub import CLIENT

_ASK_S: Final = 5.0
_AGAIN_S: Final = 1.0


class Place(Enum):
    """The kind of name in a request that is not one of ours."""

    LOOPBACK = "loopback"
    """A name shared by every program on this machine: explain how to log in."""
    UNKNOWN = "unknown"


class Origins:
    """The dashboard's own addresses."""

    def __init__(self, config: WebConfig, socket: Path) -> None:
        self._config = config
        self._socket = socket
        self._fixed = origin.configured(config)
        self._named: str | None = None
        self._asked_at = float("-inf")

    def of(self, host: str) -> str | Place:
        """Return the origin for a Host header, or why it is not ours.

        Raises:
            HiveError: ``unavailable`` until hived has told us our name.
        """
        name = _hostname(host)
        if name is None:
            return Place.UNKNOWN
        label = name.removesuffix(".localhost")
        if origin.is_loopback(name) and not origin.is_name(label):
            return Place.LOOPBACK if label == name else Place.UNKNOWN
        main = self._known(label)
        came = origin.normal(f"{main.partition('://')[0]}://{host}")
        return came if came in self._all(main) else Place.UNKNOWN

    def knows(self, host: str) -> bool:
        """Return whether a Host header is ours, without asking hived.

        Until hived has told us our name, any name like it may be ours.
        """
        main, name = self._fixed or self._named, _hostname(host)
        if main is None or name is None:
            return name is not None and origin.is_name(name.removesuffix(".localhost"))
        came = origin.normal(f"{main.partition('://')[0]}://{host}")
        return came in self._all(main)

    def _known(self, label: str) -> str:
        if self._fixed is not None:
            return self._fixed
        known = self._named
        if known is None or (self._is_another(label, known) and self._may_ask()):
            self._asked_at = time.monotonic()
            known = self._named = self._ask()
        return known

    def _is_another(self, label: str, known: str) -> bool:
        return origin.is_name(label) and f"//{label}." not in known

    def _may_ask(self) -> bool:
        return time.monotonic() - self._asked_at > _AGAIN_S

    def _ask(self) -> str:
        client = SyncClient(self._socket, client=CLIENT, session=None, timeout=_ASK_S)
        try:
            return client.call(WEB_ORIGIN, NoParams()).origin
        finally:
            client.close()

    def _all(self, main: str) -> frozenset[str]:
        parts = urlsplit(main)
        port = "" if parts.port is None else f":{parts.port}"
        more = set()
        for entry in self._config.trusted_hosts:
            name = _hostname(entry)
            if name is not None and not origin.is_loopback(name):
                whole = entry if urlsplit(f"//{entry}").port else f"{entry}{port}"
                more.add(origin.normal(f"{parts.scheme}://{whole}"))
        return frozenset({main, *more})


def _hostname(host: str) -> str | None:
    """Return the name in ``name:port``; None if it has another form."""
    if not host.isascii() or not host.isprintable() or set(host) & set(" /\\@?#%"):
        return None
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname
