"""Transitions of an agent's turns, and of the CLI it keeps warm between them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial

from pyglue.api.event_values import AgentChange
from pyglue.api.turns import TurnEndParams
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.agent import Agent
from pyglue.host.core.transitions.writing import Writing
from pyglue.store import agents as rows
from pyglue.store import leases
from pyglue.store.database import Tx


@dataclass(kw_only=True)
class TurnTransitions(Writing):
    """A turn begins, ends as its harness reports it, or is lost."""

    _over: dict[Agent, asyncio.Event] = field(default_factory=dict, init=False)

    def turn_began(
        self,
        agent: Agent,
        model: str,
        *,
        check: Callable[[Tx], object],
        also: Callable[[Tx, int], None],
    ) -> Awaitable[int]:
        """Begin a turn with ``model`` unless ``check`` refuses; return its id.

        ``also`` writes in the same transaction. If the harness has disconnected by the
        time the turn is stored, the turn is lost immediately.
        """
        harness = agent.harness

        def begin(tx: Tx) -> int:
            check(tx)
            turn = rows.start_turn(tx, agent.name, model)
            leases.release_ended(tx, agent.name)
            also(tx, turn)
            rows.tell_start(tx, agent.name, turn, model)
            return turn

        def follow(turn: int) -> None:
            if agent.harness is harness:
                self._turn(agent, replace(agent, turn=turn, turn_model=model))
            else:
                self._lose(agent, turn)

        return self.store.write(begin, then=follow)

    def turn_ended(
        self, agent: Agent, end: TurnEndParams, also: Callable[[Tx], None]
    ) -> Awaitable[None]:
        """End a turn as reported by its harness; ``also`` writes with it.

        Raises:
            HiveError: ``conflict`` if it is not this agent's running turn.
        """

        def write(tx: Tx) -> None:
            if not rows.end_turn(tx, agent.name, end):
                raise HiveError(
                    ErrorCode.CONFLICT,
                    f"Turn {end.turn} is not running; its messages are already queued "
                    "again.",
                )
            also(tx)

        def follow(_: None) -> None:
            if agent.turn == end.turn:
                self._turn(agent, replace(agent, turn=None, hop=0))

        return self.store.write(write, then=follow)

    def turn_lost(self, agent: Agent) -> None:
        """The running turn, if there is one, has lost its harness."""
        turn = agent.turn
        if turn is not None:
            self._lose(agent, turn)
        self._turn(agent, replace(agent, turn=None, hop=0))

    def all_turns_lost(self) -> Awaitable[None]:
        """End every open turn in the store; hived has just started and runs none."""
        return self.store.write(rows.lose_turns)

    @staticmethod
    def open_turns_lost(tx: Tx, agent: Agent) -> None:
        """End, in ``tx``, the turns of ``agent`` that its harness no longer runs.

        They have ended, but their end could not be recorded. Messages that they still
        hold are queued again.
        """
        rows.lose_turns(tx, agent.name)
        leases.release_ended(tx, agent.name)

    @staticmethod
    def open_turn_lost(tx: Tx, name: str, turn: int) -> None:
        """End, in ``tx``, a turn that nobody runs, perhaps of a former agent."""
        rows.lose_turns(tx, name, turn)

    async def turn_over(self, agent: Agent) -> None:
        """Return when the current turn has ended."""
        turn = agent.turn
        while turn is not None and agent.turn == turn:
            await self._over.setdefault(agent, asyncio.Event()).wait()

    def _turn(self, agent: Agent, now: Agent) -> None:
        self._set(agent, now)
        over = self._over.pop(agent, None)
        if over is not None:
            over.set()

    def _lose(self, agent: Agent, turn: int) -> None:
        self.store.post(partial(rows.lose_turns, agent=agent.name, turn=turn))

    def warmed(self, agent: Agent, held: int) -> None:
        """It keeps a CLI of ``held`` bytes for its next turn; 0: it keeps none."""
        cold = agent.warm > 0 and held == 0 and agent.turn is None
        self._become(agent, replace(agent, warm=held, warm_at=time.monotonic()))
        if cold:
            self._emit(agent, AgentChange.COLD)
