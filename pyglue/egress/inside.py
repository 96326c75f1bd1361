"""TLS with the agent, terminated by hive-egress, on a side with some bytes read.

``exchange`` reads and writes it like a side without TLS.
"""

import contextlib
import ssl
from dataclasses import dataclass
from typing import Final

from pyglue.egress.authority import Shake
from pyglue.egress.hello import HANDSHAKE
from pyglue.egress.refusal import other_name
from pyglue.net.forwarding import Side
from pyglue.net.hosts import Host

_CHUNK: Final = 256 * 1024


@dataclass(kw_only=True, eq=False)
class Inside:
    """The server's side of TLS with an agent."""

    agent: Side
    context: ssl.SSLContext
    first: bytes

    def __post_init__(self) -> None:
        """Set up TLS; ``first`` are bytes received before the handshake."""
        self.has_answered = False
        """Whether a TLS alert has answered a refused handshake."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = self.context.wrap_bio(
            self._incoming, self._outgoing, server_side=True
        )

    async def shake_hands(self, host: Host) -> None:
        """Do the handshake.

        Raises:
            RefusedError: It is not TLS, or for another name than ``host``.
            ConnectionError: The agent aborted it, or disconnected.
        """
        data = self.first or await self._received()
        if data[0] != HANDSHAKE:
            raise other_name(host, "nothing: it is not TLS, as secrets require")
        self._incoming.write(data)
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self.drain()
                self._incoming.write(await self._received())
            except ssl.SSLError as error:
                self.has_answered = self._outgoing.pending > 0
                await self.drain()
                asked = self._tls.asked if isinstance(self._tls, Shake) else None
                if asked is not None:
                    raise other_name(host, asked) from None
                raise ConnectionError(error.reason) from None
            else:
                await self.drain()
                return

    async def read(self, most: int) -> bytes:
        """Return the next bytes, or none at the end."""
        while True:
            try:
                return self._tls.read(most)
            except ssl.SSLWantReadError:
                data = await self.agent.read(_CHUNK)
                if not data:
                    return b""
                self._incoming.write(data)
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLError as error:
                raise ConnectionError(error.reason) from None

    def write(self, data: bytes) -> None:
        """Write without blocking; ``drain`` waits for it.

        Raises:
            ConnectionError: TLS has ended.
        """
        if not data:
            return
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            raise ConnectionError(error.reason) from None
        self._flush()

    async def drain(self) -> None:
        """Wait until the write buffer is mostly empty."""
        self._flush()
        await self.agent.drain()

    def end(self) -> None:
        """Signal the end of the written data."""
        with contextlib.suppress(ssl.SSLError):  # it would wait for the agent
            self._tls.unwrap()
        self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self.agent.write(self._outgoing.read())

    async def _received(self) -> bytes:
        data = await self.agent.read(_CHUNK)
        if not data:
            raise ConnectionError("the agent left")
        return data
