"""Metrics of every turn, from hived's own observations.

A harness's claims are only displayed: durations come from hived's clock, tokens and
cost from the relay, messages from the store. What only a harness can know (which tools
it used) is counted from its live events, under checked names and with limits. The end
of a turn writes one row per metric, for the window since the previous row.
"""

import math
import re
import stat
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from pyglue.api.common import data_as
from pyglue.api.events import Event, MessageSent, TurnEnded, TurnEvent
from pyglue.api.metrics import HEADLINES, HIVE, MetricSeriesParams, MetricSeriesResult
from pyglue.api.turn_events import ToolName, TurnEventKind
from pyglue.api.turns import TurnOutcome
from pyglue.errors import ErrorCode, HiveError
from pyglue.files.nofollow import opened
from pyglue.host.core.events import EventBus
from pyglue.host.core.registry import Registry
from pyglue.models.catalogue import KNOWN, Catalogue
from pyglue.names import MANAGER, OPERATOR, SYSTEM
from pyglue.paths import Layout
from pyglue.store import agents, metrics
from pyglue.store.database import Store, Tx
from pyglue.store.metrics import Window

_RECENT: Final = 100
"""Number of latest turns that the percentiles are computed from."""
_RATE_S: Final = 600.0
"""The window, in seconds, in which turns are counted for ``turns_per_min``."""
_TOOLS_MAX: Final = 64
"""Maximum number of tools with their own metric; the rest share ``other``."""
_TOOL: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_VALUE_MAX: Final = 1e12
_POINTS_MAX: Final = 2000
_LADDER: Final = (60, 300, 900, 3600, 21600, 86400, 7 * 86400)
_DAY_S: Final = 86400.0


@dataclass(kw_only=True)
class _Since:
    """Counts of an agent since its last row."""

    sent: Counter[str] = field(default_factory=Counter)
    received: Counter[str] = field(default_factory=Counter)
    tools: Counter[str] = field(default_factory=Counter)
    inbox: int | None = None
    """The inbox depth at the last row; None before the first."""


@dataclass(frozen=True)
class _Place:
    """Where an agent's files are, and the known models."""

    layout: Layout
    models: Catalogue


@dataclass(frozen=True, kw_only=True)
class TurnMetrics:
    """Listens to events, writes metrics, reads series."""

    store: Store
    registry: Registry
    bus: EventBus
    layout: Layout
    models: Catalogue = KNOWN
    _since: dict[str, _Since] = field(default_factory=dict, init=False)
    _tools: dict[str, set[str]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.bus.listen(self._on_event)

    # --- writing --------------------------------------------------------------------

    def _on_event(self, event: Event) -> None:
        match event.read():
            case MessageSent(sender=sender, recipient=recipient):
                self._of(sender).sent[_class(recipient)] += 1
                self._of(recipient).received[_class(sender)] += 1
            case TurnEvent(kind=TurnEventKind.TOOL_USE, data=data) if event.agent:
                tool = self._tool(event.agent, data_as(ToolName, data))
                self._of(event.agent).tools[tool] += 1
            case TurnEnded(turn=turn) if event.agent and (
                agent := self.registry.find(event.agent)
            ):
                name = event.agent
                seen = self._since.pop(name, _Since())
                self._since[name] = after = _Since()
                place = _Place(self.layout, self.models)
                record = agent.applied or agent.record
                # Only an agent with a network can have its own login, and so use
                # tokens that the relay does not count; others' claims are ignored.
                claims = record is not None and record.typed.network
                self.store.post(
                    lambda tx: _write(tx, name, turn, seen, after, place, claims=claims)
                )

    def _of(self, name: str) -> _Since:
        if self.registry.find(name) is None:
            return _Since()
        return self._since.setdefault(name, _Since())

    def _tool(self, agent: str, tool: ToolName | None) -> str:
        if tool is None or not _TOOL.fullmatch(tool.name):
            return "other"
        name = tool.name
        known = self._tools.setdefault(agent, set())
        if name not in known and len(known) >= _TOOLS_MAX:
            return "other"
        known.add(name)
        return name

    # --- reading --------------------------------------------------------------------

    async def read(self, params: MetricSeriesParams) -> MetricSeriesResult:
        """Return the requested series.

        Raises:
            HiveError: ``bad_request`` for an empty window or too many points,
                ``not_found`` for an unknown agent.
        """
        until = time.time() if params.until is None else params.until
        since = until - _DAY_S if params.since is None else params.since
        if not (math.isfinite(since) and math.isfinite(until) and 0 <= since < until):
            raise HiveError(
                ErrorCode.BAD_REQUEST,
                "Invalid window: since and until are seconds since 1970, and since "
                "must be before until.",
            )
        if params.agent is not None and params.agent != HIVE:
            self.registry.get(params.agent)
        if since == 0:  # everything there is
            since = await self.store.read(
                lambda reader: metrics.oldest(reader, params.agent)
            )
            since = since if 0 < since < until else max(0.0, until - _DAY_S)
        step = params.step or _step(until - since, 400 if params.agent else 60)
        if (until - since) / step > _POINTS_MAX:
            raise HiveError(
                ErrorCode.BAD_REQUEST,
                f"The window has more than {_POINTS_MAX} steps; use a longer step or "
                "a shorter window.",
            )
        keys = params.keys or (() if params.agent else HEADLINES)
        window = Window(
            since=since, until=until, step=step, agent=params.agent, keys=keys
        )
        found = await self.store.read(lambda reader: metrics.series(reader, window))
        return MetricSeriesResult(since=since, until=until, step=step, series=found)


def _step(length: float, points: int) -> int:
    """Return the shortest step that yields at most ``points`` points."""
    found = next((step for step in _LADDER if length / step <= points), None)
    if found is not None:
        return found
    longest = _LADDER[-1]
    return math.ceil(length / longest / points) * longest


def _class(name: str) -> str:
    return name if name in (OPERATOR, MANAGER, SYSTEM) else "peer"


def _write(
    tx: Tx,
    name: str,
    turn: int,
    seen: _Since,
    after: _Since,
    place: _Place,
    *,
    claims: bool,
) -> None:
    values = _turn(tx, name, turn, place.models, claims=claims)
    waiting = _one(
        tx,
        "SELECT (SELECT count(*) FROM message WHERE recipient = ?1 AND "
        "state = 'waiting') + (SELECT count(*) FROM message INDEXED BY "
        "message_held WHERE recipient = ?1 AND state = 'held')",
        name,
    )
    after.inbox = int(waiting)
    arrived = seen.received.total()
    values["inbox"] = waiting
    values["inbox_max"] = max(waiting, (seen.inbox or 0) + arrived)
    for kind, counted in (
        ("sent", seen.sent),
        ("received", seen.received),
        ("tool", seen.tools),
    ):
        values |= {f"{kind}:{key}": float(n) for key, n in counted.items()}
    values["tool_calls"] = seen.tools.total()
    values["notes_bytes"] = _notes_size(place.layout, name)
    fill = values.get("context_fill")
    if fill is not None:
        agents.set_context_fill(tx, name, fill)
    metrics.record(tx, name, {key: _sane(value) for key, value in values.items()})
    pending = _one(tx, "SELECT count(*) FROM approval WHERE state = 'pending'")
    metrics.record(tx, HIVE, {"approvals_pending": pending})


def _turn(
    tx: Tx, name: str, turn: int, models: Catalogue, *, claims: bool
) -> dict[str, float]:
    """Return the metrics of the turn itself."""
    recent = tx.execute(
        "SELECT id, started_at, ended_at, outcome, model, input_tokens, "
        "output_tokens, cost_usd, reason FROM turn "
        "WHERE agent = ? AND ended_at IS NOT NULL ORDER BY id DESC LIMIT ?",
        name,
        _RECENT,
    ).fetchall()
    here = next((row for row in recent if row[0] == turn), None)
    if here is None:
        return {}
    _, started, ended, outcome, model, tokens_in, tokens_out, cost, reason = here
    values = {
        "turns": 1.0,
        "turns_per_min": sum(row[2] > ended - _RATE_S for row in recent)
        / (_RATE_S / 60),
        f"exit:{TurnOutcome(outcome).value}": 1.0,
    }
    if reason != agents.LOST:  # the real end of a lost turn is unknown
        whole = (row for row in recent if row[8] != agents.LOST)
        lengths = sorted(max(0.0, row[2] - row[1]) * 1000 for row in whole)
        values["duration_ms"] = max(0.0, ended - started) * 1000
        values["duration_p50_ms"] = _rank(lengths, 0.5)
        values["duration_p95_ms"] = _rank(lengths, 0.95)
    before = next((row[2] for row in recent if row[0] < turn), None)
    if before is not None:
        values["since_last_turn_s"] = max(0.0, started - before)
    used = _used(tx, name, turn, model, models)
    if not used and claims:  # the harness's claim is the only source
        used = {"tokens_in": tokens_in, "tokens_out": tokens_out, "cost_usd": cost}
    return values | used


def _used(
    tx: Tx, name: str, turn: int, model: str, models: Catalogue
) -> dict[str, float]:
    """Return the relay's counts for a turn; empty if it saw no request."""
    rows = tx.execute(
        "SELECT model, input_tokens, output_tokens, cache_read_tokens, "
        "cache_write_tokens, cost_usd FROM usage WHERE turn = ? AND agent = ? "
        "AND settled = 1 ORDER BY id",
        turn,
        name,
    ).fetchall()
    if not rows:
        return {}
    names = ("tokens_in", "tokens_out", "tokens_cache_read", "tokens_cache_write")
    used = {
        key: float(sum(row[place] for row in rows))
        for place, key in enumerate(names, start=1)
    }
    used["cost_usd"] = sum(row[5] for row in rows)
    asked = models.resolve(model)
    for full, read, _, cached, written, _ in reversed(rows):
        info = models.resolve(full)
        if info is not None and read + cached + written and info is (asked or info):
            fill = (read + cached + written) / info.context
            return {**used, "context_fill": min(1.0, fill)}
    return used


def _rank(ordered: list[float], share: float) -> float:
    """Return a percentile (nearest rank)."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _sane(value: float) -> float:
    return min(max(float(value), 0.0), _VALUE_MAX) if math.isfinite(value) else 0.0


def _notes_size(layout: Layout, name: str) -> float:
    """Return the size of an agent's notes; the agent controls what is at the path."""
    with (
        suppress(HiveError, OSError),
        opened(layout.state, layout.agent_state(name)) as state,
    ):
        found = None if state is None else state.look("notes.md")
        if found is not None and stat.S_ISREG(found.st_mode):
            return float(found.st_size)
    return 0.0


def _one(tx: Tx, sql: str, *values: object) -> float:
    return float(tx.execute(sql, *values).fetchone()[0])
