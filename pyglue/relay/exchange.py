"""One request and its response, in a task of its own.

It outlives its client: if the client disconnects, the answer is read for a while
longer, so that its usage is known and disconnecting does not make an answer cheaper. A
client that does not read is cut off; until then the provider's answer is not read
either.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import aiohttp
from aiohttp import web

from pyglue.api.relay import RateWindow
from pyglue.errors import HiveError
from pyglue.limits import RelayLimits
from pyglue.models.catalogue import Tokens
from pyglue.relay.meter import Meter
from pyglue.relay.refusal import reason, unreachable
from pyglue.relay.request import Checked
from pyglue.relay.upstream import MESSAGES, Upstream, mask_of, passed_on, whole
from pyglue.relay.windows import wait_s, windows_of

_DISCONNECTED: Final = 499
_FAILED: Final = 502
_LIMITED: Final = (429, 503, 529)
_TIMEOUT_S: Final = 10.0
"""How long a turn waits for a limit; beyond that it ends, and the agent parks."""
_WAIT_MAX_S: Final = 7 * 86400.0
_CHUNK: Final = 64 * 1024

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of an exchange; ``tokens`` is None if nothing was billed."""

    status: int
    tokens: Tokens | None
    wait_s: float | None
    windows: tuple[RateWindow, ...]


@dataclass(kw_only=True, eq=False)
class Exchange:
    """Create it with the encoded body, then ``run`` it as a task."""

    upstream: Upstream
    path: str
    checked: Checked
    body: bytes | None
    """None once it has been sent, so that it is no longer in memory."""
    request: web.BaseRequest
    limits: RelayLimits
    sent: Callable[[], None]
    """Called when the body has been sent."""
    _length: int = field(init=False)
    _meter: Meter = field(init=False)
    _status: int = field(default=0, init=False)
    _wait_s: float | None = field(default=None, init=False)
    _windows: tuple[RateWindow, ...] = field(default=(), init=False)
    _is_up: bool = field(default=False, init=False)
    _is_gone: bool = field(default=False, init=False)
    _deadline: asyncio.Timeout | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Prepare to count the answer."""
        self._length = len(self.body or b"")
        self._meter = Meter(self.checked, self.limits)

    def leave(self) -> None:
        """The client disconnected: stop writing, but read on for a while."""
        self._is_gone = True
        if self._deadline is not None:
            now = asyncio.get_running_loop().time()
            with contextlib.suppress(RuntimeError):  # it is over
                self._deadline.reschedule(now + self.limits.drain_s)

    def outcome(self) -> Outcome:
        """Return the result, once it has ended."""
        status = self._status or (_DISCONNECTED if self._is_gone else _FAILED)
        unknown = not self._status and self._is_up
        billed = self._status == 200 or unknown
        tokens = self._meter.tokens() if billed else None
        return Outcome(
            status=status, tokens=tokens, wait_s=self._wait_s, windows=self._windows
        )

    async def run(self) -> web.StreamResponse:
        """Send the request and pass the answer on.

        Raises:
            HiveError: ``upstream_failed``; nothing has been written in that case.
        """
        response: web.StreamResponse | None = None
        end = self.limits.drain_s if self._is_gone else self.limits.answer_s
        try:
            async with asyncio.timeout(end) as self._deadline:
                async with self.upstream.send(
                    self.path, self.checked, self._chunks(), self._length
                ) as answer:
                    response = await self._begin(answer)
                    if self._status == 200:
                        mask = mask_of(answer)
                        async for data in answer.content.iter_any():
                            self._meter.feed(data)
                            await self._write(response, mask.feed(data))
                        self._meter.end()
                        await self._write(response, mask.end())
                    await self._finish(response)
                    return response
        except (HiveError, aiohttp.ClientError, TimeoutError, OSError) as error:
            if response is not None:  # the answer has begun: it can only be aborted
                self._abort()
                return response
            if isinstance(error, HiveError):
                raise
            _log.warning("could not reach the model: %s", reason(error))
            raise unreachable(reason(error)) from None
        finally:
            self.body = None
            self.sent()

    async def _begin(self, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        """Judge the head of an answer; errors are read and passed on as a whole."""
        if 300 <= answer.status < 400:
            self._is_up = False
            raise unreachable("a redirect")
        wanted = "application/json"
        if answer.status == 200:
            self._status = 200
            if self.checked.is_streamed and self.path == MESSAGES:
                wanted = "text/event-stream"
        elif answer.status >= 400:
            self._status = answer.status
        else:
            raise unreachable(f"a response with the status {answer.status}")
        if answer.content_type != wanted:
            raise unreachable(
                f"a response with status {answer.status} that is not {wanted}"
            )
        headers = passed_on(answer)
        if self.upstream.is_subscription:
            self._windows = windows_of(answer.headers)
        self._wait_s = _asked_to_wait(answer, self._windows)
        if self._wait_s is not None and self._wait_s > _TIMEOUT_S:
            headers["x-should-retry"] = "false"
        if self._status != 200:
            body = await whole(answer, self.limits.error)
            response: web.StreamResponse = web.Response(
                status=self._status, headers=headers, body=body
            )
        else:
            response = web.StreamResponse(headers=headers)
        if not self._is_gone:
            await self._guarded(response.prepare(self.request))
        return response

    async def _write(self, response: web.StreamResponse, data: bytes) -> None:
        if data and not self._is_gone:
            await self._guarded(response.write(data))

    async def _finish(self, response: web.StreamResponse) -> None:
        if not self._is_gone:
            await self._guarded(response.write_eof())

    async def _guarded(self, writing: Awaitable[object]) -> None:
        """Wait for a write; cut off a client that does not read for a long time."""
        try:
            async with asyncio.timeout(self.limits.unread_s):
                await writing
        except (ConnectionError, TimeoutError):
            self._abort()
            self.leave()

    def _abort(self) -> None:
        """Close the client's connection, which marks the answer as incomplete."""
        if self.request.transport is not None:
            self.request.transport.abort()

    async def _chunks(self) -> AsyncIterator[bytes]:
        """Yield the body in pieces, so that it is not copied into one buffer."""
        body, self.body = self.body or b"", None
        for start in range(0, len(body), _CHUNK):
            yield body[start : start + _CHUNK]
        self._is_up = True
        del body
        self.sent()


def _asked_to_wait(
    answer: aiohttp.ClientResponse, windows: Sequence[RateWindow]
) -> float | None:
    """Return the seconds for which a limited or overloaded API asks to wait."""
    if answer.status not in _LIMITED:
        return None
    try:
        seconds = float(answer.headers.get("retry-after", ""))
    except ValueError:  # missing, or a date, which this API does not send
        left = wait_s(windows)
        return None if left is None else min(left, _WAIT_MAX_S)
    return seconds if 0 <= seconds < _WAIT_MAX_S else None
