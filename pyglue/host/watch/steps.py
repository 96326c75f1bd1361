"""The steps of running turns: which tool call a turn is waiting for, and since when.

Derived from the live events of harnesses: a call is open from its ``tool_use`` to its
``tool_result``, or to the end of the turn. The oldest open call is the current step.
One timer per agent checks it twice: after some seconds, when pages start to show it,
and after the operator's ``late_step_s``, when they are notified that it may hang. All
of it is the harness's claim, and no decision depends on it.
"""

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import Final

from pyglue.api.common import data_as
from pyglue.api.event_values import AgentChange, NotificationKind
from pyglue.api.events import AgentChanged
from pyglue.api.overview import Step
from pyglue.api.turn_events import ToolCall, ToolDone, TurnEventKind
from pyglue.api.turns import TurnEventParams
from pyglue.errors import HiveError
from pyglue.host.core.agent import Agent
from pyglue.host.messages.broker import Broker
from pyglue.host.messages.notifications import Notifications
from pyglue.names import MANAGER, OPERATOR
from pyglue.store.database import Store
from pyglue.text.display import in_quotes
from pyglue.tools import HIVE
from pyglue.tools.words import CALL_ID_MAX, EVENT_MAX, doing, server_of, words

LONG_S: Final = 10.0
"""A step that takes longer than this is shown."""
_OPEN_MAX: Final = 64
"""Maximum number of open calls remembered per turn."""
_WORDS: Final = 80
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Call:
    """An open tool call; ``at`` is on the monotonic clock."""

    id: str
    tool: str
    text: str
    doing: str
    since_at: float
    at: float

    @property
    def server(self) -> str | None:
        """The MCP server it is waiting for, None for a built-in tool."""
        return server_of(self.tool)[0]


@dataclass(kw_only=True)
class _Turn:
    """The open calls of one turn, the oldest first."""

    number: int
    open: dict[str, Call] = field(default_factory=dict)
    shown: Call | None = None
    """The call that was announced to pages."""
    reported: Call | None = None
    """The call that the operator was notified of."""
    timer: asyncio.TimerHandle | None = None

    def current(self) -> Call | None:
        """Return the oldest open call."""
        return next(iter(self.open.values()), None)


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Follows the tool calls of every agent's running turn."""

    store: Store
    broker: Broker
    notifications: Notifications
    late_s: float
    long_s: float = LONG_S
    _turns: dict[str, _Turn] = field(default_factory=dict, init=False)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    def reported(self, agent: Agent, params: TurnEventParams) -> None:
        """Handle a live event of an agent's running turn."""
        if agent.turn is None or len(bytes(params.data)) > EVENT_MAX:
            return
        if params.kind == TurnEventKind.TOOL_USE:
            call = data_as(ToolCall, params.data)
            if call is not None:
                self._began(agent, call)
        elif params.kind == TurnEventKind.TOOL_RESULT:
            done = data_as(ToolDone, params.data)
            if done is not None:
                self._ended(agent, done.id)

    def current(self, agent: Agent) -> Step | None:
        """Return the current step of an agent's running turn, None between steps."""
        call = self._call(agent)
        if call is None:
            return None
        age = time.monotonic() - call.at
        return Step(
            text=call.text,
            doing=call.doing,
            call=call.id,
            since_at=call.since_at,
            is_long=age >= min(self.long_s, self.late_s),
            is_late=age >= self.late_s,
        )

    def late(self, agent: Agent) -> str | None:
        """Return the warning about a step that takes too long, None without one."""
        call = self._call(agent)
        if call is None or time.monotonic() - call.at < self.late_s:
            return None
        return _late(agent.name, call)

    def _call(self, agent: Agent) -> Call | None:
        turn = self._turns.get(agent.name)
        return None if turn is None or turn.number != agent.turn else turn.current()

    def _began(self, agent: Agent, call: ToolCall) -> None:
        turn = self._turns.get(agent.name)
        if turn is None or turn.number != agent.turn:
            self._forget(agent.name)
            turn = self._turns[agent.name] = _Turn(number=agent.turn or 0)
        if len(turn.open) >= _OPEN_MAX:
            return
        number = call.id[:CALL_ID_MAX]
        turn.open[number] = Call(
            id=number,
            tool=call.name,
            text=words(call),
            doing=doing(call),
            since_at=time.time(),
            at=time.monotonic(),
        )
        if turn.timer is None:
            self._arm(agent, turn)

    def _ended(self, agent: Agent, call: str) -> None:
        turn = self._turns.get(agent.name)
        if turn is None or turn.open.pop(call[:CALL_ID_MAX], None) is None:
            return
        current = turn.current()
        if turn.shown is not None and turn.shown is not current:
            turn.shown = None
            self._announce(agent)
        if current is None and turn.timer is not None:
            turn.timer.cancel()
            turn.timer = None

    def _forget(self, name: str) -> None:
        turn = self._turns.pop(name, None)
        if turn is not None and turn.timer is not None:
            turn.timer.cancel()

    def _arm(self, agent: Agent, turn: _Turn) -> None:
        """Set the timer for the next time that the step must be announced."""
        turn.timer = None
        call = turn.current()
        if call is None or turn.number != agent.turn:
            return
        due = [
            *([] if turn.shown is call else [self.long_s]),
            *([] if turn.reported is call else [self.late_s]),
        ]
        if not due:
            return
        left = max(0.0, call.at + min(due) - time.monotonic())
        loop = asyncio.get_running_loop()
        turn.timer = loop.call_later(left, self._look, agent, turn)

    def _look(self, agent: Agent, turn: _Turn) -> None:
        call = turn.current()
        if call is not None and turn.number == agent.turn:
            age = time.monotonic() - call.at
            if age >= self.long_s and turn.shown is not call:
                turn.shown = call
                self._announce(agent)
            if age >= self.late_s and turn.reported is not call:
                turn.reported = turn.shown = call
                self._announce(agent)
                self._notify(agent, call)
        self._arm(agent, turn)

    def _announce(self, agent: Agent) -> None:
        event = AgentChanged(what=AgentChange.STEP)
        self.store.emit(agent.name, event)

    def _notify(self, agent: Agent, call: Call) -> None:
        task = asyncio.create_task(self._give(agent.name, _late(agent.name, call)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _give(self, name: str, text: str) -> None:
        kind = NotificationKind.STEP_LATE
        try:
            await self.notifications.give(kind, name, text, to_manager=name != MANAGER)
            await self.broker.notify(OPERATOR, text)
        except HiveError as error:  # doctor and the agent's page report it anyway
            _log.warning("could not notify of a late step: %s", error.message)


def _late(name: str, call: Call) -> str:
    minutes = max(1, int((time.monotonic() - call.at) / 60))
    text = (
        f"{name} reports a tool call without a result for {minutes} min: "
        f"{in_quotes(call.text, limit=2 * _WORDS)}. If it hangs, cancel the turn: hive "
        f"cancel {name} (--messages later or drop keeps it from being tried again)."
    )
    if call.server in (None, HIVE):
        return text
    return (
        f"{text} To end such calls automatically, set a toolTimeout for that MCP "
        "server in its agent.nix."
    )
