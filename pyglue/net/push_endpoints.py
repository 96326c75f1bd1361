"""Addresses of push services, which browsers supply: untrusted until validated here.

hived validates one when a browser subscribes, hive-notify before each request. The path
is a secret: anyone who knows it can send to the browser's push service, so no error and
no log repeats it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pyglue.errors import ErrorCode, HiveError
from pyglue.net import hosts
from pyglue.net.addresses import is_ours, is_public
from pyglue.net.hosts import Host

LENGTH_MAX: Final = 1024
_SCHEME: Final = "https://"
_PORT: Final = 443
_PATH: Final = re.compile(r"/[!-\"$-\[\]-~]*")
"""Printable ASCII without spaces, ``#`` and ``\\``."""


@dataclass(frozen=True)
class Endpoint:
    """A host and a path on it; the path includes the query."""

    host: Host
    path: str

    @property
    def origin(self) -> str:
        """Return the push service's origin, as the claim ``aud`` has it."""
        shown = str(self.host)
        return f"{_SCHEME}{shown.removesuffix(f':{_PORT}')}"

    @property
    def url(self) -> str:
        """Return the whole address."""
        return f"{self.origin}{self.path}"


def read(text: str) -> Endpoint:
    """Parse an endpoint. ``check`` decides whether its host may be called.

    Raises:
        HiveError: ``bad_request`` with what is wrong.
    """
    if len(text) > LENGTH_MAX or not text.startswith(_SCHEME):
        raise _invalid(f"use https:// and at most {LENGTH_MAX} characters")
    authority, slash, rest = text.removeprefix(_SCHEME).partition("/")
    path = slash + rest
    host = hosts.asked(authority, default_port=_PORT)
    if host is None:
        raise _invalid("its host is no name or address, or has a user name")
    if not _PATH.fullmatch(path):
        raise _invalid("its path is missing or has a character that is not allowed")
    return Endpoint(host, path)


def check(host: Host, private_hosts: Iterable[str]) -> None:
    """Refuse an address that is not public, or our own, unless an entry allows it.

    A name is judged by its addresses, when it is looked up.

    Raises:
        HiveError: ``forbidden``.
    """
    address = host.address
    if address is None or (is_public(address) and not is_ours(address)):
        return
    if not hosts.allows(private_hosts, host):
        raise HiveError(
            ErrorCode.FORBIDDEN,
            f"The push service {host} has no public address, or this machine's own. "
            "The operator can allow it with "
            "services.hyperhive.notify.webPush.privateHosts.",
        )


def _invalid(why: str) -> HiveError:
    return HiveError(ErrorCode.BAD_REQUEST, f"Invalid push endpoint: {why}.")
