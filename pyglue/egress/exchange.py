"""One request and its response, and the bytes of a connection.

``carry`` uses it for plain requests, ``inject`` for those that carry secrets. The
connections end with the one exchange, so that no response can be taken for another's.
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final, Protocol

import h11

from pyglue.egress.request import Reader, answer_headers
from pyglue.mask import Mask

_CHUNK: Final = 256 * 1024
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Count(Protocol):
    """Counts bytes while they pass: a connection may last for days."""

    def __call__(self, *, sent: int, received: int) -> None:
        """Count them, as the agent sees them."""


class Sink(Protocol):
    """What bytes are written to."""

    def write(self, data: bytes, /) -> object:
        """Take them."""

    async def drain(self) -> None:
        """Wait until most of them are gone."""


@dataclass
class Flow:
    """Counts the bytes of one connection, and knows until when it may be idle."""

    idle_s: float
    count: Count
    _timeout: asyncio.Timeout | None = None
    _at: float = 0.0

    async def run(self, *ways: Coroutine[Any, Any, None]) -> None:
        """Run both directions to their end, as long as something passes."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self.idle_s) as self._timeout:
            self._at = loop.time()
            tasks = [asyncio.create_task(way) for way in ways]
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def passed(self, *, sent: int = 0, received: int = 0) -> None:
        """Count bytes that were taken by the other side."""
        self.count(sent=sent, received=received)
        now = asyncio.get_running_loop().time()
        if self._timeout is not None and now - self._at > 1.0:
            self._at = now
            self._timeout.reschedule(now + self.idle_s)


async def exchange(
    reader: Reader,
    request: h11.Request,
    agent: Sink,
    out: Streams,
    flow: Flow,
    mask: Mask | None = None,
) -> None:
    """Carry one request and its response; ``mask`` hides what must not come back."""
    mask = mask or Mask({})
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=_CHUNK)

    async def up() -> None:
        data = client.send(request) or b""
        while True:
            out[1].write(data)
            await out[1].drain()
            flow.passed(sent=len(data))
            event = await reader.event()
            if isinstance(event, h11.EndOfMessage):
                data = client.send(h11.EndOfMessage()) or b""  # without trailers
                out[1].write(data)
                flow.passed(sent=len(data))
                return
            if not isinstance(event, h11.Data):
                return
            data = client.send(event) or b""

    async def down() -> None:
        server = reader.connection
        while True:
            event = client.next_event()
            if event is h11.NEED_DATA:
                client.receive_data(await out[0].read(_CHUNK))
                continue
            data = b""
            if isinstance(event, h11.Response | h11.InformationalResponse):
                data = server.send(_passed_on(event, mask)) or b""
            elif isinstance(event, h11.Data):
                data = _sent(server, mask.feed(bytes(event.data)))
            elif isinstance(event, h11.EndOfMessage):
                data = _sent(server, mask.end())
                data += server.send(h11.EndOfMessage()) or b""
            else:
                return
            agent.write(data)
            await agent.drain()
            flow.passed(received=len(data))
            if isinstance(event, h11.EndOfMessage):
                return

    def gone(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            out[1].transport.abort()  # half a request has no answer

    uploading = asyncio.create_task(up())
    uploading.add_done_callback(gone)
    try:
        with contextlib.suppress(h11.ProtocolError):
            await flow.run(down())
    finally:
        uploading.cancel()
        await asyncio.gather(uploading, return_exceptions=True)


def _sent(server: h11.Connection, data: bytes) -> bytes:
    return (server.send(h11.Data(data=data)) or b"") if data else b""


def _passed_on(
    event: h11.Response | h11.InformationalResponse, mask: Mask
) -> h11.Response | h11.InformationalResponse:
    headers = [
        (name, mask.whole(value)) for name, value in answer_headers(event.headers)
    ]
    return type(event)(
        status_code=event.status_code,
        headers=headers,
        reason=mask.whole(bytes(event.reason)),
    )
