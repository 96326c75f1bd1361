"""Receiving messages: ``recv``, its waits, acknowledgements, and the leases of turns.

A delivered message is leased to the connection, then to its turn, and is queued again
if either fails.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from pyglue.api.messages import (
    AckParams,
    AckResult,
    Message,
    RecvParams,
    RecvResult,
)
from pyglue.api.turns import STEERED_AT_ONCE, SteerResult, TurnEndParams, TurnOutcome
from pyglue.config import MessageLimits
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.agent import Agent, Parked, Receiver
from pyglue.host.core.registry import Registry
from pyglue.host.core.transitions import Transitions
from pyglue.host.messages.dead_letters import give_up
from pyglue.host.messages.delivery import Delivery, takes_news
from pyglue.store import leases
from pyglue.store import messages as rows
from pyglue.store.database import Store, Tx

_LONG_WAIT_S: Final = 60.0
_EMPTY_WAITS: Final = 2
_SENDERS_MOST: Final = 8
_FAULTS: Final = (TurnOutcome.FAILED, TurnOutcome.MAX_TURNS)
"""Outcomes that count against a turn's messages; others may have another cause."""
_REST_HINT: Final = "No new messages. Finish your turn now; new messages will wake you."


@dataclass(kw_only=True)
class Mailbox:
    """Hands out messages to every agent."""

    store: Store
    registry: Registry
    transitions: Transitions
    delivery: Delivery
    limits: MessageLimits

    async def recv(self, receiver: Receiver, params: RecvParams) -> RecvResult:
        """Hand out pending messages, or wait for one.

        Raises:
            HiveError: ``conflict`` if this agent already has a pending ``recv``, or a
                harness and ``receiver`` is another client; ``paused``.
        """
        if params.peek:
            return await self._peek(receiver.agent, params.max)
        self._check_receiver(receiver)
        self._check_halted(receiver.agent)
        try:
            messages = await self._next(receiver, params)
        except asyncio.CancelledError:
            # Requeue messages on their way to a caller that gave up. Those taken in a
            # turn stay with it: whoever gave up also ends the turn.
            self.delivery.release_loose(receiver)
            raise
        if messages:
            receiver.empty_waits = 0
            return RecvResult(messages=messages)
        if params.wait_seconds >= _LONG_WAIT_S:
            receiver.empty_waits += 1
        resting = (
            receiver.empty_waits >= _EMPTY_WAITS and receiver.agent.turn is not None
        )
        return RecvResult(messages=(), hint=_REST_HINT if resting else None)

    async def _peek(self, agent: Agent, most: int) -> RecvResult:
        async with agent.reading:
            self._check_halted(agent)
            found = await self.store.read(
                lambda reader: rows.peek(reader, agent.name, most)
            )
        return RecvResult(messages=found)

    @staticmethod
    def _check_receiver(receiver: Receiver) -> None:
        name = receiver.agent.name
        if not receiver.harness and receiver.agent.harness is not None:
            raise HiveError(
                ErrorCode.CONFLICT,
                f"{name} is running and receives its own messages. Here you can send, "
                "ask, and view pending messages with 'peek'. To receive here, ask the "
                f"operator to stop it: hive stop {name}.",
            )

    async def _next(
        self, receiver: Receiver, params: RecvParams
    ) -> tuple[Message, ...]:
        messages = await self._take(receiver, params)
        if not messages and params.wait_seconds > 0:
            self._check_halted(receiver.agent)  # it may have been paused meanwhile
            messages = await self._wait(receiver, params)
        return messages

    def _check_halted(self, agent: Agent) -> None:
        why = self.registry.halted(agent)
        if why is not None:
            raise HiveError(ErrorCode.PAUSED, why)

    async def ack(self, receiver: Receiver, params: AckParams) -> AckResult:
        """Finish messages that ``receiver`` took outside a turn."""
        agent = receiver.agent
        done = await self.store.write(
            lambda tx: leases.finish_taken(
                tx, agent.name, receiver.token, params.messages
            )
        )
        if done:
            self.transitions.messages_done(agent)
        return AckResult(acknowledged=done)

    async def _take(
        self, receiver: Receiver, params: RecvParams
    ) -> tuple[Message, ...]:
        name = receiver.agent.name
        if not receiver.gone:
            self.delivery.receivers.add(receiver.token)
        while True:
            self.delivery.fresh.discard(name)
            turn = receiver.agent.turn
            messages: tuple[Message, ...] = await self.store.write(
                partial(self._take_now, receiver=receiver, turn=turn, params=params),
                then=partial(self._taken, receiver),
            )
            if params.had and turn is None:
                self.transitions.messages_done(receiver.agent)
            if messages:
                return messages
            if name not in self.delivery.fresh:
                return ()

    def _taken(self, receiver: Receiver, messages: tuple[Message, ...]) -> None:
        if messages:
            self.delivery.taken(receiver, max(message.hop for message in messages))

    def _take_now(
        self, tx: Tx, *, receiver: Receiver, turn: int | None, params: RecvParams
    ) -> tuple[Message, ...]:
        name = receiver.agent.name
        if receiver.harness and turn is None:
            # A harness that asks between turns runs none.
            self.transitions.open_turns_lost(tx, receiver.agent)
        if params.had is not None and turn is None:
            if params.had:
                leases.finish_taken(tx, name, receiver.token, params.had)
            leases.release_unseen(tx, name, receiver.token, ())
        give_up(tx, name, self.limits.deliveries_max)
        return rows.take(tx, name, most=params.max, holder=receiver.token, turn=turn)

    async def _wait(
        self, receiver: Receiver, params: RecvParams
    ) -> tuple[Message, ...]:
        agent = receiver.agent
        if receiver.harness and agent.parked and not agent.parked.receiver.harness:
            self.transitions.recv_interrupted(agent)
        if agent.parked is not None:
            raise HiveError(
                ErrorCode.CONFLICT,
                "Another recv of this agent is already waiting; use its result.",
            )
        future: asyncio.Future[tuple[Message, ...]]
        future = asyncio.get_running_loop().create_future()
        parked = Parked(receiver, future)
        self.transitions.recv_parked(agent, parked)
        try:
            async with asyncio.timeout(params.wait_seconds):
                return await future
        except TimeoutError:
            # A message and the timeout may arrive at the same moment.
            return future.result() if _has_result(future) else ()
        finally:
            self.transitions.recv_over(parked)

    # --- turns and leases ---------------------------------------------------------

    async def turn_start(
        self,
        receiver: Receiver,
        model: str,
        *,
        seen: tuple[int, ...] | None = None,
        check: Callable[[Tx], object] = lambda _tx: None,
    ) -> int:
        """Begin a turn with the messages that ``receiver`` took and has ``seen``.

        ``seen`` None means all of them. ``model`` is hived's choice, never a harness's
        claim. ``check`` may refuse, in the same transaction.
        """
        agent = receiver.agent

        def join(tx: Tx, turn: int) -> None:
            leases.release_unseen(tx, agent.name, receiver.token, seen)
            leases.join_turn(tx, agent.name, receiver.token, turn)
            waiting.append(rows.news(tx, agent.name)[0])

        waiting: list[int] = []
        receiver.empty_waits = 0
        turn = await self.transitions.turn_began(agent, model, check=check, also=join)
        if any(waiting):
            self.delivery.tell(agent.name)
        if seen is not None:
            self.delivery.fresh.add(agent.name)
        return turn

    async def steer(self, receiver: Receiver, turn: int) -> SteerResult:
        """Hand out urgent messages to the running turn, between two tool calls.

        Raises:
            HiveError: ``conflict`` if it is not this agent's running turn, or if its
                manifest holds messages for the next turn; ``paused``.
        """
        agent = receiver.agent
        self._check_halted(agent)
        if agent.turn != turn:
            raise HiveError(ErrorCode.CONFLICT, f"Turn {turn} is not running.")
        if not takes_news(agent):
            raise HiveError(
                ErrorCode.CONFLICT,
                f"Messages to {agent.name} stay queued for its next turn "
                "(hyperhive.delivery); call recv to take them within this one.",
            )

        def take(tx: Tx) -> SteerResult:
            name, token = agent.name, receiver.token
            found = rows.take_urgent(
                tx, name, most=STEERED_AT_ONCE, holder=token, turn=turn
            )
            waiting, newest, senders = rows.news(tx, name)
            return SteerResult(
                messages=found,
                waiting=waiting,
                senders=senders[:_SENDERS_MOST],
                newest=newest,
            )

        return await self.store.write(
            take, then=lambda result: self._taken(receiver, result.messages)
        )

    async def turn_end(self, receiver: Receiver, params: TurnEndParams) -> None:
        """End a turn: its messages are finished, or queued again.

        Raises:
            HiveError: ``conflict`` if it is not this agent's running turn.
        """
        agent = receiver.agent
        well = params.outcome in (TurnOutcome.OK, TurnOutcome.COMPACTED)

        def release(tx: Tx) -> None:
            again.append(
                leases.release_unheard(tx, agent.name, params.turn, params.heard)
            )
            if well:
                leases.finish_turn(tx, agent.name, params.turn)
            else:
                blamed = params.outcome in _FAULTS and params.blames_messages
                fault = (params.reason or params.outcome.value) if blamed else None
                leases.release_turn(tx, agent.name, params.turn, fault=fault)

        again: list[int] = []
        await self.transitions.turn_ended(agent, params, also=release)
        if any(again) or not well:
            self.delivery.fresh.add(agent.name)

    def disconnected(self, receiver: Receiver) -> None:
        """The receiver has disconnected: queue its messages again."""
        receiver.gone = True
        self.delivery.receivers.discard(receiver.token)
        parked = receiver.agent.parked
        if parked is not None and parked.receiver is receiver:
            self.transitions.recv_over(parked)
            parked.future.cancel()
        self.delivery.release(receiver)


def _has_result(future: asyncio.Future[tuple[Message, ...]]) -> bool:
    return future.done() and not future.cancelled()
