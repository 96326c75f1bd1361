"""One end of a connection in the event loop, symmetrical: both ends may call.

``sockets`` makes them. Requests run concurrently and are answered in any order;
``$/cancel`` gives one up, and when the connection goes, so do they.
"""

import asyncio
import contextlib
import itertools
import logging
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, TypeVar, cast

import msgspec

from pyglue.api.common import (
    CANCEL,
    CancelParams,
    HelloParams,
    HelloResult,
    Method,
    Note,
    Params,
    Result,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc.wire import (
    Envelope,
    bad_request,
    call_line,
    decode_envelope,
    decode_result,
    error_line,
    lost,
    note_line,
    result_line,
)

MAX_OUTSTANDING: Final = 32
"""Most requests of one connection that may run at once."""

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
        decode = decode or msgspec.json.Decoder(method.params).decode
        self._methods[method.name] = _Registered(decode, fn)

    def on_note(self, note: Note[P], fn: Callable[[P], None]) -> None:
        """Call ``fn`` for each notification of this name, in order."""
        decode = msgspec.json.Decoder(note.params).decode
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

    def __init__(self, handlers: Handlers, *, line_limit: int) -> None:
        self.handlers = handlers
        self.hello: HelloParams | HelloResult | None = None
        self.peer_uid: int | None = None
        self.peer_pid: int | None = None
        self.closed = False
        self._line_limit = line_limit
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
                connection is lost; ``timeout`` after ``timeout`` seconds.
        """
        if self._transport is None or self.closed:
            raise lost()
        request = next(self._ids)
        future: asyncio.Future[R] = self._loop.create_future()
        self._waiting[request] = (future, method.result)
        self._transport.write(call_line(request, method.name, params))
        try:
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError:
            raise HiveError(
                ErrorCode.TIMEOUT, f"No answer to {method.name} in {timeout:g} s."
            ) from None
        finally:
            del self._waiting[request]
            if not future.done() or future.cancelled():
                self.notify(CANCEL, CancelParams(id=request))

    def notify(self, note: Note[P], params: P) -> None:
        """Send a notification; nothing happens on a lost connection."""
        self._write(note_line(note.name, params))

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
        """Send what is buffered, then close."""
        if self._transport is not None:
            self._transport.close()

    async def wait_closed(self) -> None:
        """Return when the connection is gone."""
        await asyncio.shield(self._closed)

    # --- asyncio's side -------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember who is on the other end."""
        self._transport = cast(asyncio.Transport, transport)
        sock = transport.get_extra_info("socket")
        self.peer_pid, self.peer_uid = _peer(sock)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Fail what waits, cancel what runs, tell who asked."""
        self.closed = True
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

    def data_received(self, data: bytes) -> None:
        """Cut lines; one that is too long ends the connection."""
        buffer = self._buffer
        searched = len(buffer)
        buffer += data
        begin = 0
        while (end := buffer.find(b"\n", max(searched, begin))) >= 0:
            if end - begin > self._line_limit:
                break
            self._line(bytes(buffer[begin:end]))
            begin = end + 1
        del buffer[:begin]
        if len(buffer) > self._line_limit:
            self._too_long()

    # --- lines ----------------------------------------------------------------

    def _too_long(self) -> None:
        limit = f"A line is longer than {self._line_limit} bytes; send smaller parts."
        self._write(error_line(None, HiveError(ErrorCode.TOO_LARGE, limit)))
        self._buffer.clear()
        self.close()

    def _line(self, line: bytes) -> None:
        try:
            envelope = decode_envelope(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._write(error_line(None, bad_request(error)))
            self.close()
            return
        if envelope.method is None:
            self._answered(envelope)
        elif envelope.id is None:
            self._noted(envelope.method, envelope.params)
        else:
            self._called(envelope.id, envelope.method, envelope.params)

    def _answered(self, envelope: Envelope) -> None:
        if envelope.id is None:
            if envelope.error is not None:
                _log.warning("the other side closes: %s", envelope.error.message)
            return
        waiting = self._waiting.get(envelope.id)
        if waiting is None or waiting[0].done():
            return
        future, result = waiting
        try:
            future.set_result(decode_result(envelope, result))
        except HiveError as error:
            future.set_exception(error)

    def _noted(self, name: str, params: msgspec.Raw) -> None:
        if name == CANCEL.name:
            with contextlib.suppress(msgspec.DecodeError):
                cancel = msgspec.json.decode(params, type=CancelParams)
                task = self._running.get(cancel.id)
                if task is not None:
                    task.cancel()
            return
        registered = self.handlers.note(name)
        if registered is None:
            return
        try:
            registered.fn(registered.decode(params))
        except (msgspec.DecodeError, RecursionError) as error:
            _log.warning("notification %.40r is not right: %s", name, error)
        except Exception:
            _log.exception("notification %.40r failed", name)

    def _called(self, request: int, name: str, params: msgspec.Raw) -> None:
        registered = self.handlers.method(name)
        try:
            if registered is None:
                raise HiveError(
                    ErrorCode.UNKNOWN_METHOD,
                    f"There is no method {name[:60]!a} on this socket.",
                )
            if len(self._running) >= MAX_OUTSTANDING:
                raise HiveError(
                    ErrorCode.TOO_MANY,
                    f"{MAX_OUTSTANDING} requests are outstanding; wait for an answer.",
                )
            if request in self._running:
                raise HiveError(
                    ErrorCode.BAD_REQUEST, f"The request id {request} is in use."
                )
            typed = registered.decode(params)
        except HiveError as error:
            self._write(error_line(request, error))
            return
        except (msgspec.DecodeError, RecursionError) as error:
            self._write(error_line(request, bad_request(error)))
            return
        task = self._loop.create_task(self._answer(request, name, registered.fn, typed))
        self._running[request] = task
        task.add_done_callback(lambda _: self._running.pop(request, None))

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
            broken = f"{name} failed inside the hive; its log has the details."
            line = error_line(request, HiveError(ErrorCode.INTERNAL, broken))
        self._write(line)

    def _write(self, line: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(line)


def _peer(sock: socket.socket) -> tuple[int, int]:
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _gid = struct.unpack("3i", raw)
    return pid, uid
