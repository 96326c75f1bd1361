"""``/metrics`` for Prometheus, behind a bearer token of its own.

`hive metrics-token` mints the token. hived checks it: it stands in this process's
hello where a session would, and answers to the metrics alone. Without a token there
is no way in, loopback or not; a browser's session does not open it either.
"""

from collections.abc import Iterator
from typing import Final

from flask import Response, request
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from pyglue.api.common import NoParams
from pyglue.api.operator import METRICS
from pyglue.api.telemetry import HIVE, Fold, MetricsResult, fold_of
from pyglue.errors import ErrorCode, HiveError
from pyglue.web.rpc import HiveLink, web

_SCHEME: Final = "bearer "
_TOKEN_MAX: Final = 256


def answer(_params: NoParams) -> Response:
    """Answer in Prometheus' text format."""
    link = HiveLink(web().socket, _token())
    try:
        found = link.call(METRICS, NoParams())
    except HiveError as error:
        if error.code in (ErrorCode.UNAUTHENTICATED, ErrorCode.UNKNOWN_METHOD):
            raise _refused() from error
        raise
    finally:
        link.close()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(found))
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _token() -> str:
    given = request.headers.get("Authorization", "")
    token = given[len(_SCHEME) :].strip()
    if not given.lower().startswith(_SCHEME) or not 0 < len(token) <= _TOKEN_MAX:
        raise _refused()
    return token


def _refused() -> HiveError:
    return HiveError(
        ErrorCode.FORBIDDEN,
        "Metrics need the token that `hive metrics-token` prints, as "
        "`Authorization: Bearer TOKEN`.",
    )


class _Figures(Collector):
    """One answer of hived as metric families."""

    def __init__(self, found: MetricsResult) -> None:
        self._found = found

    def collect(self) -> Iterator[Metric]:
        """Give the hive's figures, the agents' states, and what turns added up to."""
        yield from self._hive()
        yield from self._agents()
        yield from self._totals()

    def _hive(self) -> Iterator[Metric]:
        status = self._found.status
        for name, about, value in (
            ("hive_agents", "Agents there are", status.agents),
            ("hive_agents_running", "Agents that run", status.running),
            ("hive_approvals_pending", "Approvals that wait", status.pending_approvals),
            ("hive_questions_open", "Questions that wait", status.open_questions),
            ("hive_inbox_unread", "Unread messages of the operator", status.unread),
            ("hive_warnings", "Warnings shown now", len(status.warnings)),
            ("hive_start_time_seconds", "When hived started", status.started_at),
        ):
            yield GaugeMetricFamily(name, about, value=value)

    def _agents(self) -> Iterator[Metric]:
        agents = self._found.agents
        states = GaugeMetricFamily(
            "hive_agent_state",
            "1 for what an agent does now",
            labels=("agent", "state"),
        )
        turns = CounterMetricFamily(
            "hive_agent_turns", "Turns begun", labels=("agent",)
        )
        for one in agents:
            states.add_metric((one.name, one.state.value), 1)
            turns.add_metric((one.name,), one.turns)
        yield states
        yield turns
        for name, about, values in (
            (
                "hive_agent_inbox",
                "Messages that wait or are held",
                [(one.name, one.inbox) for one in agents],
            ),
            (
                "hive_agent_cost_today_usd",
                "Dollars since midnight (UTC), those set aside included",
                [(one.name, one.cost_today_usd) for one in agents],
            ),
            (
                "hive_agent_last_turn_timestamp_seconds",
                "When the last turn ended",
                [(one.name, one.last_turn_at) for one in agents],
            ),
        ):
            family = GaugeMetricFamily(name, about, labels=("agent",))
            for agent, value in values:
                if value is not None:
                    family.add_metric((agent,), value)
            yield family

    def _totals(self) -> Iterator[Metric]:
        """Sums become counters, everything else the value at the last turn's end."""
        sums = CounterMetricFamily(
            "hive_turn_figures",
            "Figures of turns, added up",
            labels=("agent", "figure"),
        )
        last = GaugeMetricFamily(
            "hive_turn_figure_last",
            "Figures at the end of the last turn",
            labels=("agent", "figure"),
        )
        for one in self._found.totals:
            if one.agent == HIVE:
                continue
            if fold_of(one.key) is Fold.SUM:
                sums.add_metric((one.agent, one.key), one.total)
            else:
                last.add_metric((one.agent, one.key), one.last)
        yield sums
        yield last
