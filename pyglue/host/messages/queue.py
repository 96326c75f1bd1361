"""The operator's control of an agent's queue: list it, drop or postpone a message.

A message leased to a turn is removed from that turn, which is then cancelled, because
the model has already read it. The message is changed before the turn ends, so that it
cannot be delivered in between. ``api.operator`` calls this.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pyglue.api.control import AfterCancel
from pyglue.api.queue import QueueChangeParams, QueueParams, QueueResult
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.agent import Agent
from pyglue.host.core.audit import Audit
from pyglue.host.core.registry import Registry
from pyglue.host.core.transitions import Transitions
from pyglue.host.core.turns import end_turn
from pyglue.host.messages.broker import Broker
from pyglue.store import queue as rows
from pyglue.store.database import Store, Tx

_Change = Callable[[Tx, str, int], None]
_CANCELLED: Final = "The operator took a message out of this turn."


@dataclass(frozen=True, kw_only=True)
class Queue:
    """Shows and changes the messages that agents have not finished."""

    store: Store
    registry: Registry
    transitions: Transitions
    broker: Broker
    audit: Audit

    async def list(self, params: QueueParams) -> QueueResult:
        """Return the messages that the agent has not finished.

        Raises:
            HiveError: ``not_found``.
        """
        name = self.registry.get(params.agent).name
        found = await self.store.read(
            lambda reader: (
                rows.listing(reader, name, limit=params.limit, clip=params.clip),
                rows.count(reader, name),
            )
        )
        return QueueResult(messages=found[0], more=found[1] - len(found[0]))

    async def drop(self, params: QueueChangeParams, by: str) -> None:
        """Drop a message, and notify the agent that sent it.

        Raises:
            HiveError: ``not_found``; ``conflict`` if it is leased.
        """
        sender = await self._change(params, rows.drop, "message_dropped", by)
        await self.broker.notify_agent(
            sender,
            f"The operator dropped your message {params.message} to {params.agent}; "
            "it will not be handled.",
        )

    async def later(self, params: QueueChangeParams, by: str) -> None:
        """Move a message to the end of the queue.

        Raises:
            HiveError: ``not_found``; ``conflict`` if it is leased.
        """
        await self._change(params, rows.move_to_end, "message_moved", by)

    async def _change(
        self, params: QueueChangeParams, change: _Change, what: str, by: str
    ) -> str:
        agent = self.registry.get(params.agent)

        def write(tx: Tx) -> tuple[int | None, str]:
            leased, turn, sender = rows.find(tx, agent.name, params.message)
            if leased:
                self._check_leased(agent, turn, params)
            change(tx, agent.name, params.message)
            return turn, sender

        turn, sender = await self.store.write(write)
        self.audit.record(
            by, what, agent.name, {"message": params.message, "turn": turn}
        )
        self.broker.delivery.fresh.add(agent.name)
        if turn is not None and agent.turn == turn:
            await end_turn(self.transitions, agent, within=0, reason=_CANCELLED)
        return sender

    def _check_leased(
        self, agent: Agent, turn: int | None, params: QueueChangeParams
    ) -> None:
        if turn is not None and not params.cancel_turn:
            raise HiveError(
                ErrorCode.CONFLICT,
                f"Turn {turn} of {agent.name} is working on message {params.message}. "
                "To cancel that turn and remove the message from it, add --cancel-turn "
                "(cancel_turn).",
            )
        if turn is None and agent.harness is not None:
            raise HiveError(
                ErrorCode.CONFLICT,
                f"Message {params.message} is being delivered to {agent.name}; try "
                "again in a moment.",
            )

    async def set_aside(self, name: str, then: AfterCancel, by: str) -> None:
        """Drop or postpone the messages of the running turn, as the operator chose.

        Call this right before cancelling the turn.
        """
        agent = self.registry.get(name)
        turn = agent.turn
        if turn is None or then is AfterCancel.REQUEUE:
            return
        dropped = then is AfterCancel.DROP
        change = rows.drop if dropped else rows.move_to_end

        def write(tx: Tx) -> tuple[int, ...]:
            numbers = rows.of_turn(tx, name, turn)
            for number in numbers:
                change(tx, name, number)
            return numbers

        for number in await self.store.write(write):
            what = "message_dropped" if dropped else "message_moved"
            self.audit.record(by, what, name, {"message": number, "turn": turn})
