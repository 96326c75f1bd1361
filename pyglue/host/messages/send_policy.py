"""The send policy: who may send to whom, how fast, and how many turns from a human.

``broker`` checks it before accepting an agent's message. Counts are kept in memory:
a restart of hived resets them.
"""

import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Final

from pyglue.api.common import Role
from pyglue.api.messages import BODY_LIMIT, MessageKind, body_too_large
from pyglue.config import MessageLimits
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.agent import Agent
from pyglue.host.core.registry import Registry
from pyglue.host.messages.delivery import Delivery
from pyglue.names import EVERYONE, MANAGER, OPERATOR, SYSTEM
from pyglue.store.messages import NewMessage

_WINDOW_S: Final = 60.0
_LOOP_TOLD_S: Final = 600.0


@dataclass(kw_only=True)
class SendPolicy:
    """Enforces the rules, and counts messages."""

    registry: Registry
    limits: MessageLimits
    delivery: Delivery
    _loops: dict[str, float] = field(default_factory=dict, init=False)
    _sent: dict[tuple[str, str], deque[float]] = field(
        default_factory=lambda: defaultdict(deque), init=False
    )

    async def check(self, sender: Agent, to: str) -> int:
        """Check and count an agent's message to ``to``; return its hop count.

        Raises:
            HiveError: ``bad_request``, ``not_found``, ``recipient_not_allowed``,
                ``rate_limited``.
        """
        self._check_recipient(sender, to)
        return await self.admit(sender, to)

    async def admit(self, sender: Agent, recipient: str) -> int:
        """Count a message to an allowed recipient, and return its hop count.

        Raises:
            HiveError: ``rate_limited``: too many messages per minute, or the
                conversation went through too many turns without a human.
        """
        self.count(sender.name, recipient)
        if sender.hop >= self.limits.hops_max:
            await self._tell_of_loop(sender, recipient)
            raise HiveError(
                ErrorCode.RATE_LIMITED,
                f"This conversation has gone through {sender.hop} turns without a "
                "human. Stop here, or ask the operator.",
            )
        return sender.hop + 1

    def _check_recipient(self, sender: Agent, to: str) -> None:
        if to == EVERYONE:
            _check_broadcaster(sender)
            return
        if to == sender.name:
            raise HiveError(
                ErrorCode.BAD_REQUEST,
                "You cannot send messages to yourself. Write to your notes instead.",
            )
        allowed = sender.policy().typed.allowed_recipients
        always = sender.role is Role.MANAGER or to == MANAGER
        if to != OPERATOR:
            self.registry.recipient(to)
        if not always and allowed is not None and to not in allowed:
            names = ", ".join(sorted({*allowed, MANAGER}))
            raise HiveError(
                ErrorCode.RECIPIENT_NOT_ALLOWED,
                f"You may not send to {to}. You may send to: {names}. Ask the manager "
                "to propose a change if you need more.",
            )

    def count(self, sender: str, recipient: str) -> None:
        """Count a message of an agent.

        Raises:
            HiveError: ``rate_limited``: too many messages per minute.
        """
        now = time.monotonic()
        for key, limit in (
            ((sender, ""), self.limits.per_agent_per_minute),
            ((sender, recipient), self.limits.per_pair_per_minute),
        ):
            window = self._sent[key]
            while window and window[0] < now - _WINDOW_S:
                window.popleft()
            if len(window) >= limit:
                wait = int((window[0] if window else now) + _WINDOW_S - now) + 1
                raise HiveError(
                    ErrorCode.RATE_LIMITED,
                    f"You have sent {limit} messages within a minute. Wait {wait} s, "
                    "and put more into one message.",
                    details={"retry_after_s": wait},
                )
        for key in ((sender, ""), (sender, recipient)):
            self._sent[key].append(now)

    async def _tell_of_loop(self, sender: Agent, recipient: str) -> None:
        """Notify the operator of a loop, at limited intervals."""
        now = time.monotonic()
        if now - self._loops.get(sender.name, -_LOOP_TOLD_S) < _LOOP_TOLD_S:
            return
        self._loops[sender.name] = now
        text = (
            f"A message from {sender.name} to {recipient} was refused: the "
            f"conversation has gone through {sender.hop} turns of agents without a "
            "human, so it may be a loop. Review the messages; if the conversation "
            "should continue, send a message to one of the agents."
        )
        new = NewMessage(
            sender=SYSTEM, recipient=OPERATOR, body=text, kind=MessageKind.EVENT
        )
        await self.delivery.put(OPERATOR, lambda _: new)


def _check_broadcaster(sender: Agent) -> None:
    """Refuse a broadcast from anyone but the manager."""
    if sender.role is not Role.MANAGER:
        raise HiveError(
            ErrorCode.RECIPIENT_NOT_ALLOWED,
            "Only the manager may send to everyone. Name one agent, or ask the "
            "manager to pass it on.",
        )


def checked_body(body: str) -> str:
    """Return ``body`` if it is within the size limit.

    Raises:
        HiveError: ``too_large``.
    """
    size = len(body.encode("utf-8", "surrogatepass"))
    if size > BODY_LIMIT:
        raise body_too_large(size)
    return body
