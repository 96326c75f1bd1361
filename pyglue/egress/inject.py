"""A connection whose requests carry secrets that are hidden from the agent.

The agent's TLS ends here, with a certificate of the hive's own. One request is read,
gets its headers, and is sent over verified TLS to the checked address. Secrets that
the host repeats in its response are masked.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pyglue.api.egress import HeaderLine
from pyglue.egress.authority import Authority
from pyglue.egress.exchange import Flow, exchange
from pyglue.egress.hello import ALERT
from pyglue.egress.inside import Inside
from pyglue.egress.refusal import RefusedError
from pyglue.egress.request import Asked, Reader
from pyglue.egress.strict import request_of
from pyglue.limits import EgressLimits
from pyglue.net.forwarding import Scratch, Side
from pyglue.net.hosts import Host
from pyglue.redaction.response_mask import Mask
from pyglue.text.display import visible

Lines = tuple[HeaderLine, ...]


@dataclass(kw_only=True)
class Injector:
    """Injects secrets into requests, for all agents."""

    authority: Authority
    lines: Callable[[str, Host], Awaitable[Lines]]
    """Ask hived which headers an agent's requests to a host carry."""
    limits: EgressLimits
    trusted: ssl.SSLContext
    scratch: Scratch

    async def outside(self, sock: socket.socket, host: Host) -> Side:
        """Begin TLS with the host.

        Raises:
            RefusedError: Its certificate is not trusted, or it does not speak TLS.
        """
        try:
            _, side = await asyncio.get_running_loop().create_connection(
                lambda: Side(self.scratch),
                sock=sock,
                ssl=self.trusted,
                server_hostname=host.name,
                ssl_handshake_timeout=self.limits.connect_s,
            )
        except ssl.SSLCertVerificationError as error:
            why = visible(str(error.verify_message), limit=200)
            sentence = f"The certificate of {host} is not trusted: {why}."
        except ssl.SSLError as error:
            why = visible(str(error.reason), limit=200)
            sentence = f"The TLS handshake with {host} failed: {why}."
        except (OSError, TimeoutError):
            sentence = f"{host} did not complete the TLS handshake."
        else:
            return side
        sock.close()
        raise RefusedError(502, sentence)

    async def carry(
        self, asked: Asked, agent: Side, out: Side, lines: Lines, flow: Flow
    ) -> str | None:
        """Relay one request; return the reason if it was refused.

        Raises:
            TimeoutError: The agent is too slow.
            ConnectionError: The agent or the host disconnected.
        """
        host = asked.host
        context = self.authority.context(host.name)
        inside = Inside(agent=agent, context=context, first=asked.first)
        try:
            async with asyncio.timeout(self.limits.head_s):
                await inside.shake_hands(host)
        except RefusedError as error:
            if not inside.has_answered:
                agent.write(ALERT)
            return error.sentence
        reader = Reader(inside, self.limits)
        try:
            async with asyncio.timeout(self.limits.head_s):
                most = self.limits.head
                request = await request_of(inside, reader, host, lines, most)
        except RefusedError as error:
            inside.write(error.answer())
            inside.end()
            return error.sentence
        if request is not None:
            hidden = {form for line in lines for form in line.hidden}
            mask = Mask({one.encode(): b"*" * len(one.encode()) for one in hidden})
            await exchange(reader, request, inside, out, flow, mask=mask)
        with contextlib.suppress(ConnectionError):
            inside.end()
        return None


def trusted(authorities: str | None) -> ssl.SSLContext:
    """Return the TLS client context: this machine's trust store, HTTP/1.1 only."""
    context = ssl.create_default_context(cadata=authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
