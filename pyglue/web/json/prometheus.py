"""hived's metrics, as metric families under Prometheus' naming rules.

One unit per metric: seconds, bytes, dollars, or a count. Metrics that only grow are
counters and end in ``_total``. Each metric of turns is in one of the tables here, see
``is_shown``.
"""

import platform
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from pyglue.api.common import PROTOCOL, AgentState
from pyglue.api.metrics import HIVE, MetricsResult, ProcessUsage, Total
from pyglue.api.overview import AgentView

_SUMS: Final = {
    "cost_usd": ("hive_turn_cost_dollars", "Dollars that turns cost"),
}
_TOKENS: Final = {
    "tokens_in": "input",
    "tokens_out": "output",
    "tokens_cache_read": "cache_read",
    "tokens_cache_write": "cache_write",
}
_KINDS: Final = {
    "exit": ("hive_turns_ended", "outcome", "Turns that ended"),
    "tool": ("hive_tool_calls", "tool", "Uses of tools"),
    "sent": ("hive_messages_sent", "recipient", "Messages sent"),
    "received": ("hive_messages_received", "sender", "Messages received"),
    "schedule": ("hive_schedules_due", "outcome", "Due times of schedules"),
    "webhook": ("hive_webhook_deliveries", "outcome", "Signed deliveries of webhooks"),
}
_NOTIFY: Final = "notify:"
"""Of the hive: notifications outside."""
_SPANS: Final = {
    "duration_ms": ("hive_turn_duration_seconds", 1e-3, "How long turns took"),
    "since_last_turn_s": (
        "hive_turn_idle_seconds",
        1.0,
        "Idle time of agents before a turn",
    ),
}
_RANKS: Final = {"duration_p50_ms": "0.5", "duration_p95_ms": "0.95"}
_LAST: Final = {
    "context_fill": ("hive_agent_context_ratio", "How full the context window is"),
    "notes_bytes": ("hive_agent_notes_bytes", "Size of the agent's notes"),
    "inbox_max": ("hive_agent_inbox_max", "Most messages pending in the last turn"),
}
_ELSEWHERE: Final = {
    "turns": "hive_turns_ended_total",
    "turns_per_min": "rate(hive_turns_ended_total)",
    "tool_calls": "hive_tool_calls_total",
    "inbox": "hive_agent_inbox",
}
"""Keys that are covered by another metric and have none of their own."""


def is_shown(key: str) -> bool:
    """Return whether a metric of turns is exported."""
    kind, colon, _ = key.partition(":")
    if colon:
        return kind in _KINDS or key.startswith(_NOTIFY)
    rows = (_SUMS, _TOKENS, _SPANS, _RANKS, _LAST, _ELSEWHERE)
    return any(key in row for row in rows)


class HiveCollector(Collector):
    """One answer of hived as metric families."""

    def __init__(
        self, found: MetricsResult, processes: Iterable[ProcessUsage | None]
    ) -> None:
        self._found = found
        self._processes = [one for one in processes if one is not None]
        self._totals = [one for one in found.totals if one.agent != HIVE]

    def collect(self) -> Iterator[Metric]:
        """Yield metrics of the hive, its agents, their turns, and its processes."""
        yield from self._hive()
        yield from self._agents()
        yield from self._hosts()
        yield from self._counted()
        yield from self._spans()
        yield from self._last()
        yield from self._usage()

    def _hive(self) -> Iterator[Metric]:
        status = self._found.status
        info = InfoMetricFamily("hive_build", "The running version")
        version = {"version": status.version, "protocol": str(PROTOCOL)}
        info.add_metric((), {**version, "python": platform.python_version()})
        yield info
        for name, about, value in (
            ("hive_agents", "All agents", status.agents),
            ("hive_agents_running", "Running agents", status.running),
            ("hive_approvals_pending", "Pending approvals", status.pending_approvals),
            ("hive_questions_open", "Open questions", status.open_questions),
            ("hive_inbox_unread", "Unread messages of the operator", status.unread),
            ("hive_warnings", "Warnings shown now", len(status.warnings)),
            ("hive_start_time_seconds", "When hived started", status.started_at),
        ):
            yield GaugeMetricFamily(name, about, value=value)
        sent = CounterMetricFamily(
            "hive_notifications",
            "External notifications, sent or given up",
            labels=("outcome",),
        )
        for one in self._found.totals:
            if one.agent == HIVE and one.key.startswith(_NOTIFY):
                sent.add_metric((one.key.removeprefix(_NOTIFY),), one.total)
        yield sent
        yield from self._warm()

    def _warm(self) -> Iterator[Metric]:
        warm = self._found.warm
        if warm is None:
            return
        turns = CounterMetricFamily(
            "hive_warm_turns",
            "Turns that found a running CLI (hit) or had to start one (miss)",
            labels=("result",),
        )
        turns.add_metric(("hit",), warm.hits)
        turns.add_metric(("miss",), warm.misses)
        yield turns
        yield CounterMetricFamily(
            "hive_warm_evictions",
            "CLIs ended between turns to free memory",
            value=warm.evictions,
        )
        for name, about, value in (
            (
                "hive_warm_memory_bytes",
                "Memory used by CLIs between turns",
                warm.memory_bytes,
            ),
            ("hive_warm_memory_limit_bytes", "Limit of that memory", warm.limit_bytes),
        ):
            yield GaugeMetricFamily(name, about, value=value)

    def _agents(self) -> Iterator[Metric]:
        agents = self._found.agents
        states = GaugeMetricFamily(
            "hive_agent_state",
            "1 for the state that an agent is in, 0 for every other",
            labels=("agent", "state"),
        )
        turns = CounterMetricFamily(
            "hive_agent_turns", "Turns begun", labels=("agent",)
        )
        for one in agents:
            for state in AgentState:
                states.add_metric((one.name, state.value), float(state is one.state))
            turns.add_metric((one.name,), one.turns)
        yield states
        yield turns
        for name, about, read in _OF_AGENTS:
            family = GaugeMetricFamily(name, about, labels=("agent",))
            for one in agents:
                value = read(one)
                if value is not None:
                    family.add_metric((one.name,), value)
            yield family

    def _hosts(self) -> Iterator[Metric]:
        connections = CounterMetricFamily(
            "hive_egress_connections",
            "Connections to hosts that agents asked for, and whether they were refused",
            labels=("agent", "result"),
        )
        passed = CounterMetricFamily(
            "hive_egress_bytes",
            "Bytes of connections to hosts, as agents see them",
            labels=("agent", "direction"),
        )
        for one in self._found.agents:
            if one.egress is not None:
                connections.add_metric((one.name, "connected"), one.egress.connected)
                connections.add_metric((one.name, "refused"), one.egress.refused)
                passed.add_metric((one.name, "sent"), one.egress.sent)
                passed.add_metric((one.name, "received"), one.egress.received)
        yield connections
        yield passed

    def _counted(self) -> Iterator[Metric]:
        for key, (name, about) in _SUMS.items():
            family = CounterMetricFamily(name, about, labels=("agent",))
            for one in self._of(key):
                family.add_metric((one.agent,), one.total)
            yield family
        tokens = CounterMetricFamily(
            "hive_turn_tokens", "Tokens that turns used", labels=("agent", "kind")
        )
        for key, kind in _TOKENS.items():
            for one in self._of(key):
                tokens.add_metric((one.agent, kind), one.total)
        yield tokens
        for prefix, (name, label, about) in _KINDS.items():
            family = CounterMetricFamily(name, about, labels=("agent", label))
            for one in self._totals:
                kind, colon, value = one.key.partition(":")
                if colon and kind == prefix:
                    family.add_metric((one.agent, value), one.total)
            yield family

    def _spans(self) -> Iterator[Metric]:
        for key, (name, unit, about) in _SPANS.items():
            family = SummaryMetricFamily(name, about, labels=("agent",))
            for one in self._of(key):
                family.add_metric((one.agent,), one.count, one.total * unit)
            for ranked, quantile in _RANKS.items() if key == "duration_ms" else ():
                for one in self._of(ranked):
                    labels = {"agent": one.agent, "quantile": quantile}
                    family.samples.append(Sample(name, labels, one.last * unit))
            yield family

    def _last(self) -> Iterator[Metric]:
        for key, (name, about) in _LAST.items():
            family = GaugeMetricFamily(name, about, labels=("agent",))
            for one in self._of(key):
                family.add_metric((one.agent,), one.last)
            yield family

    def _usage(self) -> Iterator[Metric]:
        cpu = CounterMetricFamily(
            "process_cpu_seconds", "User and system CPU time", labels=("program",)
        )
        for one in self._processes:
            cpu.add_metric((one.program,), one.cpu_seconds)
        yield cpu
        for name, about, read in _OF_PROCESSES:
            family = GaugeMetricFamily(name, about, labels=("program",))
            for one in self._processes:
                value = read(one)
                if value is not None:
                    family.add_metric((one.program,), value)
            yield family

    def _of(self, key: str) -> Iterator[Total]:
        return (one for one in self._totals if one.key == key)


_OF_AGENTS: Final[tuple[tuple[str, str, Callable[[AgentView], float | None]], ...]] = (
    ("hive_agent_inbox", "Pending messages", lambda one: one.inbox),
    (
        "hive_agent_cost_today_dollars",
        "Dollars since midnight (UTC), those reserved included",
        lambda one: one.cost_today_usd,
    ),
    (
        "hive_agent_last_turn_timestamp_seconds",
        "When the last turn ended",
        lambda one: one.last_turn_at,
    ),
)
_OF_PROCESSES: Final[
    tuple[tuple[str, str, Callable[[ProcessUsage], float | None]], ...]
] = (
    (
        "process_resident_memory_bytes",
        "Resident memory",
        lambda one: one.resident_memory_bytes,
    ),
    (
        "process_virtual_memory_bytes",
        "Virtual memory",
        lambda one: one.virtual_memory_bytes,
    ),
    (
        "process_start_time_seconds",
        "When the process started",
        lambda one: one.start_time_seconds,
    ),
    ("process_open_fds", "Open file descriptors", lambda one: one.open_fds),
    ("process_max_fds", "Most file descriptors", lambda one: one.max_fds),
)
