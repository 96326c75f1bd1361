"""A connection whose requests carry secrets that the agent does not see.

The agent's TLS ends here, with a certificate of the hive's own; one request is read,
gets its headers, and goes out over TLS that is verified, to the address that was
checked. What the host repeats of a secret is hidden in its answer.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pyglue.api.egress import HeaderLine
from pyglue.display import visible
from pyglue.egress.authority import Authority
from pyglue.egress.exchange import Flow, exchange
from pyglue.egress.hello import ALERT
from pyglue.egress.inside import Inside
from pyglue.egress.refusal import RefusedError
from pyglue.egress.request import Asked, Reader
from pyglue.egress.strict import request_of
from pyglue.hosts import Host
from pyglue.limits import EgressLimits
from pyglue.mask import Mask
from pyglue.side import Scratch, Side

Lines = tuple[HeaderLine, ...]


@dataclass(kw_only=True)
class Injector:
    """Puts secrets into requests, for all agents."""

    authority: Authority
    lines: Callable[[str, Host], Awaitable[Lines]]
    """Ask hived which headers an agent's requests to a host carry."""
    limits: EgressLimits
    trusted: ssl.SSLContext
    scratch: Scratch

    async def outside(self, sock: socket.socket, host: Host) -> Side:
        """Begin TLS with the host.

        Raises:
            RefusedError: It is not who it should be, or speaks no TLS.
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
            sentence = f"{host} shows no certificate to be trusted: {why}."
        except ssl.SSLError as error:
            sentence = f"No TLS with {host}: {visible(str(error.reason), limit=200)}."
        except (OSError, TimeoutError):
            sentence = f"No TLS with {host}: it ended the connection."
        else:
            return side
        sock.close()
        raise RefusedError(502, sentence)

    async def carry(
        self, asked: Asked, agent: Side, out: Side, lines: Lines, flow: Flow
    ) -> str | None:
        """Carry one request; return why it was refused, if it was.

        Raises:
            TimeoutError: The agent is too slow.
            ConnectionError: The agent or the host left.
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
    """Return the client's side of TLS: this machine's trust store, HTTP/1.1 alone."""
    context = ssl.create_default_context(cadata=authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
