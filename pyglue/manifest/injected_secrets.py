"""Secrets that requests to some hosts carry (``hyperhive.secrets.NAME.inject``).

``proposal_checks`` refuses uses that cannot work, hived asks for hosts and header
lines, and hive-egress inserts the lines. An agent never gets a value.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from pyglue.errors import ErrorCode, HiveError
from pyglue.manifest.types import Inject, Manifest
from pyglue.net import hosts
from pyglue.net.hosts import Host
from pyglue.text.display import quoted

GIT_USER: Final = "x-access-token"
"""GitHub's name for it; Forgejo, Gitea and GitLab accept any with a token."""
LINE_MAX: Final = 16 * 1024
"""Longest value of a header in bytes; few servers accept more."""
HIDDEN_LEAST: Final = 6
"""Shorter values are not searched for in responses: they occur by chance."""

_PLACE: Final = "{}"
_PORT: Final = 443
_VISIBLE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_OURS: Final = re.compile(
    r"host|connection|keep-alive|content-length|transfer-encoding|te|trailer|upgrade|"
    r"expect|accept-encoding|http2-settings|proxy-.*",
    re.IGNORECASE,
)
"""Headers that hive-egress writes itself, or that decide how a request is read."""


@dataclass(frozen=True, kw_only=True)
class Injection:
    """One secret that requests to one host carry in one header."""

    secret: str
    host: Host
    use: Inject

    def line(self, value: str) -> str:
        """Return the header's value.

        Raises:
            HiveError: ``bad_request``: no header can hold the secret's value.
        """
        if not _VISIBLE.fullmatch(value):
            raise HiveError(
                ErrorCode.BAD_REQUEST,
                f"The value of {self.secret} cannot be sent in a header: it must be "
                "one line of visible ASCII characters. Set it anew: "
                f"hive secret set {self.secret}.",
            )
        if self.use.preset == "git":
            line = f"Basic {_basic(value)}"
        else:
            line = self.use.format.replace(_PLACE, value)
        if len(line) > LINE_MAX:
            raise HiveError(
                ErrorCode.BAD_REQUEST,
                f"The value of {self.secret} is too long for a header: the limit is "
                f"{LINE_MAX} bytes.",
            )
        return line


def shown(use: Inject) -> str:
    """Describe how a secret is sent."""
    if use.preset == "git":
        return "as Git's password"
    return f"as {quoted(f'{use.header}: {use.format}', limit=300)}"


def forms(value: str) -> tuple[str, ...]:
    """Return the texts that would reveal a value if a host echoed them."""
    plain = base64.b64encode(value.encode()).decode().rstrip("=")
    found = (value, _basic(value).rstrip("="), plain, quote(value, safe=""))
    return tuple(dict.fromkeys(one for one in found if len(one) >= HIDDEN_LEAST))


def allowed(limits: Mapping[str, tuple[str, ...]] | None, one: Injection) -> bool:
    """Return whether the operator's limits allow sending a secret there."""
    if limits is None:
        return True
    entries = limits.get(one.secret, ())
    return hosts.ANY in entries or hosts.allows(entries, one.host)


def host_of(text: str) -> Host | None:
    """Parse ``host`` of a use: a name, with port 443 by default."""
    found = hosts.asked(text, default_port=_PORT)
    return None if found is None or found.address is not None else found


def of(manifest: Manifest) -> Iterator[Injection]:
    """Yield every use of a manifest, by secret."""
    for name, secret in sorted(manifest.secrets.items()):
        for use in secret.inject:
            host = host_of(use.host)
            if host is not None:
                yield Injection(secret=name, host=host, use=use)


def problems(manifest: Manifest) -> Iterator[str]:
    """Yield a sentence for each use that cannot work as written."""
    seen: set[tuple[Host, str]] = set()
    for name, secret in sorted(manifest.secrets.items()):
        for index, use in enumerate(secret.inject):
            where = f"hyperhive.secrets.{name}.inject[{index}]"
            host = host_of(use.host)
            yield from (f"{where}{one}" for one in _problems(manifest, use, host))
            if host is None:
                continue
            key = (host, use.header.lower())
            if key in seen:
                yield (
                    f"{where} is a second secret in the header {use.header} for "
                    f"{host}: a request has one."
                )
            seen.add(key)


def _problems(manifest: Manifest, use: Inject, host: Host | None) -> Iterable[str]:
    if host is None:
        yield (
            f".host is {quoted(use.host, limit=80)}: write one name in lower case "
            "(api.github.com), with its port if it is not 443."
        )
    elif manifest.network:
        yield (
            f" has no effect with hyperhive.network = true: list "
            f'"{host.entry}" in hyperhive.network.allow instead.'
        )
    elif not hosts.allows(manifest.hosts, host):
        yield (
            f" names {host}, which the agent may not reach: add "
            f'"{host.entry}" to hyperhive.network.allow.'
        )
    if _OURS.fullmatch(use.header):
        yield f".header is {use.header}, which hive-egress writes itself."
    if use.preset is not None and (use.header, use.format) != _DEFAULTS:
        yield (
            f' has preset = "{use.preset}", which decides header and format: leave '
            "these out."
        )


_DEFAULTS: Final = (Inject(host="").header, Inject(host="").format)


def _basic(value: str) -> str:
    return base64.b64encode(f"{GIT_USER}:{value}".encode()).decode()
