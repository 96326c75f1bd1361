"""``/metrics``: names and units by Prometheus' rules, and nothing omitted."""

import asyncio
import re
from pathlib import Path
from typing import Final

import msgspec
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from checks.kits.web.hive import FakeHive
from checks.kits.web.promtool import complaints
from pyglue import __version__
from pyglue.api.common import AgentState, NoParams
from pyglue.api.metrics import HIVE, MetricsResult, Total, WarmMetrics
from pyglue.program.usage import usage_of
from pyglue.web.json.prometheus import HiveCollector, is_shown

ROOT: Final = Path(__file__).resolve().parents[4]
ENDINGS: Final = {"counter": "_total", "info": "_info"}
"""What the samples of a type have behind their family's name."""

FIGURES: Final = {
    "turns": 3,
    "turns_per_min": 0.5,
    "exit:ok": 2,
    "exit:failed": 1,
    "duration_ms": 6000,
    "duration_p50_ms": 1500,
    "duration_p95_ms": 3000,
    "since_last_turn_s": 90,
    "tokens_in": 100,
    "tokens_out": 50,
    "tokens_cache_read": 7,
    "tokens_cache_write": 8,
    "cost_usd": 0.25,
    "context_fill": 0.5,
    "inbox": 1,
    "inbox_max": 4,
    "sent:peer": 6,
    "received:operator": 5,
    "tool:Bash": 9,
    "schedule:skipped": 2,
    "webhook:accepted": 8,
    "notify:sent": 12,
    "tool_calls": 9,
    "notes_bytes": 123,
}


@pytest.fixture
def found(hive: FakeHive) -> MetricsResult:
    status = asyncio.run(hive._status(NoParams()))
    totals = tuple(
        Total(agent=agent, key=key, count=3, total=value, last=value)
        for agent in ("alice", HIVE)
        for key, value in FIGURES.items()
    )
    return MetricsResult(
        status=msgspec.structs.replace(status, version=__version__),
        agents=tuple(hive.agents),
        totals=totals,
        processes=tuple(filter(None, [usage_of("hived")])),
    )


def text_of(found: MetricsResult) -> str:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(HiveCollector(found, (*found.processes, usage_of("hive-web"))))
    return generate_latest(registry).decode()


@pytest.mark.needs("promtool")
def test_promtool_has_no_complaint(found: MetricsResult) -> None:
    assert complaints(text_of(found)) == ""
    assert "_total" in complaints("# HELP x_total x\n# TYPE x_total gauge\nx_total 1\n")


def test_every_figure_is_a_metric_of_one_unit(found: MetricsResult) -> None:
    lines = text_of(found).splitlines()
    for wanted in (
        'hive_turns_ended_total{agent="alice",outcome="ok"} 2.0',
        'hive_turn_duration_seconds_sum{agent="alice"} 6.0',
        'hive_turn_duration_seconds_count{agent="alice"} 3.0',
        'hive_turn_duration_seconds{agent="alice",quantile="0.95"} 3.0',
        'hive_turn_idle_seconds_sum{agent="alice"} 90.0',
        'hive_schedules_due_total{agent="alice",outcome="skipped"} 2.0',
        'hive_webhook_deliveries_total{agent="alice",outcome="accepted"} 8.0',
        'hive_notifications_total{outcome="sent"} 12.0',
        'hive_turn_tokens_total{agent="alice",kind="input"} 100.0',
        'hive_turn_tokens_total{agent="alice",kind="cache_write"} 8.0',
        'hive_turn_cost_dollars_total{agent="alice"} 0.25',
        'hive_agent_context_ratio{agent="alice"} 0.5',
        'hive_agent_inbox_max{agent="alice"} 4.0',
        'hive_messages_sent_total{agent="alice",recipient="peer"} 6.0',
        'hive_messages_received_total{agent="alice",sender="operator"} 5.0',
        'hive_tool_calls_total{agent="alice",tool="Bash"} 9.0',
        'hive_agent_notes_bytes{agent="alice"} 123.0',
    ):
        assert wanted in lines
    assert not any(f'agent="{HIVE}"' in line for line in lines)
    assert all(map(is_shown, FIGURES))
    assert not is_shown("novel") and not is_shown("novel:one")


def test_the_guide_lists_every_metric(found: MetricsResult) -> None:
    warm = WarmMetrics(hits=1, misses=1, evictions=0, memory_bytes=1, limit_bytes=2)
    everything = HiveCollector(msgspec.structs.replace(found, warm=warm), ())
    given = {
        f"{family.name}{ENDINGS.get(family.type, '')}"
        for family in everything.collect()
        if not family.name.startswith("process_")
    }
    guide = (ROOT / "docs/operator-guide.md").read_text(encoding="utf-8")
    table = guide.partition("\n| metrics | of |\n")[2].partition("\n\n")[0]
    names = [row.split(" | ")[0] for row in table.splitlines()]
    assert set(re.findall(r"`(hive_\w+)`", "".join(names))) == given
    assert "| `process_*` |" in table


def test_units_are_base_units_and_counters_say_so(found: MetricsResult) -> None:
    for family in text_string_to_metric_families(text_of(found)):
        assert not family.name.endswith(("_ms", "_usd", "_milliseconds", "_percent"))
        counted = family.type == "counter"
        for sample in family.samples:
            assert sample.name.endswith("_total") is counted, sample.name


def test_an_agent_is_in_one_state_of_all(found: MetricsResult) -> None:
    states = [
        sample
        for family in text_string_to_metric_families(text_of(found))
        for sample in family.samples
        if sample.name == "hive_agent_state"
    ]
    for agent in found.agents:
        own = {
            one.labels["state"]: one.value
            for one in states
            if one.labels["agent"] == agent.name
        }
        assert own == {state.value: float(state is agent.state) for state in AgentState}


def test_build_and_processes_are_named(found: MetricsResult) -> None:
    text = text_of(found)
    assert f'version="{__version__}"' in text and "hive_build_info{" in text
    for program in ("hived", "hive-web"):
        for name in ("cpu_seconds_total", "resident_memory_bytes", "open_fds"):
            assert f'process_{name}{{program="{program}"}} ' in text


def test_a_process_that_is_gone_has_no_usage() -> None:
    assert usage_of("nothing", 2**22 + 1) is None


def test_warm_turns_are_counted(found: MetricsResult) -> None:
    assert "hive_warm" not in text_of(found), "an earlier hived does not say"
    warm = WarmMetrics(
        hits=5, misses=2, evictions=1, memory_bytes=200, limit_bytes=1000
    )
    lines = text_of(msgspec.structs.replace(found, warm=warm)).splitlines()
    assert 'hive_warm_turns_total{result="hit"} 5.0' in lines
    assert 'hive_warm_turns_total{result="miss"} 2.0' in lines
    assert "hive_warm_evictions_total 1.0" in lines
    assert "hive_warm_memory_bytes 200.0" in lines
    assert "hive_warm_memory_limit_bytes 1000.0" in lines
