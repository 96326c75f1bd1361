"""Logs for the operator and the manager: reading and following them.

A name must belong to an existing agent before anything is opened or started. A follower
is a task of its connection: when that closes, its source is closed too. Sending waits
for a slow reader; the source bounds its own memory. When a container comes back, its
log is followed anew, because the old source only sees the journal of the container that
exited.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Final

from pyglue.api.common import AgentState
from pyglue.api.events import AgentStateChanged, Event
from pyglue.api.journal import (
    HIVE_LOG,
    JournalNews,
    JournalPage,
    JournalParams,
    JournalUnit,
)
from pyglue.api.manager import AgentLogsParams
from pyglue.api.operator import JOURNAL_NEWS
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.backends.base import Backend
from pyglue.host.backends.logs import JournalSource
from pyglue.host.core.registry import Registry
from pyglue.jsonrpc import Connection

FOLLOWERS_MAX: Final = 16
"""Maximum number of followed logs: each may be a process."""
_BEAT_S: Final = 20.0
"""Interval of empty pages to idle followers, so that dashboards notice closed tabs."""
_FOR_MODELS: Final = 32 * 1024
"""Maximum characters of log that a model gets."""

_AWAY: Final = frozenset(
    {
        *(AgentState.STOPPED, AgentState.STARTING),
        *(AgentState.FAILED, AgentState.STOPPING),
    }
)

_log = logging.getLogger(__name__)


@dataclass(eq=False, kw_only=True)
class _Follower:
    """A follower of an agent's log; ``again`` is set when its container is back."""

    agent: str
    task: "asyncio.Task[None] | None" = None
    away: bool = False
    again: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, kw_only=True)
class Journal:
    """Reads and follows logs."""

    registry: Registry
    backend: Backend
    _followers: dict[Connection, _Follower] = field(default_factory=dict, init=False)

    def heard(self, event: Event) -> None:
        """Handle an event of the hive: a container may have come back."""
        changed = event.read()
        if not isinstance(changed, AgentStateChanged):
            return
        away = changed.state in _AWAY
        for follower in self._followers.values():
            if follower.agent == event.agent:
                if follower.away and not away:
                    follower.again.set()
                follower.away = away

    async def read(self, params: JournalParams) -> JournalPage:
        """Return lines of a log.

        Raises:
            HiveError: ``not_found``, ``bad_request``, or why it cannot be read.
        """
        return await self._source(params).read(params.lines, params.cursor)

    async def follow(
        self, params: JournalParams, connection: Connection
    ) -> JournalPage:
        """Return lines, and send all later ones until ``connection`` closes.

        Raises:
            HiveError: as ``read``; ``conflict`` if the connection already follows a
                log, ``too_many``.
        """
        source = self._source(params)
        if connection in self._followers:
            raise HiveError(
                ErrorCode.CONFLICT,
                "This connection already follows a log; open another connection.",
            )
        if len(self._followers) >= FOLLOWERS_MAX:
            raise HiveError(
                ErrorCode.TOO_MANY,
                f"{FOLLOWERS_MAX} logs are already being followed. Close one of them.",
            )
        begin = asyncio.Event()
        page = JournalPage(lines=(), cursor=None)

        async def feed() -> None:
            await begin.wait()
            await _send(source, page.cursor, connection, follower.again)

        # Counted before the first await, so that no two followers take the last slot.
        follower = _Follower(agent=params.agent)
        task = follower.task = asyncio.create_task(feed())
        self._followers[connection] = follower
        task.add_done_callback(lambda _: self._followers.pop(connection, None))

        def gone() -> None:
            task.cancel()

        connection.on_close(gone)
        try:
            page = await source.read(params.lines, params.cursor)
        except BaseException:
            task.cancel()
            raise
        begin.set()
        return page

    async def for_model(self, params: AgentLogsParams) -> JournalPage:
        """Return the newest lines of an agent's harness, within ``_FOR_MODELS``.

        Raises:
            HiveError: as ``read``.
        """
        asked = JournalParams(
            agent=self.registry.get(params.agent).name,
            unit=JournalUnit.HARNESS,
            lines=params.lines,
        )
        page = await self.read(asked)
        left = _FOR_MODELS
        first = len(page.lines)
        while first > 0 and (left := left - len(page.lines[first - 1].text)) >= 0:
            first -= 1
        gap = page.gap or first > 0
        return JournalPage(lines=page.lines[first:], cursor=None, gap=gap)

    async def close(self) -> None:
        """Stop all followers."""
        tasks = [one.task for one in self._followers.values() if one.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _source(self, params: JournalParams) -> JournalSource:
        hive = params.agent == HIVE_LOG
        unit = params.unit or (JournalUnit.DAEMON if hive else JournalUnit.HARNESS)
        name = None if hive else self.registry.get(params.agent).name
        if hive is not (unit is JournalUnit.DAEMON):
            raise HiveError(
                ErrorCode.BAD_REQUEST,
                f"An agent has the logs harness and machine; {HIVE_LOG!r} has daemon.",
            )
        return self.backend.journal(name, unit)


async def _send(
    source: JournalSource,
    cursor: str | None,
    connection: Connection,
    again: asyncio.Event,
) -> None:
    """Send new lines until cancelled, or until the source reports why it ended."""
    try:
        while True:
            pages = _beating(source.follow(cursor), again)
            async with contextlib.aclosing(pages):
                async for page in pages:
                    cursor = page.cursor or cursor
                    news = JournalNews(
                        lines=page.lines, cursor=page.cursor, gap=page.gap
                    )
                    connection.notify(JOURNAL_NEWS, news)
                    await connection.drained()
            again.clear()
    except HiveError as error:
        connection.notify(JOURNAL_NEWS, JournalNews(ended=error.message[:4096]))
    except Exception:
        _log.exception("following a log failed")
        sentence = "Following the log failed inside hived; see hived's log."
        connection.notify(JOURNAL_NEWS, JournalNews(ended=sentence))


async def _beating(
    pages: AsyncGenerator[JournalPage, None], again: asyncio.Event
) -> AsyncGenerator[JournalPage, None]:
    """Yield ``pages`` until ``again``, and an empty page after every idle interval."""
    interrupted = asyncio.ensure_future(again.wait())
    step: asyncio.Future[JournalPage] | None = None
    try:
        while True:
            step = asyncio.ensure_future(anext(pages))
            waiting = [step, interrupted]
            while not step.done():
                await asyncio.wait(
                    waiting, timeout=_BEAT_S, return_when=asyncio.FIRST_COMPLETED
                )
                if not step.done():
                    if interrupted.done():
                        return
                    yield JournalPage(lines=(), cursor=None)
            yield step.result()
    finally:
        interrupted.cancel()
        if step is not None and not step.done():
            step.cancel()
            await asyncio.wait([step])
        await pages.aclose()
