"""One side of a relayed connection: read like a stream, or forwarded to another side.

For hive-egress, and for the harness's port that forwards to it. Bytes are forwarded in
the callback that receives them: no task wakes up, nothing is copied, and all
connections of a loop receive into the same buffer. Once many bytes have passed, the
kernel moves the next ones (``splice``). A side is not read from while its sink is
full.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from pyglue.net.splice import Splice, Splices

_SIZE: Final = 128 * 1024
_HELD_MAX: Final = 256 * 1024
"""Most bytes buffered for a reader; the rest stays in the kernel."""
_MANY: Final = 1024 * 1024
"""Bytes of one direction after which the kernel moves the next ones."""


class Scratch:
    """Shared by the sides of one event loop: the receive buffer, and the splices."""

    def __init__(self) -> None:
        self.memory = memoryview(bytearray(_SIZE))
        self.splices = Splices()

    def replace(self) -> None:
        """Allocate a new buffer: a transport still has to write the contents."""
        self.memory = memoryview(bytearray(_SIZE))


def _uncounted(_size: int) -> None:
    """Count nothing."""


class Side(asyncio.BufferedProtocol):
    """One side. asyncio calls the methods of ``BufferedProtocol``."""

    def __init__(
        self, scratch: Scratch, on_connect: "Callable[[Side], None] | None" = None
    ) -> None:
        """``on_connect`` is called once it is connected."""
        self._scratch = scratch
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done at the end of the received data."""
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the connection is closed and everything written has been sent."""
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
        """Return the next bytes, or none at the end.

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
        """Write without blocking; ``drain`` waits for it."""
        if data:
            self._take_back()
            self._socket.write(data)

    async def drain(self) -> None:
        """Wait until the write buffer is mostly empty.

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
        """Signal the end of the written data."""
        self._take_back()
        if self._socket.can_write_eof() and not self._socket.is_closing():
            self._socket.write_eof()

    def close(self) -> None:
        """Close the connection once everything written has been sent."""
        self._take_back()
        self._socket.close()

    def abort(self) -> None:
        """Close the connection at once."""
        self._socket.abort()

    @property
    def _socket(self) -> asyncio.Transport:
        if self._transport is None:
            raise AssertionError("it is not connected yet")
        return self._transport

    # --- forwarded --------------------------------------------------------------------

    def lead(self, sink: "Side", count: Callable[[int], None] = _uncounted) -> None:
        """Forward received bytes to ``sink``, beginning with the buffered ones."""
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
        """Stop forwarding; buffer received bytes for ``read`` again."""
        self._end_splice()
        if self._peer is not None:
            self._peer._peer = None
        self._sink = self._peer = None
        self._pace()

    def _pace(self) -> None:
        """Read from the kernel only while bytes can be forwarded or buffered."""
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
        """Let the kernel move the next bytes, if it can."""
        self._passed = 0
        source, target = self._descriptor(), sink._descriptor()
        if source is None or target is None or sink._socket.get_write_buffer_size():
            return
        self._splice = self._scratch.splices.start(
            source=source, sink=target, count=self._count, ended=self._spliced
        )
        self._pace()

    def _descriptor(self) -> int | None:
        """Return the descriptor of an open socket without TLS."""
        transport = self._socket
        made = transport.get_extra_info("socket")
        is_plain = transport.get_extra_info("sslcontext") is None
        is_open = made is not None and not transport.is_closing()
        return made.fileno() if is_plain and is_open else None

    def _spliced(self, rest: bytes) -> None:
        """Continue without a splice; a read or write meets its end or error again."""
        self._splice = None
        if self._sink is not None and rest:
            self._sink._socket.write(rest)
        self._pace()

    def _end_splice(self) -> None:
        if self._splice is not None:
            self._splice.end()

    def _take_back(self) -> None:
        """End the splice into this side, so that later writes come after its bytes."""
        if self._peer is not None:
            self._peer._end_splice()

    # --- called by asyncio ------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]
        if self._on_connect is not None:
            self._on_connect(self)

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Return the buffer to receive into."""
        return self._scratch.memory

    def buffer_updated(self, nbytes: int) -> None:
        """Forward received bytes, or buffer them."""
        data = self._scratch.memory[:nbytes]
        if self._sink is None:
            self._held += data
            _wake(self._reading)
            self._pace()
            return
        sink = self._sink._socket
        sink.write(data)
        if sink.get_write_buffer_size():  # asyncio may refer to the buffer
            self._scratch.replace()
        self._count(nbytes)
        self._passed += nbytes
        if self._passed >= _MANY:
            self._start_splice(self._sink)

    def eof_received(self) -> bool:
        """Inform the sink; the other direction stays open, except over TLS."""
        self._is_over()
        return self._socket.get_extra_info("sslcontext") is None

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the other side too, once everything written to it has been sent."""
        self._error = exc
        self._end_splice()
        self._take_back()
        _wake(self.gone)
        self._is_over()
        _wake(self._draining)
        if self._peer is not None:
            self._peer.close()

    def pause_writing(self) -> None:
        """Pause the other side until the write buffer is mostly empty."""
        self._is_full = True
        if self._peer is not None:
            self._peer._pace()

    def resume_writing(self) -> None:
        """Resume the other side."""
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
    """Forward between two sides until both have ended."""
    one.lead(other, there)
    other.lead(one, back)
    await asyncio.wait({one.over, other.over})
