"""The text that agents' models are currently writing, for viewers.

A harness is told to send it when the first viewer follows its agent, and to stop when
the last one leaves. Each viewer gets only the newest text; nothing is stored. Like
everything an agent writes, the text is hostile. It is also incomplete, so a suffix that
could be the start of a secret's value is withheld.
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
from pyglue.redaction.redactor import Redactor

VIEWERS_MAX: Final = 64
"""Maximum number of viewers, of all agents."""
_BEAT_S: Final = 20.0
_EVERY_S: Final = 0.1
"""Minimum seconds between two texts to one viewer."""


@dataclass(eq=False, kw_only=True)
class _Viewer:
    """A connection that follows an agent, and the text to be sent to it next."""

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
        """Send ``connection`` the text of the agent's model until it closes.

        Raises:
            HiveError: ``not_found``; ``conflict`` if the connection already follows an
                agent; ``too_many``.
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
                f"{VIEWERS_MAX} pages already show live text of models. Close some.",
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
        """Tell a harness that has just connected whether it has viewers."""
        watched = bool(self._of(agent.name))
        connection.notify(WATCHED, WatchedParams(watched=watched))

    def deliver(self, agent: Agent, params: LiveTextParams) -> None:
        """Handle the text that the model of the running turn has written so far."""
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
