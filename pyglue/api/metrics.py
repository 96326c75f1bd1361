"""Metrics of turns, the history of an agent, and ports, as types.

``operator`` declares the operator's calls with them. Keys of metrics are made by
``host.watch.turn_metrics``, and by those who count with ``host.core.counts``;
``fold_of`` says how the values of one are combined into a longer step.
"""

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta

from pyglue.api.common import AgentName, Id, Moment, Params, Result
from pyglue.api.events import Event
from pyglue.api.overview import AgentView, HiveStatus

HIVE: Final = "hive"
"""The name under which the hive's own metrics are recorded; no agent may have it."""


class Fold(StrEnum):
    """How several values of a metric are combined."""

    SUM = "sum"
    MEAN = "mean"
    MAX = "max"


HEADLINES: Final = (
    "turns",
    "tool_calls",
    "duration_p50_ms",
    "duration_p95_ms",
    "exit:failed",
    "inbox_max",
    "tokens_in",
    "tokens_out",
    "cost_usd",
    "context_fill",
    "approvals_pending",
)
"""The metrics of all agents that are returned by default."""

_SUMS: Final = frozenset(
    {
        "turns",
        "tool_calls",
        "tokens_in",
        "tokens_out",
        "tokens_cache_read",
        "tokens_cache_write",
        "cost_usd",
    }
)
_COUNTED: Final = (
    *("exit:", "sent:", "received:", "tool:"),
    *("schedule:", "webhook:", "notify:"),
)


def fold_of(key: str) -> Fold:
    """Return how a metric's values are combined."""
    if key in _SUMS or key.startswith(_COUNTED):
        return Fold.SUM
    return Fold.MAX if key.endswith("_max") else Fold.MEAN


MetricKey = Annotated[str, Meta(min_length=1, max_length=200)]


class MetricSeriesParams(Params, frozen=True):
    """Metrics from ``since`` (a day ago) to ``until`` (now), in steps of ``step`` s.

    Without ``step`` the hive chooses one for a readable chart. Without ``keys``, all
    metrics of one agent are returned, or the headlines of all agents.
    """

    since: Moment | None = None
    until: Moment | None = None
    agent: AgentName | None = None
    step: Annotated[int, Meta(ge=60, le=31 * 86400)] | None = None
    keys: Annotated[tuple[MetricKey, ...], Meta(max_length=64)] = ()


class MetricSeries(Result, frozen=True):
    """One metric of one agent (or of ``hive``): the start and value of each step.

    Steps in which nothing was recorded are left out.
    """

    agent: str
    key: str
    at: tuple[float, ...]
    values: tuple[float, ...]


class MetricSeriesResult(Result, frozen=True):
    """The series, by agent and key, and the step that was used."""

    since: float
    until: float
    step: int
    series: tuple[MetricSeries, ...]


class HistoryParams(Params, frozen=True):
    """A page of the events inside an agent's turns.

    With ``after`` the first events after that number, with ``before`` the last ones
    before it, otherwise the last ones.
    """

    agent: AgentName
    before: Id | None = None
    after: Annotated[int, Meta(ge=0)] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 200


class MetricsTokenParams(Params, frozen=True):
    """Issue a token for ``/metrics`` and revoke the current one.

    With ``revoke``, only revoke.
    """

    revoke: bool = False


class MetricsTokenResult(Result, frozen=True):
    """The token, shown only once; empty after a revocation."""

    token: str


class PortConflict(Params, frozen=True):
    """An agent whose port is already in use."""

    agent: AgentName
    reason: Annotated[str, Meta(max_length=400)]


class AgentPortsParams(Params, frozen=True):
    """Ports the dashboard could not bind; answered once ``known`` is out of date."""

    known: Annotated[int, Meta(ge=0)] = 0
    conflicts: Annotated[tuple[PortConflict, ...], Meta(max_length=4096)] = ()
    wait_seconds: Annotated[float, Meta(ge=0, le=180)] = 0.0


class AgentPort(Result, frozen=True):
    """An agent's port on the host's loopback."""

    agent: str
    port: int


class AgentPortsResult(Result, frozen=True):
    """Every agent's port; ``version`` changes with them."""

    version: int
    ports: tuple[AgentPort, ...]


class HistoryPage(Result, frozen=True):
    """Events of one agent's turns, oldest first.

    Subscribe after ``seq`` to get every later event once. ``more``: there are others in
    the requested direction; ``is_cut``: some events after ``after`` have been deleted.
    """

    events: tuple[Event, ...]
    seq: int
    more: bool
    is_cut: bool


class Total(Result, frozen=True):
    """The total of a metric since the beginning, and its newest value."""

    agent: str
    key: str
    count: int
    total: float
    last: float


class ProcessUsage(Result, frozen=True):
    """Resources used by a process of the hive; the descriptors may be unknown."""

    program: str
    cpu_seconds: float
    resident_memory_bytes: float
    virtual_memory_bytes: float
    start_time_seconds: float
    open_fds: int | None = None
    max_fds: int | None = None


class WarmMetrics(Result, frozen=True):
    """CLIs kept between turns, since hived started.

    ``hits`` are turns that found one, ``misses`` those that started one, ``evictions``
    CLIs that were ended to free memory.
    """

    hits: int
    misses: int
    evictions: int
    memory_bytes: int
    limit_bytes: int


class MetricsResult(Result, frozen=True):
    """Everything that ``/metrics`` shows."""

    status: HiveStatus
    agents: tuple[AgentView, ...]
    totals: tuple[Total, ...]
    processes: tuple[ProcessUsage, ...] = ()
    warm: WarmMetrics | None = None
