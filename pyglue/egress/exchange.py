"""Relays one request and its response, and counts the bytes of a connection.

``carry`` uses it for plain requests, ``inject`` for those that carry secrets, ``web``
for those in a tunnel to port 80. Only in ``web`` can another exchange follow: elsewhere
the connections close after one, so that no response can be taken for that of another
request.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final, Protocol

import h11

from pyglue.egress.request import Reader, answer_headers
from pyglue.net.forwarding import Side
from pyglue.redaction.response_mask import Mask

_CHUNK: Final = 256 * 1024


class Count(Protocol):
    """Counts bytes as they pass: a connection may last for days."""

    def __call__(self, *, sent: int, received: int) -> None:
        """Count bytes, from the agent's point of view."""


class Sink(Protocol):
    """The destination of bytes."""

    def write(self, data: bytes, /) -> object:
        """Write bytes without waiting."""

    async def drain(self) -> None:
        """Wait until the buffer is mostly empty."""


@dataclass
class Flow:
    """Counts the bytes of one connection, and enforces its idle timeout."""

    idle_s: float
    count: Count
    _timeout: asyncio.Timeout | None = field(default=None, init=False)
    _at: float = field(default=0.0, init=False)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the block as long as bytes pass.

        Raises:
            TimeoutError: No bytes passed for ``idle_s`` seconds.
        """
        self._at = asyncio.get_running_loop().time()
        async with asyncio.timeout(self.idle_s) as self._timeout:
            yield

    def sent(self, size: int) -> None:
        """Count bytes sent to the host."""
        self.count(sent=size, received=0)
        self._goes_on()

    def received(self, size: int) -> None:
        """Count bytes sent to the agent."""
        self.count(sent=0, received=size)
        self._goes_on()

    def _goes_on(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._timeout is not None and now - self._at > 1.0:
            self._at = now
            self._timeout.reschedule(now + self.idle_s)


async def exchange(
    reader: Reader,
    request: h11.Request,
    agent: Sink,
    out: Side,
    flow: Flow,
    *,
    mask: Mask | None = None,
    keeps: bool = False,
) -> h11.Connection:
    """Relay one request and its response; ``mask`` hides secrets in the response.

    The response announces that the agent's connection closes, unless ``keeps`` is set.
    Returns the client's side of the exchange with the host.
    """
    mask = mask or Mask({})
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=_CHUNK)

    def gone(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            out.abort()  # an incomplete request gets no response

    uploading = asyncio.create_task(_upload(reader, request, client, out, flow))
    uploading.add_done_callback(gone)
    try:
        with contextlib.suppress(h11.ProtocolError):
            await _download(
                reader.connection, client, agent, out, flow, mask=mask, keeps=keeps
            )
    finally:
        uploading.cancel()
        await asyncio.gather(uploading, return_exceptions=True)
    return client


async def _upload(
    reader: Reader,
    request: h11.Request,
    client: h11.Connection,
    out: Side,
    flow: Flow,
) -> None:
    """Relay the request from the agent to the host."""
    data = client.send(request) or b""
    while True:
        out.write(data)
        await out.drain()
        flow.sent(len(data))
        event = await reader.event()
        if isinstance(event, h11.EndOfMessage):
            data = client.send(h11.EndOfMessage()) or b""  # without trailers
            out.write(data)
            flow.sent(len(data))
            return
        if not isinstance(event, h11.Data):
            return
        data = client.send(event) or b""


async def _download(
    server: h11.Connection,
    client: h11.Connection,
    agent: Sink,
    out: Side,
    flow: Flow,
    *,
    mask: Mask,
    keeps: bool,
) -> None:
    """Relay the response from the host to the agent."""
    while True:
        event = client.next_event()
        if event is h11.NEED_DATA:
            client.receive_data(await out.read(_CHUNK))
            continue
        data = b""
        if isinstance(event, h11.Response | h11.InformationalResponse):
            data = server.send(_passed_on(event, mask, keeps=keeps)) or b""
        elif isinstance(event, h11.Data):
            data = _sent(server, mask.feed(bytes(event.data)))
        elif isinstance(event, h11.EndOfMessage):
            data = _sent(server, mask.end())
            data += server.send(h11.EndOfMessage()) or b""
        else:
            return
        agent.write(data)
        await agent.drain()
        flow.received(len(data))
        if isinstance(event, h11.EndOfMessage):
            return


def _sent(server: h11.Connection, data: bytes) -> bytes:
    return (server.send(h11.Data(data=data)) or b"") if data else b""


def _passed_on(
    event: h11.Response | h11.InformationalResponse, mask: Mask, *, keeps: bool
) -> h11.Response | h11.InformationalResponse:
    kept = answer_headers(event, keeps=keeps)
    return type(event)(
        status_code=event.status_code,
        headers=[(name, mask.whole(value)) for name, value in kept],
        reason=mask.whole(bytes(event.reason)),
    )
