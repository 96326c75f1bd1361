"""Who may write to whom, how fast, and how many turns away from a human.

``broker`` asks before it takes a message of an agent. What is counted is of this run
only: a restart of hived begins anew.
"""

import time
from collections import defaultdict, deque
from typing import Final

from pyglue.api.common import Role
from pyglue.api.messages import BODY_LIMIT
from pyglue.config import MessageLimits
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.agent import Agent
from pyglue.host.core.registry import Registry
from pyglue.names import EVERYONE, MANAGER, OPERATOR

_WINDOW_S: Final = 60.0
_LOOP_TOLD_S: Final = 600.0


class SendPolicy:
    """Knows the rules, and counts."""

    def __init__(self, registry: Registry, limits: MessageLimits) -> None:
        self._registry = registry
        self._limits = limits
        self._loops: dict[str, float] = {}
        self._sent: dict[tuple[str, str], deque[float]] = defaultdict(deque)

    def recipient(self, sender: Agent, to: str) -> str:
        """Return whom a message is for, as rates count it.

        Raises:
            HiveError: ``bad_request``, ``not_found``, ``recipient_not_allowed``.
        """
        if to == EVERYONE:
            return _broadcaster(sender)
        if to == sender.name:
            raise HiveError(
                ErrorCode.BAD_REQUEST,
                "You cannot send messages to yourself. Write to your notes instead.",
            )
        allowed = sender.policy().typed.allowed_recipients
        always = sender.role is Role.MANAGER or to == MANAGER
        if to != OPERATOR:
            self._registry.get(to)
        if not always and allowed is not None and to not in allowed:
            names = ", ".join(sorted({*allowed, MANAGER}))
            raise HiveError(
                ErrorCode.RECIPIENT_NOT_ALLOWED,
                f"You may not send to {to}. You may send to: {names}. Ask the manager "
                "to propose a change if you need more.",
            )
        return to

    def count(self, sender: str, recipient: str) -> None:
        """Count one more message of an agent.

        Raises:
            HiveError: ``rate_limited``, by the minute.
        """
        now = time.monotonic()
        for key, limit in (
            ((sender, ""), self._limits.per_agent_per_minute),
            ((sender, recipient), self._limits.per_pair_per_minute),
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

    def may_tell_of_loop(self, sender: str) -> bool:
        """Tell if it is time to speak of the sender's loop, and that it was done."""
        now = time.monotonic()
        if now - self._loops.get(sender, -_LOOP_TOLD_S) < _LOOP_TOLD_S:
            return False
        self._loops[sender] = now
        return True


def _broadcaster(sender: Agent) -> str:
    """Return what a broadcast counts as, for rates; only the manager's are sent."""
    if sender.role is not Role.MANAGER:
        raise HiveError(
            ErrorCode.RECIPIENT_NOT_ALLOWED,
            "Only the manager may send to everyone. Name one agent, or ask the "
            "manager to pass it on.",
        )
    return EVERYONE


def checked_body(body: str) -> str:
    """Return a body that is not too large to carry.

    Raises:
        HiveError: ``too_large``.
    """
    size = len(body.encode("utf-8", "surrogatepass"))
    if size > BODY_LIMIT:
        raise HiveError(
            ErrorCode.TOO_LARGE,
            f"The message has {size} bytes; the limit is {BODY_LIMIT}. Put long texts "
            "into a file and send its path.",
        )
    return body
