"""Calls from a page to hived: one connection per request, with its session.

Views call ``hive().call(Method, Params)``; the connection opens at the first call and
closes with the request. It is not kept for the next one: connecting takes less than a
millisecond, and this way an ended session keeps nothing open, a restarted hived is no
problem, and two requests never share a socket.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from flask import current_app, g

from pyglue import names
from pyglue.api.common import Method, Params, Result
from pyglue.api.manager import AgentParams
from pyglue.api.operator import AGENT
from pyglue.api.overview import AgentDetail
from pyglue.config import WebConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import SyncClient
from pyglue.models.catalogue import KNOWN
from pyglue.web.guard.origins import Origins
from pyglue.web.live.hub import CLIENT, Hub

_KEY: Final = "hyperhive"
_TIMEOUT_S: Final = 20.0

P = TypeVar("P", bound=Params)
R = TypeVar("R", bound=Result)


@dataclass(frozen=True, kw_only=True)
class Web:
    """The state of the app: configuration, addresses, hived, live events."""

    config: WebConfig
    socket: Path
    hub: Hub
    origins: Origins
    models: tuple[str, ...] = KNOWN.aliases
    """Aliases of the hive's models."""


def web() -> Web:
    """Return the state of the running app."""
    found: Web = current_app.extensions[_KEY]
    return found


class HiveLink:
    """Calls to hived with one session (None: only ``login`` works)."""

    def __init__(self, socket: Path, session: str | None) -> None:
        self._socket = socket
        self._session = session
        self._client: SyncClient | None = None

    def call(
        self, method: Method[P, R], params: P, *, timeout: float | None = None
    ) -> R:
        """Call hived.

        Raises:
            HiveError: hived's error, or ``unavailable``.
        """
        if self._client is None:
            self._client = SyncClient(
                self._socket, client=CLIENT, session=self._session, timeout=_TIMEOUT_S
            )
        try:
            return self._client.call(method, params, timeout=timeout)
        except HiveError as error:
            if error.code in (ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT):
                self.close()
            raise

    def close(self) -> None:
        """Close the connection; a later call opens another."""
        if self._client is not None:
            self._client.close()
            self._client = None


def hive() -> HiveLink:
    """Return this request's link; ``auth`` has set ``g.session``."""
    if "hive" not in g:
        g.hive = HiveLink(web().socket, g.get("session"))
    link: HiveLink = g.hive
    return link


def agent_detail(name: str) -> AgentDetail:
    """Return the details of the agent whose name is in a URL.

    Raises:
        HiveError: ``invalid_name``, ``not_found``.
    """
    return hive().call(AGENT, AgentParams(agent=names.check(name)))


def close_link(_error: BaseException | None = None) -> None:
    """Close the connection at the end of the request."""
    link: HiveLink | None = g.pop("hive", None)
    if link is not None:
        link.close()
