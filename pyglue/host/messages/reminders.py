"""Reminders: messages that an agent schedules to itself.

A single timer is set for the next due reminder. The message is stored before the
reminder is removed, so a crash between the two delivers it twice but never loses it.
A repeated reminder is skipped while its last message is unread: an agent that was
stopped for a week finds one, not a thousand.
"""

import asyncio
import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from pyglue.api.agent import CancelReminderParams, RemindParams, RemindResult
from pyglue.api.messages import MessageKind
from pyglue.clock import wall_clock
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.agent import Agent
from pyglue.host.core.registry import Registry
from pyglue.host.messages.broker import Broker
from pyglue.names import SYSTEM
from pyglue.store import messages
from pyglue.store import reminders as rows
from pyglue.store.database import Store, Tx
from pyglue.store.messages import NewMessage
from pyglue.store.reminders import Reminder

_log = logging.getLogger(__name__)
_AHEAD_S: Final = 366 * 86400.0
_SOON_S: Final = 600.0
"""A reminder due sooner than this keeps the hop count, because it may form a loop."""
_RETRY_S: Final = 60.0
_FULL: Final = (ErrorCode.TOO_MANY, ErrorCode.RATE_LIMITED)
"""A full inbox or a used-up quota, which need no log line."""


@dataclass(frozen=True, kw_only=True)
class Reminders:
    """Sets, cancels and delivers reminders."""

    store: Store
    registry: Registry
    broker: Broker
    _changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def remind(self, agent: Agent, params: RemindParams) -> RemindResult:
        """Set a reminder.

        Raises:
            HiveError: ``bad_request``, ``too_many``, ``rate_limited``.
        """
        now = time.time()
        due_at = _due_at(params, now)
        soon = due_at - now < _SOON_S
        hop = await self.broker.send_policy.admit(agent, agent.name) if soon else 0

        def insert(tx: Tx) -> int:
            most = self.broker.delivery.quotas.reminders
            if most is not None and len(rows.of_agent(tx, agent.name)) >= most:
                raise HiveError(
                    ErrorCode.TOO_MANY,
                    f"You have {most} pending reminders. Cancel one with "
                    "cancel_reminder first; open_threads lists them.",
                )
            self.broker.delivery.charge(tx, agent.name, len(params.text.encode()))
            return rows.insert(
                tx,
                agent=agent.name,
                text=params.text,
                due_at=due_at,
                repeat_s=params.repeat_seconds,
                hop=hop,
            )

        number = await self.store.write(insert)
        self._changed.set()
        return RemindResult(reminder=number, due_at=due_at)

    async def cancel(self, agent: Agent, params: CancelReminderParams) -> None:
        """Cancel one of this agent's reminders.

        Raises:
            HiveError: ``not_found``.
        """
        await self.store.write(lambda tx: rows.cancel(tx, agent.name, params.reminder))

    async def watch(self) -> None:
        """Deliver due reminders; runs as long as hived does."""
        while True:
            self._changed.clear()
            now = time.time()
            for reminder in await self.store.write(rows.due):
                await self._deliver(reminder)
            next_at = await self.store.write(rows.next_due)
            await wall_clock.reach(next_at, self._changed, seen=now)

    async def _deliver(self, reminder: Reminder) -> None:
        if self.registry.find(reminder.agent) is None:  # destroyed meanwhile
            await self.store.write(lambda tx: rows.remove(tx, reminder.id))
            return
        message: int | None = None
        try:
            if not await self._still_waits(reminder):
                if reminder.repeat_s is not None:
                    await self._charge(reminder)
                message = (await self.broker.post(_message(reminder))).id
        except HiveError as error:
            if error.code not in (
                ErrorCode.TOO_MANY,
                ErrorCode.RATE_LIMITED,
            ):  # destroyed since, a full disk
                _log.warning("reminder %d is postponed: %s", reminder.id, error)
            retry = time.time() + _RETRY_S
            await self.store.write(lambda tx: rows.again(tx, reminder.id, retry, None))
            return
        if reminder.repeat_s is None:
            await self.store.write(lambda tx: rows.remove(tx, reminder.id))
            return
        late = max(0.0, time.time() - reminder.due_at)
        steps = int(late // reminder.repeat_s) + 1
        due_at = reminder.due_at + steps * reminder.repeat_s
        await self.store.write(lambda tx: rows.again(tx, reminder.id, due_at, message))

    async def _charge(self, reminder: Reminder) -> None:
        """Charge a repeated reminder to the quota, which postpones it if used up."""
        size = len(reminder.text.encode())
        await self.store.write(
            lambda tx: self.broker.delivery.charge(tx, reminder.agent, size)
        )

    async def _still_waits(self, reminder: Reminder) -> bool:
        number = reminder.message
        if number is None:
            return False
        return await self.store.read(lambda reader: messages.waits(reader, number))


def _due_at(params: RemindParams, now: float) -> float:
    if (params.at is None) == (params.in_seconds is None):
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            "Give either 'in_seconds' or 'at', and only one of them.",
        )
    if params.in_seconds is not None:
        return now + params.in_seconds
    text = params.at or ""
    try:
        at = datetime.fromisoformat(text)
        due_at = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            f"Invalid time {text[:60]!a}: write it as 2026-01-31T09:00:00Z, or use "
            "'in_seconds'.",
        ) from None
    if due_at <= now:
        here = datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            f"{text[:60]} is in the past: it is now {here}. Give a future time, or "
            "use 'in_seconds'.",
        )
    if due_at > now + _AHEAD_S:
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            "A reminder can be at most a year ahead. Give an earlier time.",
        )
    return due_at


def _message(reminder: Reminder) -> NewMessage:
    tail = (
        "" if reminder.repeat_s is None else (f", repeated every {reminder.repeat_s} s")
    )
    return NewMessage(
        sender=SYSTEM,
        recipient=reminder.agent,
        body=f"Reminder {reminder.id} that you set{tail}:\n{reminder.text}",
        kind=MessageKind.EVENT,
        hop=reminder.hop,
    )
