"""One end of a connection in the event loop, symmetrical: both ends may call.

``sockets`` makes them. Requests run concurrently and are answered in any order;
``$/cancel`` gives one up, and when the connection goes, so do they.

Whatever the other side sends, it takes no more than its ``Peer`` allows: a few lines
are handled before everyone else has a turn, nothing is read while it leaves answers
unread or has used up its units, and what is held for it is bounded.
"""

import asyncio
import contextlib
import itertools
import logging
import math
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar, cast

import msgspec

from pyglue import strict_json
from pyglue.api.common import (
    CANCEL,
    CancelParams,
    Done,
    HelloParams,
    HelloResult,
    Method,
    Note,
    Params,
    Result,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc.peer import Peer
from pyglue.jsonrpc.wire import (
    Envelope,
    call_line,
    check_length,
    decode_envelope,
    decode_result,
    error_line,
    lost,
    note_line,
    result_line,
)
from pyglue.strict_json import JsonError

P = TypeVar("P", bound=Params)
R = TypeVar("R", bound=Result)

_log = logging.getLogger(__name__)


class _Registered(NamedTuple):
    decode: Callable[[msgspec.Raw], Any]
    fn: Callable[[Any], Any]


class Handlers:
    """What one side of a connection answers to."""

    def __init__(self) -> None:
        self._methods: dict[str, _Registered] = {}
        self._notes: dict[str, _Registered] = {}

    def on(
        self,
        method: Method[P, R],
        fn: Callable[[P], Awaitable[R]],
        *,
        decode: Callable[[msgspec.Raw], P] | None = None,
    ) -> None:
        """Answer ``method`` with what ``fn`` returns or the HiveError it raises.

        ``decode`` may refuse parameters with a HiveError of its own.
        """
        decode = decode or strict_json.reader(method.params, what="request")
        self._methods[method.name] = _Registered(decode, fn)

    def on_done(
        self, method: Method[P, Done], fn: Callable[[P], Awaitable[object]]
    ) -> None:
        """Answer ``method``, which has no result, once ``fn`` has returned."""

        async def done(params: P) -> Done:
            await fn(params)
            return Done()

        self.on(method, done)

    def on_note(self, note: Note[P], fn: Callable[[P], None]) -> None:
        """Call ``fn`` for each notification of this name, in order."""
        decode = strict_json.reader(note.params, what="notification")
        self._notes[note.name] = _Registered(decode, fn)

    def names(self) -> frozenset[str]:
        """Return the names of all calls that are answered."""
        return frozenset(self._methods)

    def method(self, name: str) -> _Registered | None:
        """Return the handler of a call, None if there is none."""
        return self._methods.get(name)

    def note(self, name: str) -> _Registered | None:
        """Return the handler of a notification, None if there is none."""
        return self._notes.get(name)


class Connection(asyncio.Protocol):
    """One end of a connection; made by ``connect`` or ``serve``."""

    def __init__(
        self, handlers: Handlers, *, peer: Peer, expects_hello: bool = False
    ) -> None:
        self.handlers = handlers
        self.peer = peer
        self.hello: HelloParams | HelloResult | None = None
        self.peer_uid: int | None = None
        self.peer_pid: int | None = None
        self.closed = False
        self.line_max: float = math.inf
        """Longest line that the other side takes; more is refused here."""
        self._limits = peer.limits
        self._expects_hello = expects_hello
        self._searched = 0
        self._wake: asyncio.Handle | None = None
        """When this goes on with what it has read."""
        self._last_call: asyncio.TimerHandle | None = None
        """When it is dropped, without a hello or closed."""
        self._running_bytes = 0
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._ids = itertools.count(1)
        self._waiting: dict[int, tuple[asyncio.Future[Any], type[Any]]] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._writable: asyncio.Future[None] | None = None
        self._on_close: list[Callable[[], None]] = []

    # --- what callers use -----------------------------------------------------

    async def call(
        self, method: Method[P, R], params: P, *, timeout: float | None = None
    ) -> R:
        """Call the other side and return its answer.

        Raises:
            HiveError: what the other side refused with; ``unavailable`` when the
                connection is lost; ``timeout`` after ``timeout`` seconds;
                ``too_large`` for parameters that it would not take.
        """
        if self._transport is None or self.closed:
            raise lost()
        request = next(self._ids)
        line = call_line(request, method.name, params)
        check_length(line, self.line_max, method.name)
        future: asyncio.Future[R] = self._loop.create_future()
        self._waiting[request] = (future, method.result)
        self._write(line)
        try:
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError:
            raise HiveError(
                ErrorCode.TIMEOUT,
                f"{method.name} was not answered within {timeout:g} s.",
            ) from None
        finally:
            del self._waiting[request]
            if not future.done() or future.cancelled():
                self.notify(CANCEL, CancelParams(id=request))

    def notify(self, note: Note[P], params: P) -> None:
        """Send a notification; nothing happens on a lost connection.

        One that the other side would not take is left out.
        """
        line = note_line(note.name, params)
        try:
            self._write(check_length(line, self.line_max, note.name))
        except HiveError as error:
            _log.warning("could not send a notification: %s", error.message)

    async def drained(self) -> None:
        """Wait while the other side reads too slowly, or until it is gone."""
        while self._writable is not None and not self.closed:
            await asyncio.shield(self._writable)

    def on_close(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once when the connection is gone (at once if it is)."""
        if self.closed:
            callback()
        else:
            self._on_close.append(callback)

    def close(self) -> None:
        """Send what is buffered, then close; whoever does not read it is dropped."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()
            self._drop_in(self._limits.close_s)

    def abort(self) -> None:
        """Close at once, and forget what is buffered."""
        self._buffer.clear()
        if self._transport is not None:
            self._transport.abort()

    def greeted(self, hello: HelloParams) -> None:
        """Take the other side's hello; from here on it may be idle."""
        self.hello = hello
        if self._last_call is not None:
            self._last_call.cancel()

    def held(self) -> int:
        """Return the bytes held for the other side."""
        unread = 0
        if self._transport is not None:
            unread = self._transport.get_write_buffer_size()
        return len(self._buffer) + self._running_bytes + unread

    async def wait_closed(self) -> None:
        """Return when the connection is gone."""
        await asyncio.shield(self._closed)

    # --- asyncio's side -------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember who is on the other end."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=self._limits.write_high)
        if self._expects_hello:
            self._drop_in(self._limits.hello_s)
        sock = transport.get_extra_info("socket")
        self.peer_pid, self.peer_uid = peer_of(sock)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Fail what waits, cancel what runs, tell who asked."""
        self.closed = True
        self._transport = None
        self._buffer.clear()
        self.peer.leave(self)
        for timer in (self._wake, self._last_call):
            if timer is not None:
                timer.cancel()
        for future, _ in self._waiting.values():
            if not future.done():
                future.set_exception(lost())
        for task in self._running.values():
            task.cancel()
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
        """Take what came, and handle as much of it as the peer may have handled."""
        self.peer.charge(1, len(data))
        self._buffer += data
        self._go_on()

    # --- lines ----------------------------------------------------------------

    def _go_on(self) -> None:
        """Handle some lines, then let others have their turn."""
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
            self._line(line)
        if transport is not None:
            transport.pause_reading()
            self._wake = self._loop.call_soon(self._go_on)

    def _cut(self) -> bytes | None:
        """Return the next line; one that is too long ends the connection."""
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

    def _line(self, line: bytes) -> None:
        try:
            envelope = decode_envelope(line)
        except JsonError as error:
            self._give_up(error)
            return
        if envelope.method is None:
            self._answered(envelope)
        elif envelope.id is None:
            self._noted(envelope.method, envelope.params)
        else:
            self._called(envelope.id, envelope.method, envelope.params, len(line))

    def _answered(self, envelope: Envelope) -> None:
        if envelope.id is None:
            if envelope.error is not None:
                self._closing_for(envelope)
            return
        waiting = self._waiting.get(envelope.id)
        if waiting is None or waiting[0].done():
            return
        future, result = waiting
        try:
            future.set_result(decode_result(envelope, result))
        except HiveError as error:
            future.set_exception(error)

    def _closing_for(self, envelope: Envelope) -> None:
        """The other side says why it closes: whoever waits hears that."""
        for future, result in self._waiting.values():
            if not future.done():
                try:
                    decode_result(envelope, result)
                except HiveError as error:
                    future.set_exception(error)

    def _noted(self, name: str, params: msgspec.Raw) -> None:
        if name == CANCEL.name:
            with contextlib.suppress(JsonError):
                cancel = strict_json.read(params, CancelParams)
                task = self._running.get(cancel.id)
                if task is not None:
                    task.cancel()
            return
        registered = self.handlers.note(name)
        if registered is None:
            return
        try:
            registered.fn(registered.decode(params))
        except JsonError as error:
            _log.warning("notification %.40r: %s", name, error.message)
        except Exception:
            _log.exception("notification %.40r failed", name)

    def _called(self, request: int, name: str, params: msgspec.Raw, size: int) -> None:
        registered = self.handlers.method(name)
        try:
            if registered is None:
                raise HiveError(
                    ErrorCode.UNKNOWN_METHOD,
                    f"There is no method {name[:60]!a} on this socket.",
                )
            self._check_outstanding()
            if request in self._running:
                raise HiveError(
                    ErrorCode.BAD_REQUEST,
                    f"The request id {request} is already in use.",
                )
            typed = registered.decode(params)
        except HiveError as error:
            self._refuse(request, error)
            return
        task = self._loop.create_task(self._answer(request, name, registered.fn, typed))
        self._running[request] = task
        self._running_bytes += size
        self.peer.running += 1
        task.add_done_callback(lambda _: self._done(request, size))

    def _check_outstanding(self) -> None:
        limits = self._limits
        for running, most in (
            (len(self._running), limits.outstanding),
            (self.peer.running, limits.outstanding_all),
        ):
            if running >= most:
                raise HiveError(
                    ErrorCode.TOO_MANY,
                    f"{most} requests are outstanding; wait for an answer.",
                )

    def _refuse(self, request: int, error: HiveError) -> None:
        self.peer.refuse()
        self._write(error_line(request, error))

    def _done(self, request: int, size: int) -> None:
        self._running.pop(request, None)
        self._running_bytes -= size
        self.peer.running -= 1

    async def _answer(
        self, request: int, name: str, fn: Callable[[Any], Any], params: object
    ) -> None:
        try:
            line = result_line(request, await fn(params))
        except HiveError as error:
            line = error_line(request, error)
        except asyncio.CancelledError:
            gone = HiveError(ErrorCode.CANCELLED, f"{name} was cancelled.")
            self._write(error_line(request, gone))
            raise
        except Exception:
            _log.exception("%s failed", name)
            broken = f"{name} failed inside the hive; see the log of hived."
            line = error_line(request, HiveError(ErrorCode.INTERNAL, broken))
        self._write(line)

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
    """Return pid and uid of who is on the other end."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _gid = struct.unpack("3i", raw)
    return pid, uid
