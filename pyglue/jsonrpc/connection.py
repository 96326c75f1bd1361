"""One end of a connection in the event loop, symmetrical: both ends may call.

``sockets`` creates them. Requests run concurrently and are answered in any order;
``$/cancel`` cancels one, and a lost connection cancels all of them. ``lines`` bounds
what one peer can cost: it has a limited number of calls in
flight, and lines are read no faster than its ``Peer`` allows.
"""

import asyncio
import contextlib
import itertools
import logging
import math
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from pyglue import strict_json
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
from pyglue.jsonrpc.handlers import Handlers
from pyglue.jsonrpc.lines import Clean, LineProtocol
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


class Connection(LineProtocol):
    """One end of a connection; made by ``connect`` or ``serve``."""

    def __init__(
        self,
        handlers: Handlers,
        *,
        peer: Peer,
        expects_hello: bool = False,
        clean: Clean | None = None,
    ) -> None:
        super().__init__(peer=peer, expects_hello=expects_hello, clean=clean)
        self.handlers = handlers
        self.hello: HelloParams | HelloResult | None = None
        self.line_max: float = math.inf
        """The longest line that the other side accepts; longer ones are not sent."""
        self._ids = itertools.count(1)
        self._waiting: dict[int, tuple[asyncio.Future[Any], type[Any]]] = {}
        self._running: dict[int, asyncio.Task[None]] = {}

    # --- what callers use -----------------------------------------------------

    async def call(
        self, method: Method[P, R], params: P, *, timeout: float | None = None
    ) -> R:
        """Call the other side and return its answer.

        Raises:
            HiveError: the other side's refusal; ``unavailable`` when the
                connection is lost; ``timeout`` after ``timeout`` seconds;
                ``too_large`` for parameters that it would not accept.
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
        """Send a notification; a lost connection is ignored.

        A notification that is too long for the other side is dropped.
        """
        line = note_line(note.name, params)
        try:
            self._write(check_length(line, self.line_max, note.name))
        except HiveError as error:
            _log.warning("could not send a notification: %s", error.message)

    def greeted(self, hello: HelloParams) -> None:
        """Accept the other side's hello; from now on it may be idle."""
        self.hello = hello
        if self._last_call is not None:
            self._last_call.cancel()

    # --- what arrives ---------------------------------------------------------

    def _lost(self) -> None:
        for future, _ in self._waiting.values():
            if not future.done():
                future.set_exception(lost())
        for task in self._running.values():
            task.cancel()

    def _line(self, line: bytes) -> None:
        try:
            envelope = decode_envelope(line)
        except JsonError as error:
            if not self._refused_text(line, error):
                self._give_up(error)
            return
        if envelope.method is None:
            self._answered(envelope)
        elif envelope.id is None:
            self._noted(envelope.method, envelope.params)
        else:
            self._called(envelope.id, envelope.method, envelope.params, len(line))

    def _refused_text(self, line: bytes, error: JsonError) -> bool:
        """Refuse a line with half of a character; the lines around it are fine."""
        try:
            envelope = decode_envelope(strict_json.with_whole_characters(line))
        except JsonError:
            return False
        if envelope.method is None:
            return False  # an answer that is too long for the other side
        if envelope.id is not None:
            self._refuse(envelope.id, error)
        return True

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
        """Fail pending calls with the reason that the other side gives for closing."""
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
        self._line_bytes += size
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
        self._line_bytes -= size
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
