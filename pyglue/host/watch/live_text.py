"""What the models of agents are writing just now, for who watches.

A harness is told to send it when somebody begins to follow its agent, and to stop when
nobody does any more. Only the newest text is kept for each viewer, until they take it;
nothing is stored. It is hostile as everything that an agent writes, and comes before it
is whole: what may be the beginning of a secret's value at its end is held back.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from pyglue.api.agent import WATCHED
from pyglue.api.common import Done
from pyglue.api.live_text import LiveTextFollowParams, LiveTextParams, WatchedParams
from pyglue.api.operator import LIVE_TEXT
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.agent import Agent
from pyglue.host.core.registry import Registry
from pyglue.jsonrpc import Connection
from pyglue.redact import Redactor

VIEWERS_MAX: Final = 64
"""Followers at once, of all agents."""
_BEAT_S: Final = 20.0
_EVERY_S: Final = 0.1
"""Between two texts to one viewer, however often a harness sends them."""


@dataclass(eq=False, kw_only=True)
class _Viewer:
    """A connection that follows an agent, and what it has not been sent yet."""

    agent: str
    connection: Connection
    newest: LiveTextParams | None = None
    there: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, kw_only=True)
class LiveTexts:
    """Passes texts from harnesses to the viewers of their agents."""

    registry: Registry
    redactor: Redactor
    _viewers: dict[Connection, _Viewer] = field(default_factory=dict, init=False)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    async def follow(
        self, params: LiveTextFollowParams, connection: Connection
    ) -> Done:
        """Send ``connection`` what the agent's model writes, until it ends.

        Raises:
            HiveError: ``not_found``; ``conflict`` if the connection follows an agent
                already; ``too_many``.
        """
        agent = self.registry.get(params.agent)
        if connection in self._viewers:
            raise HiveError(
                ErrorCode.CONFLICT,
                "This connection already follows an agent; open another connection.",
            )
        if len(self._viewers) >= VIEWERS_MAX:
            raise HiveError(
                ErrorCode.TOO_MANY,
                f"{VIEWERS_MAX} pages already follow what models write. Close some.",
            )
        viewer = _Viewer(agent=agent.name, connection=connection)
        self._viewers[connection] = viewer
        task = asyncio.create_task(self._feed(viewer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        connection.on_close(self._leaver(viewer, task))
        _tell(agent, watched=True)
        return Done()

    def greet(self, agent: Agent, connection: Connection) -> None:
        """Tell a harness that just said hello if somebody watches."""
        watched = bool(self._of(agent.name))
        connection.notify(WATCHED, WatchedParams(watched=watched))

    def said(self, agent: Agent, params: LiveTextParams) -> None:
        """Take what the model of an agent's running turn has written so far."""
        if params.turn is None or params.turn != agent.turn:
            return
        for viewer in self._of(agent.name):
            viewer.newest = params
            viewer.there.set()

    def _of(self, agent: str) -> list[_Viewer]:
        return [one for one in self._viewers.values() if one.agent == agent]

    def _leaver(self, viewer: _Viewer, task: asyncio.Task[None]) -> Callable[[], None]:
        def gone() -> None:
            task.cancel()
            del self._viewers[viewer.connection]
            agent = self.registry.find(viewer.agent)
            if agent is not None and not self._of(viewer.agent):
                _tell(agent, watched=False)

        return gone

    async def _feed(self, viewer: _Viewer) -> None:
        connection = viewer.connection
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_BEAT_S):
                    await viewer.there.wait()
            viewer.there.clear()
            newest, viewer.newest = viewer.newest, None
            shown = LiveTextParams() if newest is None else self._shown(newest)
            connection.notify(LIVE_TEXT, shown)
            await connection.drained()
            await asyncio.sleep(_EVERY_S)

    def _shown(self, params: LiveTextParams) -> LiveTextParams:
        text = self.redactor.unfinished(params.text)
        return msgspec.structs.replace(params, text=text)


def _tell(agent: Agent, *, watched: bool) -> None:
    if agent.harness is not None:
        agent.harness.notify(WATCHED, WatchedParams(watched=watched))
