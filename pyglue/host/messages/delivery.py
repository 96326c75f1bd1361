"""Storing messages: within inbox limits and quotas, leased to parked receivers.

A message for a parked receiver and its lease are stored in one transaction. A released
message is delivered again, marked ``redelivered``.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from pyglue.api.agent import NEWS
from pyglue.api.common import NoParams
from pyglue.api.messages import Message, MessageKind
from pyglue.config import MessageLimits, Quotas
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.agent import Agent, Parked, Receiver
from pyglue.host.core.registry import Registry
from pyglue.host.core.transitions import Transitions
from pyglue.limits import MIB
from pyglue.names import OPERATOR, SYSTEM
from pyglue.store import leases, quotas
from pyglue.store import messages as rows
from pyglue.store.database import Store, Tx
from pyglue.store.messages import NewMessage
from pyglue.store.quotas import Quota

_ROW_BYTES: Final = 256
"""Bytes that a message counts for in addition to its text."""


@dataclass(kw_only=True)
class Delivery:
    """Puts messages into inboxes, and requeues messages that nobody finished."""

    store: Store
    registry: Registry
    transitions: Transitions
    limits: MessageLimits
    quotas: Quotas = field(default_factory=Quotas)
    """Limits on the storage that an agent may use."""
    fresh: set[str] = field(default_factory=set, init=False)
    """Agents that may have received messages since they last checked the inbox."""
    receivers: set[str] = field(default_factory=set, init=False)
    """Tokens of the open connections that may hold leases."""

    def tell(self, name: str) -> None:
        """Notify the harness of a running turn that a message is pending."""
        agent = self.registry.find(name)
        harness = None if agent is None else agent.harness
        if harness is not None and self.reaches(name) is not None:
            harness.notify(NEWS, NoParams())

    def reaches(self, name: str) -> int | None:
        """Return the running turn that would receive a message sent to it now."""
        agent = self.registry.find(name)
        if agent is None or agent.harness is None or not takes_news(agent):
            return None
        return agent.turn

    def wake(self, name: str) -> None:
        """Wake an agent's ``recv``: there may be a message for it."""
        self.fresh.add(name)
        self.tell(name)
        agent = self.registry.find(name)
        if agent is not None:
            self.transitions.recv_interrupted(agent)  # it asks again

    async def put(self, recipient: str, make: Callable[[Tx], NewMessage]) -> Message:
        """Store what ``make`` returns, leased to ``recipient`` if it has a ``recv``.

        Raises:
            HiveError: ``too_many`` (the inbox is full), ``rate_limited`` (the quota),
                ``not_found`` (the message it replies to), and what ``make`` raises;
                then nothing is written.
        """
        agent = self.registry.find(recipient)
        parked = None if agent is None else self.transitions.recv_claimed(agent)
        if parked is None:
            self.fresh.add(recipient)
            return await self.store.write(
                lambda tx: self._insert(tx, make(tx)),
                then=lambda _: self.tell(recipient),
            )
        receiver = parked.receiver
        turn = receiver.agent.turn
        written = self.store.write(
            lambda tx: self._insert(tx, make(tx), receiver=receiver.token, turn=turn),
            then=lambda message: self.taken(receiver, message.hop),
        )
        try:
            await asyncio.shield(written)
        except asyncio.CancelledError:  # the message is being stored all the same
            written.add_done_callback(partial(self._hand, parked))
            raise
        except BaseException:
            self._hand(parked, written)
            raise
        self._hand(parked, written)
        return written.result()

    def put_later(self, new: NewMessage) -> None:
        """Store a message once the store accepts it; a full inbox drops it."""
        self.store.post(
            lambda tx: self._insert(tx, new), then=lambda _: self.wake(new.recipient)
        )

    def _hand(self, parked: Parked, written: "asyncio.Future[Message]") -> None:
        """Deliver the stored message to the pending ``recv``, or requeue it.

        If it was refused, the ``recv`` returns empty and its caller asks again.
        """
        receiver = parked.receiver
        if written.cancelled() or written.exception() is not None:
            parked.end()
        elif not parked.end((written.result(),)) and not receiver.gone:
            self.release_loose(receiver)

    def taken(self, receiver: Receiver, hop: int) -> None:
        """``receiver`` received messages, and the transaction is committed."""
        receiver.took = True
        if receiver.gone:
            self.release(receiver)
        else:
            self.transitions.messages_taken(receiver.agent, hop)

    def _insert(
        self,
        tx: Tx,
        new: NewMessage,
        *,
        receiver: str | None = None,
        turn: int | None = None,
    ) -> Message:
        if new.reply_to is not None:
            rows.check_reply(tx, new.sender, new.reply_to)
        size = len(new.body.encode("utf-8", "surrogatepass"))
        if new.recipient != OPERATOR and new.kind is not MessageKind.ANSWER:
            self._check_inbox(tx, new.recipient, size)  # answers are always accepted
        if new.kind is MessageKind.MESSAGE and new.sender not in (OPERATOR, SYSTEM):
            self.charge(tx, new.sender, size)
        return rows.insert(tx, new, holder=receiver, turn=turn)

    def _check_inbox(self, tx: Tx, recipient: str, size: int) -> None:
        limit = self.quotas.inbox_mib
        many = rows.waiting(tx, recipient) >= self.limits.inbox_max
        large = limit is not None and rows.inbox_bytes(tx, recipient) + size > (
            limit * MIB
        )
        if many or large:
            most = f"{limit} MiB" if large else f"{self.limits.inbox_max}"
            raise HiveError(
                ErrorCode.TOO_MANY,
                f"The inbox of {recipient} is full ({most}). Try again later, or "
                "notify the operator.",
            )

    def charge(self, tx: Tx, agent: str, size: int) -> None:
        """Charge ``size`` stored bytes to an agent's quota, in its transaction.

        Raises:
            HiveError: ``rate_limited`` if it has used up the day's quota.
        """
        limit = self.quotas.messages_mib_per_day
        quotas.take(tx, agent, Quota.WRITTEN, size + _ROW_BYTES, limit)

    # --- taking back --------------------------------------------------------------

    def release_loose(self, receiver: Receiver) -> None:
        """Requeue the messages that ``receiver`` took outside a turn."""
        name, token = receiver.agent.name, receiver.token
        self.fresh.add(name)
        self.store.post(lambda tx: leases.release_unseen(tx, name, token, ()))

    def release(self, receiver: Receiver) -> None:
        """Requeue everything that ``receiver`` took, because it disconnected.

        The messages of its turn are blamed, unless the agent was being stopped.
        """
        if not receiver.took:
            return
        agent, token, begun = receiver.agent, receiver.token, receiver.harness
        name = agent.name
        fault = leases.GONE if agent.wanted and not agent.cut_off else None
        self.fresh.add(name)
        self.store.post(
            lambda tx: leases.release_holder(tx, name, token, begun=begun, fault=fault)
        )


def takes_news(agent: Agent) -> bool:
    """Return whether messages may reach a running turn of this agent."""
    record = agent.applied or agent.record
    return record is not None and record.typed.delivery == "boundary"
