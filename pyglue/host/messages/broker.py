"""Sending messages: from agents, subject to the send policy; from operator and hive.

``send_policy`` checks an agent's message once (recipient, rate, turns since a human),
then ``delivery`` stores it, and ``mailbox`` hands it out. Every rule is enforced on the
host.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from pyglue.api.messages import Message, MessageKind, SendParams, SendResult
from pyglue.config import MessageLimits, Quotas
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.agent import Agent
from pyglue.host.core.registry import Registry
from pyglue.host.core.transitions import Transitions
from pyglue.host.messages.delivery import Delivery
from pyglue.host.messages.mailbox import Mailbox
from pyglue.host.messages.send_policy import SendPolicy, checked_body
from pyglue.names import EVERYONE, OPERATOR, SYSTEM
from pyglue.store.database import Store, Tx
from pyglue.store.failures import StoreError
from pyglue.store.messages import NewMessage


@dataclass(kw_only=True)
class Broker:
    """Sends messages; ``mailbox`` receives them."""

    registry: Registry
    send_policy: SendPolicy
    delivery: Delivery
    mailbox: Mailbox

    @classmethod
    def of(
        cls,
        *,
        store: Store,
        registry: Registry,
        transitions: Transitions,
        limits: MessageLimits,
        quotas: Quotas | None = None,
    ) -> "Broker":
        """Return a broker with its parts."""
        delivery = Delivery(
            store=store,
            registry=registry,
            transitions=transitions,
            limits=limits,
            quotas=quotas or Quotas(),
        )
        return cls(
            registry=registry,
            send_policy=SendPolicy(registry=registry, limits=limits, delivery=delivery),
            delivery=delivery,
            mailbox=Mailbox(
                store=store,
                registry=registry,
                transitions=transitions,
                delivery=delivery,
                limits=limits,
            ),
        )

    async def send(self, sender: Agent, params: SendParams) -> SendResult:
        """Send an agent's message.

        Raises:
            HiveError: ``not_found`` (the recipient, or the message it replies to),
                ``recipient_not_allowed``, ``rate_limited``, ``too_large``,
                ``too_many`` (the inbox is full), ``bad_request``.
        """
        hop = await self.send_policy.check(sender, params.to)
        new = NewMessage(
            sender=sender.name,
            recipient=params.to,
            body=checked_body(params.body),
            priority=params.priority,
            reply_to=params.reply_to,
            hop=hop,
        )
        if params.to == EVERYONE:
            number, missed = await self.broadcast(new)
            return SendResult(id=number, hop=hop, missed=missed)
        return SendResult(id=(await self._put(new)).id, hop=hop)

    async def broadcast(self, new: NewMessage) -> tuple[int, tuple[str, ...]]:
        """Send to every agent but the sender; return the last id and who missed it.

        Agents with a full inbox miss it.

        Raises:
            HiveError: ``not_found`` if there are no other agents; ``too_many`` if every
                inbox is full.
        """
        checked_body(new.body)
        number, missed = 0, []
        for agent in self.registry.all():
            if agent.name == new.sender:
                continue
            try:
                number = (await self._put(replace(new, recipient=agent.name))).id
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
        """Send what ``make`` returns, in the same transaction as its own writes.

        Raises:
            HiveError: as ``post``; then nothing is written.
        """
        if recipient != OPERATOR:
            self.registry.recipient(recipient)

        def checked(tx: Tx) -> NewMessage:
            new = make(tx)
            checked_body(new.body)
            return new

        return await self.delivery.put(recipient, checked)

    async def notify(self, recipient: str, text: str) -> None:
        """Notify an agent of something that the hive did, if the agent exists."""
        if recipient == OPERATOR or self.registry.find(recipient) is not None:
            new = NewMessage(
                sender=SYSTEM, recipient=recipient, body=text, kind=MessageKind.EVENT
            )
            await self.inform(new)

    async def inform(self, new: NewMessage) -> None:
        """Send for the hive itself; if the store fails, send once it recovers."""
        try:
            await self._put(new)
        except StoreError:
            self.delivery.put_later(new)

    async def notify_agent(self, recipient: str, text: str) -> None:
        """Notify ``recipient`` if it is an agent; ignore errors, as of a full inbox."""
        if recipient == OPERATOR:
            return
        with contextlib.suppress(HiveError):
            await self.notify(recipient, text)

    async def _put(self, new: NewMessage) -> Message:
        return await self.delivery.put(new.recipient, lambda _: new)
