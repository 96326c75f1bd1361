"""Sends and receives the lines of a connection, within the limits of its peer.

The base of ``Connection``; it knows nothing about calls. It splits incoming bytes into
lines and handles a few at a time, so that other connections get their turn. It stops
reading while the peer has used up its units or leaves answers unread, and drops a peer
for which too much is buffered.
"""

import asyncio
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import cast

from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc.peer import Peer
from pyglue.jsonrpc.wire import error_line

Clean = Callable[[bytes], bytes]
"""Removes from a line what must not be stored or shown."""


class LineProtocol(asyncio.Protocol, ABC):
    """One end of a stream of lines."""

    def __init__(
        self, *, peer: Peer, expects_hello: bool, clean: Clean | None = None
    ) -> None:
        """``clean`` gets each incoming line and returns the line to handle."""
        self.peer = peer
        self._clean = clean
        self.peer_uid: int | None = None
        self.peer_pid: int | None = None
        self.closed = False
        self._is_unwanted = False
        """Closed before asyncio has told it that it is connected."""
        self._limits = peer.limits
        self._expects_hello = expects_hello
        self._searched = 0
        self._wake: asyncio.Handle | None = None
        """When it continues with lines already read."""
        self._last_call: asyncio.TimerHandle | None = None
        """When it is dropped: without a hello, or after ``close``."""
        self._line_bytes = 0
        """Bytes of the lines that are still being handled."""
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._writable: asyncio.Future[None] | None = None
        self._on_close: list[Callable[[], None]] = []

    @abstractmethod
    def _line(self, line: bytes) -> None:
        """Handle one line."""

    @abstractmethod
    def _lost(self) -> None:
        """Fail pending work: the connection is gone."""

    # --- what callers use -----------------------------------------------------

    async def drained(self) -> None:
        """Wait until the other side has caught up reading, or is gone."""
        while self._writable is not None and not self.closed:
            await asyncio.shield(self._writable)

    def on_close(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once the connection is gone, at once if it is."""
        if self.closed:
            callback()
        else:
            self._on_close.append(callback)

    def close(self) -> None:
        """Send buffered data, then close; drop a peer that does not read it."""
        self._is_unwanted = self._transport is None
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()
            self._drop_in(self._limits.close_s)

    def abort(self) -> None:
        """Close at once, and discard buffered data."""
        self._is_unwanted = self._transport is None
        self._buffer.clear()
        if self._transport is not None:
            self._transport.abort()

    def held(self) -> int:
        """Return the bytes buffered for the other side."""
        unread = 0
        if self._transport is not None:
            unread = self._transport.get_write_buffer_size()
        return len(self._buffer) + self._line_bytes + unread

    async def wait_closed(self) -> None:
        """Wait until the connection is gone."""
        await asyncio.shield(self._closed)

    # --- asyncio's side -------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Record who is at the other end."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=self._limits.write_high)
        if self._expects_hello:
            self._drop_in(self._limits.hello_s)
        sock = transport.get_extra_info("socket")
        self.peer_pid, self.peer_uid = peer_of(sock)
        if self._is_unwanted:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Fail pending work, and call the ``on_close`` callbacks."""
        self.closed = True
        self._transport = None
        self._buffer.clear()
        self.peer.leave(self)
        for timer in (self._wake, self._last_call):
            if timer is not None:
                timer.cancel()
        self._lost()
        self.resume_writing()
        for callback in self._on_close:
            callback()
        if not self._closed.done():
            self._closed.set_result(None)

    def pause_writing(self) -> None:
        """The other side reads too slowly."""
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """The other side caught up, or is gone."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None
        self._go_on()

    def data_received(self, data: bytes) -> None:
        """Accept incoming bytes, and handle as many lines as the peer is allowed."""
        self.peer.charge(1, len(data))
        self._buffer += data
        self._go_on()

    # --- lines ----------------------------------------------------------------

    def _go_on(self) -> None:
        """Handle a few lines, then yield to other connections."""
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        transport = self._transport
        for _ in range(self._limits.lines_at_once):
            if transport is None or transport.is_closing():
                return
            wait = self.peer.wait()
            if wait > 0:
                transport.pause_reading()
                self._wake = self._loop.call_later(wait, self._go_on)
                return
            if self._writable is not None and not self._limits.trusted:
                transport.pause_reading()  # until it has read its answers
                return
            line = self._cut()
            if line is None:
                transport.resume_reading()
                return
            self.peer.charge(1)
            self._line(line if self._clean is None else self._clean(line))
        if transport is not None:
            transport.pause_reading()
            self._wake = self._loop.call_soon(self._go_on)

    def _cut(self) -> bytes | None:
        """Return the next line; a line that is too long ends the connection."""
        buffer = self._buffer
        end = buffer.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(buffer)
        if (len(buffer) if end < 0 else end) > self._limits.line:
            limit = self._limits.line
            text = f"A line is longer than {limit} bytes; send smaller parts."
            self._give_up(HiveError(ErrorCode.TOO_LARGE, text))
            return None
        if end < 0:
            return None
        line = bytes(buffer[:end])
        del buffer[: end + 1]
        self._searched = 0
        return line

    def _give_up(self, error: HiveError) -> None:
        self.peer.refuse()
        self._write(error_line(None, error))
        self._buffer.clear()
        self.close()

    def _drop_in(self, seconds: float) -> None:
        if self._last_call is not None:
            self._last_call.cancel()
        self._last_call = self._loop.call_later(seconds, self.abort)

    def _write(self, line: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self.peer.charge(0, len(line))
        transport.write(line)
        unread = transport.get_write_buffer_size()
        if unread > self._limits.write_max:
            self.peer.dropped += 1
            self.abort()
        elif unread > self._limits.write_high:
            self.peer.shrink()


def peer_of(sock: socket.socket) -> tuple[int, int]:
    """Return the pid and uid of the process at the other end."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _gid = struct.unpack("3i", raw)
    return pid, uid
