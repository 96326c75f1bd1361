"""One side of a connection that is carried: read like a stream, or led to another.

For hive-egress, and for the harness's port that leads to it. Bytes that are led pass in
the callback that brings them: no task wakes for them, nothing copies them, and all
connections of a loop are received into the same memory. Once many have passed, the
kernel moves the next ones (``splicing``). A side whose sink takes no more is not read
from.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from pyglue.splicing import Splice, Splices

_SIZE: Final = 128 * 1024
_HELD_MAX: Final = 256 * 1024
"""What is kept for a reader; beyond it, it waits in the kernel."""
_MANY: Final = 1024 * 1024
"""Bytes of one direction after which the kernel moves the next ones."""


class Scratch:
    """What the sides of one event loop share: memory to receive into, and splices."""

    def __init__(self) -> None:
        self.memory = memoryview(bytearray(_SIZE))
        self.splices = Splices()

    def replace(self) -> None:
        """Take other memory: a transport still has to write what is in this."""
        self.memory = memoryview(bytearray(_SIZE))


def _uncounted(_size: int) -> None:
    """Count nothing."""


class Side(asyncio.BufferedProtocol):
    """One side. asyncio calls the methods that its ``BufferedProtocol`` has."""

    def __init__(
        self, scratch: Scratch, on_connect: "Callable[[Side], None] | None" = None
    ) -> None:
        """``on_connect`` is called once it is connected."""
        self._scratch = scratch
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when nothing more comes from here."""
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the connection is closed, and what was written is gone."""
        self._on_connect = on_connect
        self._transport: asyncio.Transport | None = None
        self._held = b""
        self._reading: asyncio.Future[None] | None = None
        self._draining: asyncio.Future[None] | None = None
        self._peer: Side | None = None
        self._sink: Side | None = None
        self._count: Callable[[int], None] = _uncounted
        self._passed = 0
        self._splice: Splice | None = None
        self._is_paused = False
        self._is_full = False
        self._error: Exception | None = None

    # --- like a stream ----------------------------------------------------------------

    async def read(self, most: int) -> bytes:
        """Return the next bytes, none at the end.

        Raises:
            ConnectionError: The connection broke.
        """
        if not self._held and not self.over.done():
            self._reading = asyncio.get_running_loop().create_future()
            try:
                await self._reading
            finally:
                self._reading = None
        if not self._held and self._error is not None:
            raise ConnectionResetError(str(self._error)) from self._error
        data, self._held = self._held[:most], self._held[most:]
        self._pace()
        return data

    def write(self, data: bytes) -> None:
        """Write what ``drain`` waits for."""
        if data:
            self._take_back()
            self._socket.write(data)

    async def drain(self) -> None:
        """Wait until most of what was written is gone.

        Raises:
            ConnectionError: The connection broke.
        """
        if self._is_full and not self.gone.done():
            self._draining = asyncio.get_running_loop().create_future()
            try:
                await self._draining
            finally:
                self._draining = None
        if self.gone.done():
            raise ConnectionResetError("the connection is lost")

    def end(self) -> None:
        """Say that nothing more is written."""
        self._take_back()
        if self._socket.can_write_eof() and not self._socket.is_closing():
            self._socket.write_eof()

    def close(self) -> None:
        """Close it once what was written is gone."""
        self._take_back()
        self._socket.close()

    def abort(self) -> None:
        """Close it now."""
        self._socket.abort()

    @property
    def _socket(self) -> asyncio.Transport:
        if self._transport is None:
            raise AssertionError("it is not connected yet")
        return self._transport

    # --- led to another ---------------------------------------------------------------

    def lead(self, sink: "Side", count: Callable[[int], None] = _uncounted) -> None:
        """Let go to ``sink`` what comes from here, beginning with what is held."""
        self._sink = self._peer = sink
        sink._peer = self
        self._count = count
        held, self._held = self._held, b""
        if held:
            sink.write(held)
            count(len(held))
        if self.over.done():
            sink.end()
        self._pace()

    def keep(self) -> None:
        """Keep again for ``read`` what comes from here."""
        self._end_splice()
        if self._peer is not None:
            self._peer._peer = None
        self._sink = self._peer = None
        self._pace()

    def _pace(self) -> None:
        """Read from the kernel only what can be passed on or kept."""
        sink = self._sink
        if self._splice is not None:
            wanted = True
        else:
            wanted = len(self._held) >= _HELD_MAX if sink is None else sink._is_full
        if wanted != self._is_paused and not self.gone.done():
            self._is_paused = wanted
            if wanted:
                self._socket.pause_reading()
            else:
                self._socket.resume_reading()

    # --- moved by the kernel ----------------------------------------------------------

    def _start_splice(self, sink: "Side") -> None:
        """Let the kernel move what comes next, if it can."""
        self._passed = 0
        source, target = self._descriptor(), sink._descriptor()
        if source is None or target is None or sink._socket.get_write_buffer_size():
            return
        self._splice = self._scratch.splices.start(
            source=source, sink=target, count=self._count, ended=self._spliced
        )
        self._pace()

    def _descriptor(self) -> int | None:
        """Return that of a socket whose bytes pass as they are."""
        transport = self._socket
        made = transport.get_extra_info("socket")
        is_plain = transport.get_extra_info("sslcontext") is None
        is_open = made is not None and not transport.is_closing()
        return made.fileno() if is_plain and is_open else None

    def _spliced(self, rest: bytes) -> None:
        """Go on without; an end or an error is met again by reading or writing."""
        self._splice = None
        if self._sink is not None and rest:
            self._sink._socket.write(rest)
        self._pace()

    def _end_splice(self) -> None:
        if self._splice is not None:
            self._splice.end()

    def _take_back(self) -> None:
        """Be written to in order: what the kernel moves here goes first."""
        if self._peer is not None:
            self._peer._end_splice()

    # --- called by asyncio ------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]
        if self._on_connect is not None:
            self._on_connect(self)

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Return where to receive into."""
        return self._scratch.memory

    def buffer_updated(self, nbytes: int) -> None:
        """Pass bytes on, or keep them."""
        data = self._scratch.memory[:nbytes]
        if self._sink is None:
            self._held += data
            _wake(self._reading)
            self._pace()
            return
        sink = self._sink._socket
        sink.write(data)
        if sink.get_write_buffer_size():  # asyncio may keep the memory, uncopied
            self._scratch.replace()
        self._count(nbytes)
        self._passed += nbytes
        if self._passed >= _MANY:
            self._start_splice(self._sink)

    def eof_received(self) -> bool:
        """Tell the sink; the other direction goes on, except over TLS."""
        self._is_over()
        return self._socket.get_extra_info("sslcontext") is None

    def connection_lost(self, exc: Exception | None) -> None:
        """End the other side, too, once it has what it was sent."""
        self._error = exc
        self._end_splice()
        self._take_back()
        _wake(self.gone)
        self._is_over()
        _wake(self._draining)
        if self._peer is not None:
            self._peer.close()

    def pause_writing(self) -> None:
        """Let nothing more come until most of it is gone."""
        self._is_full = True
        if self._peer is not None:
            self._peer._pace()

    def resume_writing(self) -> None:
        """Let more come."""
        self._is_full = False
        _wake(self._draining)
        if self._peer is not None:
            self._peer._pace()

    def _is_over(self) -> None:
        if self.over.done():
            return
        self.over.set_result(None)
        _wake(self._reading)
        if self._sink is not None:
            self._sink.end()


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


async def join(
    one: Side,
    other: Side,
    there: Callable[[int], None] = _uncounted,
    back: Callable[[int], None] = _uncounted,
) -> None:
    """Lead two sides to each other until nothing more comes from either."""
    one.lead(other, there)
    other.lead(one, back)
    await asyncio.wait({one.over, other.over})
