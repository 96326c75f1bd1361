"""The hive's notifications: to the manager's inbox, the audit log and live events.

Lifecycle, operations and approvals publish one notification per event in an agent's
life. One with a key is published once: keys are stored with the events of the last
days, so they survive restarts of hived. A crash loop does not fill the inbox: recurring
notifications to the manager are limited to ``_FEW`` per kind and agent in ``_WHILE_S``,
or one if they are about the manager; the next one says how many were suppressed. The
event stream has all of them, and so has the audit log, except for suppressed
notifications that only repeat a harness's claim.
"""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pyglue.api.common import AgentState
from pyglue.api.event_values import NotificationKind
from pyglue.api.events import (
    AgentStateChanged,
    Event,
    NotificationPublished,
    ServerDown,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.audit import Audit
from pyglue.host.messages.broker import Broker
from pyglue.names import MANAGER, SYSTEM
from pyglue.store import events as rows
from pyglue.store.database import Store
from pyglue.text.display import in_quotes, visible

_WHILE_S: Final = 600.0
_FEW: Final = 10
_KEYS_MAX: Final = 10_000


_BY_THEMSELVES: Final = frozenset(
    {
        NotificationKind.STARTED,
        NotificationKind.STOPPED,
        NotificationKind.CRASHED,
        NotificationKind.NEEDS_LOGIN,
        NotificationKind.DISK_FULL,
        NotificationKind.SERVER_DOWN,
        NotificationKind.STEP_LATE,
    }
)


_CLAIMED: Final = frozenset(
    {
        NotificationKind.NEEDS_LOGIN,
        NotificationKind.DISK_FULL,
        NotificationKind.SERVER_DOWN,
        NotificationKind.STEP_LATE,
    }
)
"""Claims of the agent's harness alone; they must not fill the audit log either."""


@dataclass(frozen=True, kw_only=True)
class Notifications:
    """Publishes notifications."""

    store: Store
    broker: Broker
    audit: Audit
    _keys: dict[str, None] = field(default_factory=dict, init=False)
    _given: dict[tuple[str, NotificationKind], deque[float]] = field(
        default_factory=lambda: defaultdict(deque), init=False
    )
    _suppressed: dict[tuple[str, NotificationKind], int] = field(
        default_factory=lambda: defaultdict(int), init=False
    )
    _notified: dict[tuple[str, NotificationKind], bool] = field(
        default_factory=dict, init=False
    )
    _tasks: set[asyncio.Task[bool]] = field(default_factory=set, init=False)

    async def load(self) -> None:
        """Load the keys that were published before this hived started."""
        for key in await self.store.read(rows.keys_of_notifications):
            self._keys[key] = None

    async def give(
        self,
        kind: NotificationKind,
        agent: str,
        text: str,
        *,
        by: str = SYSTEM,
        key: str | None = None,
        data: Mapping[str, Any] | None = None,
        to_manager: bool = True,
        audit: bool = True,
    ) -> bool:
        """Publish that ``kind`` happened to ``agent``; False if ``key`` is known.

        ``text`` is the message; its hostile parts are already made visible. ``data`` is
        for the audit log; ``audit`` False if that has its own line for this already.
        ``to_manager`` False skips the manager, who caused it or is notified elsewhere.
        """
        if key is not None:
            if key in self._keys:
                return False
            self._remember(key)
        notified = to_manager and self._may_notify(kind, agent)
        if audit and (notified or kind not in _CLAIMED):
            self.audit.record(by, kind.value, agent, {**(data or {}), **_key(key)})
        published = NotificationPublished(what=kind, text=text, key=key)
        self.store.emit(agent, published)
        self._notified[agent, kind] = notified
        if notified:
            await self.to_manager(agent, text + self._missing(kind, agent))
        return True

    async def add(self, kind: NotificationKind, agent: str, text: str) -> None:
        """Send the manager more on the last notification of a kind, if it got that."""
        if self._notified.get((agent, kind)):
            await self.to_manager(agent, text)

    async def to_manager(self, agent: str, text: str) -> None:
        """Send the manager a plain message, such as why an operation failed.

        A full inbox is recorded in the audit log; it is not an error for the caller.
        """
        try:
            await self.broker.notify(MANAGER, text)
        except HiveError as error:
            if error.code is not ErrorCode.TOO_MANY:
                raise
            self.audit.record(SYSTEM, "not_told", agent, {"reason": error.message})

    def on_event(self, event: Event) -> None:
        """Handle a committed event: a login needed, a full disk, an MCP server down."""
        match event.read():
            case ServerDown() as down:
                self._server_down(event, down)
            case AgentStateChanged() as changed:
                self._state_changed(event.agent or "", changed)

    def _server_down(self, event: Event, down: ServerDown) -> None:
        agent = event.agent or ""
        name = visible(down.name, limit=100)
        text = (
            f"{agent} reports that its MCP server {in_quotes(name)} did not start for "
            "a turn, which continued without its tools: "
            f"{in_quotes(down.status, limit=100)}"
        )
        key = f"server:{agent}:{name}:{int(event.at // 86400)}"
        self._soon(NotificationKind.SERVER_DOWN, agent, text, key)

    def _state_changed(self, agent: str, changed: AgentStateChanged) -> None:
        if changed.state == AgentState.NEEDS_LOGIN:
            text = (
                f"{agent} reports that it cannot reach the model: the operator has to "
                "log it in."
            )
            key = f"login:{agent}:{changed.since_at}"
            self._soon(NotificationKind.NEEDS_LOGIN, agent, text, key)
        elif changed.state == AgentState.DISK_FULL:
            text = f"{agent} reports that it has no disk space left to work: "
            text += str(changed.detail)  # quoted where it was reported
            key = f"disk:{agent}:{changed.since_at}"
            self._soon(NotificationKind.DISK_FULL, agent, text, key)

    def _soon(self, kind: NotificationKind, agent: str, text: str, key: str) -> None:
        task = asyncio.create_task(self.give(kind, agent, text, key=key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _may_notify(self, kind: NotificationKind, agent: str) -> bool:
        if kind not in _BY_THEMSELVES:
            return True
        now = time.monotonic()
        given = self._given[agent, kind]
        while given and given[0] < now - _WHILE_S:
            given.popleft()
        if len(given) >= (1 if agent == MANAGER else _FEW):
            self._suppressed[agent, kind] += 1
            return False
        given.append(now)
        return True

    def _missing(self, kind: NotificationKind, agent: str) -> str:
        count = self._suppressed.pop((agent, kind), 0)
        if count == 0:
            return ""
        return (
            f"\n({count} more notifications of this kind about {agent} were "
            "suppressed.)"
        )

    def _remember(self, key: str) -> None:
        self._keys[key] = None
        if len(self._keys) > _KEYS_MAX:
            del self._keys[next(iter(self._keys))]


def _key(key: str | None) -> dict[str, str]:
    return {} if key is None else {"key": key}
