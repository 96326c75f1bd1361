"""Reads and parses bodies within limits, so that agents do not affect each other.

A body is read only once its size fits within the limits of its agent and of all agents;
until then the connection is not read. Large bodies are parsed one at a time, and one
per agent, so that an agent that sends many of them only delays itself.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Final, TypeVar

from aiohttp import web

from pyglue.errors import ErrorCode, HiveError
from pyglue.limits import RelayLimits

_T = TypeVar("_T")
_SMALL: Final = 256 * 1024


class Held:
    """Permission to keep a body in memory; ``release`` it once."""

    def __init__(self, release: Callable[[], None]) -> None:
        self._release: Callable[[], None] | None = release

    def release(self) -> None:
        """Give it back; repeating that has no effect."""
        release, self._release = self._release, None
        if release is not None:
            release()


class Bodies:
    """The size of all bodies in memory, per agent and in total."""

    def __init__(self, limits: RelayLimits) -> None:
        self._limits = limits
        self._all = 0
        self._of: Counter[str] = Counter()
        self._queue: list[tuple[str, int, asyncio.Future[None]]] = []
        self._parsing = asyncio.Lock()
        self._parsing_of: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def hold(self, agent: str, size: int) -> Held:
        """Return when ``size`` bytes fit, in the order of requests."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((agent, size, turn))
        self._serve()
        held = Held(lambda: self._give_back(agent, size))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                held.release()
            else:
                self._queue = [entry for entry in self._queue if entry[2] is not turn]
                self._serve()
            raise
        return held

    async def parse(self, agent: str, size: int, work: Callable[[], _T]) -> _T:
        """Return the result of ``work``: at once if it is small, else in its turn."""
        if size <= _SMALL:
            return work()
        async with self._parsing_of[agent], self._parsing:
            return await asyncio.to_thread(work)

    def forget(self, agent: str) -> None:
        """Drop the state of an agent that no longer exists."""
        lock = self._parsing_of.get(agent)
        if lock is not None and not lock.locked():
            del self._parsing_of[agent]

    def _serve(self) -> None:
        left = []
        full = False
        for agent, size, turn in self._queue:
            if turn.done():
                continue
            fits = self._of[agent] + size <= self._limits.bodies_of_agent
            if fits and self._all + size > self._limits.bodies:
                full = True  # no later body overtakes a large one
            if fits and not full:
                self._of[agent] += size
                self._all += size
                turn.set_result(None)
            else:
                left.append((agent, size, turn))
        self._queue = left

    def _give_back(self, agent: str, size: int) -> None:
        self._all -= size
        self._of[agent] -= size
        if not self._of[agent]:
            del self._of[agent]
        self._serve()


def size_of(request: web.BaseRequest, limits: RelayLimits) -> int:
    """Return the declared size of a body, else the maximum.

    Raises:
        HiveError: ``too_large``, ``bad_request``.
    """
    if request.headers.get("content-encoding"):
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            "Invalid request: content-encoding is set. Send the body uncompressed.",
        )
    length = request.content_length
    if length is not None and length > limits.body:
        raise _too_large(limits)
    return limits.body if length is None else length


async def read(request: web.BaseRequest, limits: RelayLimits) -> bytearray:
    """Return the whole body.

    Raises:
        HiveError: ``too_large``, ``bad_request`` if it takes too long.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_s):
            async for data in request.content.iter_any():
                body += data
                if len(body) > limits.body:
                    raise _too_large(limits)
    except TimeoutError:
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            f"Invalid request: the body did not arrive within {limits.body_s:g} s.",
        ) from None
    return body


def _too_large(limits: RelayLimits) -> HiveError:
    return HiveError(
        ErrorCode.TOO_LARGE,
        f"The request is too large: the limit is {limits.body} bytes.",
    )
