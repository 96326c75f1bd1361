"""The blocking client of the dashboard and the CLI.

One call at a time: use one per thread, or a pool.
"""

import contextlib
import itertools
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pyglue import strict_json
from pyglue.api.common import HELLO, PROTOCOL, HelloParams, Method, Note, Params, Result
from pyglue.api.events import Event, GapParams
from pyglue.api.operator import EVENT, GAP
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc.sockets import not_there, short_path
from pyglue.jsonrpc.wire import (
    Envelope,
    call_line,
    check_length,
    decode_envelope,
    decode_result,
    lost,
    note_line,
)
from pyglue.limits import CLIENT_RPC, OPERATOR_RPC
from pyglue.strict_json import JsonError

P = TypeVar("P", bound=Params)
R = TypeVar("R", bound=Result)


class SyncClient:
    """A blocking connection to one of hived's sockets."""

    def __init__(
        self,
        path: Path | str,
        *,
        client: str,
        session: str | None = None,
        timeout: float = 60.0,
        hello_s: float | None = None,
    ) -> None:
        """Connect and say hello; ``timeout``, in seconds, applies to every call.

        Raises:
            HiveError: ``unavailable`` when nobody listens, the hello's refusal, or
                ``timeout`` if the answer takes more than ``hello_s`` seconds.
        """
        hello_s = timeout if hello_s is None else hello_s
        self._timeout = timeout
        self._ids = itertools.count(1)
        self._notes: list[Envelope] = []
        self._sending = threading.Lock()
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Connecting blocks while the queue of connections is full.
        self._sock.settimeout(hello_s)
        try:
            with short_path(path) as name:
                self._sock.connect(name)
        except TimeoutError:
            self._sock.close()
            raise _silent(path, hello_s) from None
        except OSError as error:
            self._sock.close()
            raise not_there(path, error) from error
        self._file = self._sock.makefile("rb")
        hello = HelloParams(protocol=PROTOCOL, client=client, session=session)
        try:
            self.hello = SyncClient.call(self, HELLO, hello, timeout=hello_s)
        except HiveError as error:
            self.close()
            if error.code is ErrorCode.TIMEOUT:
                raise _silent(path, hello_s) from None
            raise
        except BaseException:
            self.close()
            raise

    def call(
        self, method: Method[P, R], params: P, *, timeout: float | None = None
    ) -> R:
        """Call and wait for the answer.

        Raises:
            HiveError: hived's refusal, ``unavailable`` when the connection is lost,
                ``timeout`` (which ends the connection), ``too_large`` for parameters
                that it would not accept.
        """
        request = next(self._ids)
        line = call_line(request, method.name, params)
        check_length(line, OPERATOR_RPC.line, method.name)
        self._sock.settimeout(timeout or self._timeout)
        try:
            with self._sending:
                self._sock.sendall(line)
            envelope = self._answer(request)
        except TimeoutError:
            self.close()  # a late answer must not be taken for the next one
            raise HiveError(
                ErrorCode.TIMEOUT, f"hived did not answer to {method.name} in time."
            ) from None
        except (OSError, ValueError, JsonError) as error:
            raise lost() from error
        return decode_result(envelope, method.result)

    def notify(self, note: Note[P], params: P) -> None:
        """Send a notification, from any thread, even while another one waits.

        Raises:
            HiveError: ``unavailable`` when the connection is lost.
        """
        try:
            with self._sending:
                self._sock.sendall(note_line(note.name, params))
        except (OSError, ValueError) as error:
            raise lost() from error

    def notes(self, *, timeout: float | None = None) -> Iterator[Event | GapParams]:
        """Block for the events of a subscription; see ``stream``."""
        return self.stream(EVENT, GAP, timeout=timeout)

    def stream(self, *notes: Note[Any], timeout: float | None = None) -> Iterator[Any]:
        """Block for the notifications of these kinds; ends when the connection does.

        Raises:
            HiveError: ``timeout`` when nothing came for ``timeout`` seconds.
        """
        known = {note.name: note.params for note in notes}
        while True:
            self._sock.settimeout(timeout)
            try:
                envelope = self._notes.pop(0) if self._notes else self._read()
            except TimeoutError:
                self.close()  # a line may be half read
                raise HiveError(
                    ErrorCode.TIMEOUT, "Timed out waiting for an event."
                ) from None
            except (OSError, ValueError, HiveError):
                return
            kind = known.get(envelope.method or "")
            if kind is not None:
                yield strict_json.read(
                    envelope.params, kind, what="notification", code=ErrorCode.INTERNAL
                )

    def close(self) -> None:
        """Close; a thread blocked in ``notes`` or ``call`` returns."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()

    def _answer(self, request: int) -> Envelope:
        while True:
            envelope = self._read()
            if envelope.method is not None:
                self._notes.append(envelope)
            elif envelope.id == request or envelope.id is None:
                return envelope

    def _read(self) -> Envelope:
        line = self._file.readline(CLIENT_RPC.line + 1)
        if not line.endswith(b"\n"):
            raise lost()
        return decode_envelope(line)


def _silent(path: Path | str, seconds: float) -> HiveError:
    return HiveError(
        ErrorCode.TIMEOUT,
        f"hived did not answer at {path} within {seconds:g} s. It is stopped or "
        "overloaded: its log says more.",
    )
