"""Forwards a loopback port of the sandbox to ``egress.sock``.

Only for an agent that may reach some hosts and has no network: programs speak to a
proxy over TCP, and hive-egress listens on a Unix socket. Nothing is inspected here;
hive-egress enforces every rule.
"""

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import Final

from pyglue.harness.link.trust import Trust, system_bundle
from pyglue.jsonrpc import short_path
from pyglue.limits import EgressLimits
from pyglue.net.forwarding import Scratch, Side

_CHUNK: Final = 256 * 1024
_LOCAL: Final = "localhost,127.0.0.1,::1"

_log = logging.getLogger(__name__)


class Tunnel:
    """Listens on an ephemeral port of 127.0.0.1; use ``async with``."""

    def __init__(
        self,
        target: Path,
        limits: EgressLimits | None = None,
        *,
        trust: Trust | None = None,
    ) -> None:
        """``target`` is the egress socket; it may appear and be replaced later.

        ``trust`` is the certificate that programs must trust, if requests carry
        secrets.
        """
        self._target = target
        self._trust = trust
        self._limits = limits or EgressLimits()
        self._server: asyncio.Server | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._scratch = Scratch()

    async def __aenter__(self) -> "Tunnel":
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Side(self._scratch, self._accept), "127.0.0.1", 0
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make programs use it."""
        if self._server is None:
            raise AssertionError("the tunnel is not running")
        port = self._server.sockets[0].getsockname()[1]
        found = proxy_environment(f"http://127.0.0.1:{port}")
        return found if self._trust is None else found | self._trust.environment

    def _accept(self, inside: Side) -> None:
        if len(self._running) >= self._limits.connections:
            inside.abort()
            return
        task = asyncio.create_task(self._carry(inside))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _carry(self, inside: Side) -> None:
        """Carry bytes both ways; who is answered to the end has no more to say."""
        with contextlib.ExitStack() as closing:
            closing.callback(inside.abort)
            try:
                with short_path(self._target) as name:
                    loop = asyncio.get_running_loop()
                    _, out = await loop.create_unix_connection(
                        lambda: Side(self._scratch), name
                    )
            except OSError as error:
                _log.warning("the egress socket does not answer: %s", error)
                return
            closing.callback(out.abort)
            inside.lead(out)
            with contextlib.suppress(ConnectionError):
                first = await out.read(_CHUNK)
                if self._trust is not None:
                    self._trust.refresh()  # it was placed before this answer
                inside.write(first)
                out.lead(inside)
                await out.over
                inside.close()
                await inside.gone


def proxy_environment(url: str) -> dict[str, str]:
    """Return the variables by which git, curl, npm, pip, cargo and Node find it."""
    found = {"NODE_USE_ENV_PROXY": "1", "NO_PROXY": _LOCAL, "no_proxy": _LOCAL}
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        found[name] = found[name.lower()] = url
    bundle = system_bundle()
    if bundle is not None:
        found["NIX_SSL_CERT_FILE"] = str(bundle)
    return found
