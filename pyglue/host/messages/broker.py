"""Messages between agents, the manager and the operator: durable, leased, bounded.

Every rule is enforced on the host: ``send_policy`` says who may send to whom, how fast,
how many hops from a human. A send to a parked receiver stores message and lease in one
transaction; what is handed out belongs to the connection, then to its turn, and
comes back with ``redelivered`` when either ends badly.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from pyglue.api.messages import (
    Message,
    MessageKind,
    RecvParams,
    RecvResult,
    SendParams,
    SendResult,
)
from pyglue.api.turns import TurnEndParams, TurnOutcome
from pyglue.config import MessageLimits, Quotas
from pyglue.display import cited
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.agent import Agent, Holder, Parked
from pyglue.host.core.registry import Registry
from pyglue.host.core.transitions import Transitions
from pyglue.host.messages.send_policy import SendPolicy, checked_body
from pyglue.limits import MIB
from pyglue.names import EVERYONE, OPERATOR, SYSTEM
from pyglue.store import messages as rows
from pyglue.store import quotas
from pyglue.store.database import Store, Tx
from pyglue.store.messages import NewMessage
from pyglue.store.quotas import Quota

_LONG_WAIT_S: Final = 60.0
_EMPTY_WAITS: Final = 2
_FAULTS: Final = (TurnOutcome.FAILED, TurnOutcome.MAX_TURNS)
"""Outcomes that count against the mail of a turn; the others are not its fault."""
_ROW_BYTES: Final = 256
"""What a message counts for beside its text."""
_REST_HINT: Final = "No new messages. Finish your turn now; new messages will wake you."


class Broker:
    """Takes, keeps and hands out messages."""

    def __init__(
        self,
        *,
        store: Store,
        registry: Registry,
        transitions: Transitions,
        limits: MessageLimits,
        quotas: Quotas | None = None,
    ) -> None:
        self.quotas = quotas or Quotas()
        """What an agent may make grow."""
        self._store = store
        self._transitions = transitions
        self._registry = registry
        self._limits = limits
        self._send_policy = SendPolicy(registry, limits)
        self._fresh: set[str] = set()

    # --- sending ----------------------------------------------------------------

    async def send(self, sender: Agent, params: SendParams) -> SendResult:
        """Send what an agent wrote.

        Raises:
            HiveError: ``not_found``, ``recipient_not_allowed``, ``rate_limited``,
                ``too_large``, ``too_many`` (the inbox is full), ``bad_request``.
        """
        everyone = params.to == EVERYONE
        recipient = self._send_policy.recipient(sender, params.to)
        hop = await self.admit(sender, recipient)
        new = NewMessage(
            sender=sender.name,
            recipient=recipient,
            body=checked_body(params.body),
            priority=params.priority,
            reply_to=params.reply_to,
            hop=hop,
        )
        if everyone:
            number, missed = await self.broadcast(new)
            return SendResult(id=number, hop=hop, missed=missed)
        message = await self._keep(new)
        return SendResult(id=message.id, hop=hop)

    async def admit(self, sender: Agent, recipient: str) -> int:
        """Count one more message of an agent, and return the hop that it has.

        Raises:
            HiveError: ``rate_limited``, by the minute or because the conversation went
                through too many turns without a human.
        """
        self.count(sender.name, recipient)
        hop = sender.hop + 1
        if hop > self._limits.hops_max:
            await self._tell_of_loop(sender.name, recipient, hop - 1)
            raise HiveError(
                ErrorCode.RATE_LIMITED,
                f"This conversation has gone through {hop - 1} turns without a human. "
                "Stop here, or ask the operator.",
            )
        return hop

    def count(self, sender: str, recipient: str) -> None:
        """Count one more message of an agent.

        Raises:
            HiveError: ``rate_limited``, by the minute.
        """
        self._send_policy.count(sender, recipient)

    async def _tell_of_loop(self, sender: str, recipient: str, turns: int) -> None:
        """Tell the operator of a loop, once in a while."""
        if not self._send_policy.may_tell_of_loop(sender):
            return
        await self.notify(
            OPERATOR,
            f"A message from {sender} to {recipient} was refused: the conversation "
            f"has gone through {turns} turns of agents without a human, so it may be "
            "a loop. Review the messages; if the conversation should continue, send "
            "a message to one of the agents.",
        )

    async def broadcast(self, new: NewMessage) -> tuple[int, tuple[str, ...]]:
        """Send to every agent but the sender; return the last id and who missed it.

        Raises:
            HiveError: ``not_found`` when there is nobody else; ``too_many`` when every
                inbox is full.
        """
        checked_body(new.body)
        number, missed = 0, []
        for agent in self._registry.all():
            if agent.name == new.sender:
                continue
            try:
                number = (await self._keep(replace(new, recipient=agent.name))).id
            except HiveError as error:
                if error.code is not ErrorCode.TOO_MANY:
                    raise
                missed.append(agent.name)
        if number == 0:
            code = ErrorCode.TOO_MANY if missed else ErrorCode.NOT_FOUND
            raise HiveError(
                code, "Every inbox is full." if missed else "There are no other agents."
            )
        return number, tuple(missed)

    async def post(self, new: NewMessage) -> Message:
        """Send for the operator or the hive itself; only the size is checked."""
        return await self.post_with(new.recipient, lambda _: new)

    async def post_with(
        self, recipient: str, make: Callable[[Tx], NewMessage]
    ) -> Message:
        """Send what ``make`` returns, in one transaction with what it writes.

        Raises:
            HiveError: as ``post``; nothing of it is written then.
        """
        if recipient != OPERATOR:
            self._registry.get(recipient)

        def checked(tx: Tx) -> NewMessage:
            new = make(tx)
            checked_body(new.body)
            return new

        return await self._store_message(recipient, checked)

    async def notify(self, recipient: str, text: str) -> None:
        """Tell an agent of something that the hive did, if there is that agent."""
        if recipient == OPERATOR or self._registry.find(recipient) is not None:
            new = NewMessage(
                sender=SYSTEM, recipient=recipient, body=text, kind=MessageKind.EVENT
            )
            await self._keep(new)

    async def _keep(self, new: NewMessage) -> Message:
        return await self._store_message(new.recipient, lambda _: new)

    async def _store_message(
        self, recipient: str, make: Callable[[Tx], NewMessage]
    ) -> Message:
        agent = self._registry.find(recipient)
        parked = None if agent is None else self._transitions.recv_claimed(agent)
        if parked is None:
            self._fresh.add(recipient)
            return await self._store.write(lambda tx: self._insert(tx, make(tx)))
        holder = parked.holder
        turn = holder.agent.turn
        try:
            message = await self._store.write(
                lambda tx: self._insert(tx, make(tx), holder=holder.token, turn=turn)
            )
        except HiveError:  # refused: who waited asks again, and misses nothing
            parked.end()
            raise
        except BaseException:
            parked.future.cancel()
            raise
        self._transitions.messages_taken(holder.agent, message.hop)
        if parked.end((message,)):
            return message
        if holder.gone:
            self._release(holder)
        else:
            self._release_loose(holder)
        return message

    def _insert(
        self,
        tx: Tx,
        new: NewMessage,
        *,
        holder: str | None = None,
        turn: int | None = None,
    ) -> Message:
        size = len(new.body.encode("utf-8", "surrogatepass"))
        if new.recipient != OPERATOR and new.kind is not MessageKind.ANSWER:
            self._check_inbox(tx, new.recipient, size)  # an answer was asked for
        if new.kind is MessageKind.MESSAGE and new.sender not in (OPERATOR, SYSTEM):
            self.charge(tx, new.sender, size)
        return rows.insert(tx, new, holder=holder, turn=turn)

    def _check_inbox(self, tx: Tx, recipient: str, size: int) -> None:
        limit = self.quotas.inbox_mib
        many = rows.waiting(tx, recipient) >= self._limits.inbox_max
        large = limit is not None and rows.inbox_bytes(tx, recipient) + size > (
            limit * MIB
        )
        if many or large:
            most = f"{limit} MiB" if large else f"{self._limits.inbox_max}"
            raise HiveError(
                ErrorCode.TOO_MANY,
                f"The inbox of {recipient} is full ({most}). Try again later, or "
                "notify the operator.",
            )

    def charge(self, tx: Tx, agent: str, size: int) -> None:
        """Count what an agent wants the hive to keep, in its transaction.

        Raises:
            HiveError: ``rate_limited`` when it has used up the day's quota.
        """
        limit = self.quotas.messages_mib_per_day
        quotas.take(tx, agent, Quota.WRITTEN, size + _ROW_BYTES, limit)

    # --- receiving --------------------------------------------------------------

    async def recv(self, holder: Holder, params: RecvParams) -> RecvResult:
        """Hand out waiting messages, or wait for one.

        Raises:
            HiveError: ``conflict`` if a wait of this agent is open already; ``paused``.
        """
        name = holder.agent.name
        self._check_halted(holder.agent)
        if params.peek:
            found = await self._store.read(
                lambda reader: rows.peek(reader, name, params.max)
            )
            return RecvResult(messages=found)
        try:
            messages = await self._next(holder, params)
        except asyncio.CancelledError:
            # What was on its way to a caller that gave up goes back. Taken in a turn
            # it is the turn's, which would be ended by the same hand.
            self._release_loose(holder)
            raise
        if messages:
            holder.empty_waits = 0
            return RecvResult(messages=messages)
        if params.wait_seconds >= _LONG_WAIT_S:
            holder.empty_waits += 1
        resting = holder.empty_waits >= _EMPTY_WAITS and holder.agent.turn is not None
        return RecvResult(messages=(), hint=_REST_HINT if resting else None)

    async def _next(self, holder: Holder, params: RecvParams) -> tuple[Message, ...]:
        messages = await self._take(holder, params)
        if not messages and params.wait_seconds > 0:
            self._check_halted(holder.agent)  # it may be so by now
            messages = await self._wait(holder, params)
        return messages

    def _check_halted(self, agent: Agent) -> None:
        why = self._registry.halted(agent)
        if why is not None:
            raise HiveError(ErrorCode.PAUSED, why)

    async def ack(self, holder: Holder, numbers: tuple[int, ...] | None) -> int:
        """End messages that ``holder`` took outside a turn; None: all of them."""
        agent = holder.agent
        done = await self._store.write(
            lambda tx: rows.finish_taken(tx, agent.name, holder.token, numbers)
        )
        if done:
            self._transitions.messages_done(agent)
        return done

    async def _take(self, holder: Holder, params: RecvParams) -> tuple[Message, ...]:
        name = holder.agent.name
        while True:
            self._fresh.discard(name)
            turn = holder.agent.turn
            messages = await self._store.write(
                partial(self._take_now, holder=holder, turn=turn, params=params)
            )
            if params.had and turn is None:
                self._transitions.messages_done(holder.agent)
            if messages:
                hop = max(message.hop for message in messages)
                self._transitions.messages_taken(holder.agent, hop)
                return messages
            if name not in self._fresh:
                return ()

    def _take_now(
        self, tx: Tx, *, holder: Holder, turn: int | None, params: RecvParams
    ) -> tuple[Message, ...]:
        name = holder.agent.name
        if params.had is not None and turn is None:
            if params.had:
                rows.finish_taken(tx, name, holder.token, params.had)
            rows.release_unseen(tx, name, holder.token, ())
        for dead in rows.bury(tx, name, self._limits.deliveries_max):
            text = (
                f"Message {dead.id} from {dead.sender} to {dead.recipient} was "
                f"dropped after {self._limits.deliveries_max} failed deliveries. "
                f"{dead.sender} wrote:\n\n{cited(dead.body)}"
            )
            letter = NewMessage(
                sender=SYSTEM, recipient=OPERATOR, body=text, kind=MessageKind.EVENT
            )
            rows.insert(tx, letter)
        return rows.take(tx, name, most=params.max, holder=holder.token, turn=turn)

    async def _wait(self, holder: Holder, params: RecvParams) -> tuple[Message, ...]:
        agent = holder.agent
        if holder.harness and agent.parked and not agent.parked.holder.harness:
            self._transitions.recv_interrupted(agent)
        if agent.parked is not None:
            raise HiveError(
                ErrorCode.CONFLICT,
                "Another recv of this agent is already waiting; use its result.",
            )
        future: asyncio.Future[tuple[Message, ...]]
        future = asyncio.get_running_loop().create_future()
        parked = Parked(holder, future)
        self._transitions.recv_parked(agent, parked)
        try:
            async with asyncio.timeout(params.wait_seconds):
                return await future
        except TimeoutError:
            # Mail and the end of the wait may come in the same moment.
            return future.result() if _has_result(future) else ()
        finally:
            self._transitions.recv_over(parked)

    # --- turns and leases ---------------------------------------------------------

    async def turn_start(
        self,
        holder: Holder,
        model: str,
        *,
        seen: tuple[int, ...] | None = None,
        check: Callable[[Tx], object] = lambda _tx: None,
    ) -> int:
        """Begin a turn: what ``holder`` took and has ``seen`` (None: all) joins it.

        ``model`` is hived's choice, never a harness's word. ``check`` may refuse, in
        the same transaction.
        """
        agent = holder.agent

        def join(tx: Tx, turn: int) -> None:
            rows.release_unseen(tx, agent.name, holder.token, seen)
            rows.join_turn(tx, agent.name, holder.token, turn)

        holder.empty_waits = 0
        turn = await self._transitions.turn_began(agent, model, check=check, also=join)
        if seen is not None:
            self._fresh.add(agent.name)
        return turn

    async def turn_end(self, holder: Holder, params: TurnEndParams) -> None:
        """End a turn: its messages are done, or wait again.

        Raises:
            HiveError: ``conflict`` if it is not this agent's running turn.
        """
        agent = holder.agent
        well = params.outcome in (TurnOutcome.OK, TurnOutcome.COMPACTED)

        def release(tx: Tx) -> None:
            if well:
                rows.finish_turn(tx, agent.name, params.turn)
            else:
                failed = params.outcome in _FAULTS and params.blames_mail
                rows.release_turn(tx, agent.name, params.turn, failed=failed)

        await self._transitions.turn_ended(agent, params, also=release)
        if not well:
            self._fresh.add(agent.name)

    def hang_up(self, holder: Holder) -> None:
        """The holder's connection is gone: what it held waits again."""
        holder.gone = True
        parked = holder.agent.parked
        if parked is not None and parked.holder is holder:
            self._transitions.recv_over(parked)
            parked.future.cancel()
        self._release(holder)

    def give_back(self, holder: Holder) -> None:
        """What ``holder`` took waits again: a turn over it was refused."""
        self._release_loose(holder)

    def _release_loose(self, holder: Holder) -> None:
        name, token = holder.agent.name, holder.token
        self._fresh.add(name)
        self._store.post(lambda tx: rows.release_unseen(tx, name, token, ()))

    def _release(self, holder: Holder) -> None:
        name, token = holder.agent.name, holder.token
        self._fresh.add(name)
        self._store.post(lambda tx: rows.release_holder(tx, name, token))


def _has_result(future: asyncio.Future[tuple[Message, ...]]) -> bool:
    return future.done() and not future.cancelled()
