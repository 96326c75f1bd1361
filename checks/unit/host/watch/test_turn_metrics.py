"""Figures of turns: what is counted, by whom, how it is read and how long it stays."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from checks.kits.api.events import data, raw
from checks.kits.host.store import Kit
from pyglue.api.events import Event
from pyglue.api.messages import SendParams
from pyglue.api.metrics import HEADLINES, HIVE, Fold, MetricSeriesParams, fold_of
from pyglue.api.turn_events import TurnEventKind
from pyglue.api.turns import TurnEndParams, TurnEventParams, TurnOutcome
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.agent import Agent, Receiver
from pyglue.host.watch.turn_metrics import TurnMetrics
from pyglue.paths import Layout
from pyglue.store import agents, metrics
from pyglue.store.database import Reader, Tx
from pyglue.store.messages import NewMessage
from pyglue.web.json.prometheus import is_shown


@pytest.fixture
def turn_metrics(kit: Kit, tmp_path: Path) -> TurnMetrics:
    return TurnMetrics(
        store=kit.store,
        registry=kit.registry,
        bus=kit.bus,
        layout=Layout(tmp_path, tmp_path),
    )


async def turn(
    kit: Kit, agent: Agent, during: Callable[[int], None] = lambda _turn: None
) -> None:
    """Run a turn as a harness reports one, up to the row of its figures."""
    holder = Receiver(agent=agent)
    number = await kit.broker.mailbox.turn_start(holder, "haiku")
    during(number)
    end = TurnEndParams(turn=number, outcome=TurnOutcome.OK, tool_calls=10**6)
    await kit.broker.mailbox.turn_end(holder, end)
    await kit.store.write(lambda _tx: None)  # behind what was posted


async def latest(kit: Kit, agent: str) -> dict[str, float]:
    found = await kit.store.read(metrics.totals)
    return {one.key: one.last for one in found if one.agent == agent}


def used(kit: Kit, agent: Agent, turn: int, name: object) -> None:
    params = TurnEventParams(
        turn=turn, kind=TurnEventKind.TOOL_USE, data=raw({"name": name, "input": {}})
    )
    kit.history.add(agent.name, params)


async def test_a_turn_leaves_a_row_a_figure(
    kit: Kit, turn_metrics: TurnMetrics, tmp_path: Path
) -> None:
    alice = await kit.agent("alice")
    await kit.agent("bob")
    notes = tmp_path / "agents" / "alice" / "state" / "notes.md"
    notes.parent.mkdir(parents=True)
    notes.write_text("x" * 123)
    for sender in ("operator", "bob", "bob"):
        await kit.broker.post(NewMessage(sender=sender, recipient="alice", body="hi"))
    await kit.broker.send(alice, SendParams(to="bob", body="well"))

    def work(number: int) -> None:
        for name in ("Bash", "Bash", "mcp__hive__send"):
            used(kit, alice, number, name)

    await turn(kit, alice, work)
    figures = await latest(kit, "alice")
    assert all(map(is_shown, figures)), "each has its metric"
    assert figures["received:operator"] == 1 and figures["received:peer"] == 2
    assert figures["sent:peer"] == 1
    assert figures["tool:Bash"] == 2 and figures["tool:mcp__hive__send"] == 1
    assert figures["tool_calls"] == 3, "counted here, whatever the harness says"
    assert (figures["inbox"], figures["inbox_max"]) == (3, 3)
    assert figures["exit:ok"] == figures["turns"] == 1
    assert figures["notes_bytes"] == 123
    assert figures["turns_per_min"] == pytest.approx(0.1)
    assert figures["duration_p50_ms"] == figures["duration_p95_ms"]
    assert "since_last_turn_s" not in figures, "there was none before"
    assert (await latest(kit, HIVE))["approvals_pending"] == 0
    await turn(kit, alice)
    figures = await latest(kit, "alice")
    assert figures["since_last_turn_s"] >= 0
    assert figures["tool_calls"] == 0, "the window began anew"


async def test_tokens_cost_and_context_are_the_relays(
    kit: Kit, turn_metrics: TurnMetrics
) -> None:
    alice = await kit.agent("alice")

    def request(number: int) -> None:
        kit.store.post(
            lambda tx: tx.execute(
                "INSERT INTO usage (agent, turn, model, at, settled, cost_usd, "
                "input_tokens, output_tokens, cache_read_tokens, cache_write_tokens) "
                "VALUES ('alice', ?, 'claude-haiku-5-5', ?, 1, 0.25, 1000, 7, "
                "99000, 0)",
                number,
                tx.now,
            )
        )

    await turn(kit, alice, request)
    figures = await latest(kit, "alice")
    assert figures["tokens_in"] == 1000 and figures["tokens_out"] == 7
    assert figures["tokens_cache_read"] == 99000 and figures["cost_usd"] == 0.25
    assert figures["context_fill"] == pytest.approx(0.1)
    summary = (await kit.store.read(agents.turn_summaries))["alice"]
    assert (summary.count, summary.last_outcome) == (1, "ok")
    assert summary.context_fill == pytest.approx(0.1)


@pytest.mark.parametrize("network", [False, True])
async def test_a_harness_claims_figures_only_where_the_relay_cannot_count(
    kit: Kit, turn_metrics: TurnMetrics, network: bool
) -> None:
    alice = await kit.agent("alice", network=network)
    number = await kit.broker.mailbox.turn_start(Receiver(agent=alice), "haiku")
    lie = TurnEndParams(
        turn=number, outcome=TurnOutcome.OK, cost_usd=1e6, input_tokens=2**50
    )
    await kit.broker.mailbox.turn_end(Receiver(agent=alice), lie)
    await kit.store.write(lambda _tx: None)
    figures = await latest(kit, "alice")
    assert ("cost_usd" in figures, "tokens_in" in figures) == (network, network)


async def test_what_a_harness_names_cannot_grow_the_store(
    kit: Kit, turn_metrics: TurnMetrics
) -> None:
    alice = await kit.agent("alice")

    def flood(number: int) -> None:
        for name in ("a b", "x" * 65, "'; DROP TABLE turn", 7, None, "../x"):
            used(kit, alice, number, name)
        for count in range(300):
            used(kit, alice, number, f"tool{count}")

    await turn(kit, alice, flood)
    figures = await latest(kit, "alice")
    tools = [key for key in figures if key.startswith("tool:")]
    assert len(tools) == 65, "64 of their own, and the others"
    assert figures["tool:other"] == 6 + 300 - 64


async def test_series_have_a_limit_of_their_own(kit: Kit) -> None:
    many = {f"k{n}": 1.0 for n in range(metrics.SERIES_MAX + 50)}
    await kit.store.write(lambda tx: metrics.record(tx, "alice", many))
    await kit.store.write(lambda tx: metrics.record(tx, "alice", {"one more": 1.0}))
    assert len(await latest(kit, "alice")) == metrics.SERIES_MAX


async def test_notes_that_are_no_file_have_no_size(
    kit: Kit, turn_metrics: TurnMetrics, tmp_path: Path
) -> None:
    alice = await kit.agent("alice")
    state = tmp_path / "agents" / "alice" / "state"
    state.mkdir(parents=True)
    (state / "notes.md").symlink_to("/etc/passwd")
    await turn(kit, alice)
    assert (await latest(kit, "alice"))["notes_bytes"] == 0


def at(tx: Tx, when: float, values: dict[str, float]) -> None:
    tx.now = when
    metrics.record(tx, "alice", values)


async def test_points_are_folded_as_their_figure_wants(
    kit: Kit, turn_metrics: TurnMetrics
) -> None:
    await kit.agent("alice")
    start = time.time() // 21600 * 21600 - 21600
    for offset, value in ((0, 1.0), (10, 2.0), (400, 9.0)):
        values = {"tokens_in": value, "inbox": value, "inbox_max": value}
        await kit.store.write(lambda tx, o=offset, v=values: at(tx, start + o, v))
    expected = {
        60: {"tokens_in": (3, 9), "inbox": (1.5, 9), "inbox_max": (2, 9)},
        300: {"tokens_in": (3, 9), "inbox": (1.5, 9), "inbox_max": (2, 9)},
        900: {"tokens_in": (12,), "inbox": (4,), "inbox_max": (9,)},
        3600: {"tokens_in": (12,), "inbox": (4,), "inbox_max": (9,)},
        86400: {"tokens_in": (12,), "inbox": (4,), "inbox_max": (9,)},
    }
    for step, folded in expected.items():
        params = MetricSeriesParams(
            since=start, until=start + 900, step=step, agent="alice"
        )
        result = await turn_metrics.read(params)
        assert {one.key: one.values for one in result.series} == folded, step
        assert all(point % step == 0 for one in result.series for point in one.at)
    only = MetricSeriesParams(
        since=start, until=start + 900, keys=("inbox",), agent="alice"
    )
    assert [one.key for one in (await turn_metrics.read(only)).series] == ["inbox"]


def test_folds() -> None:
    assert fold_of("tool:Bash") is fold_of("turns") is Fold.SUM
    assert fold_of("schedule:sent") is fold_of("notify:sent") is Fold.SUM
    assert fold_of("webhook:accepted") is Fold.SUM
    assert fold_of("inbox_max") is Fold.MAX and fold_of("context_fill") is Fold.MEAN


@pytest.mark.parametrize(
    "params",
    [
        MetricSeriesParams(since=5.0, until=5.0),
        MetricSeriesParams(since=-1.0),
        MetricSeriesParams(since=math.nan),
        MetricSeriesParams(since=1.0, until=1e9, step=60),
    ],
)
async def test_windows_that_are_none_are_refused(
    kit: Kit, turn_metrics: TurnMetrics, params: MetricSeriesParams
) -> None:
    with pytest.raises(HiveError) as caught:
        await turn_metrics.read(params)
    assert caught.value.code is ErrorCode.BAD_REQUEST


async def test_a_window_from_zero_begins_with_the_oldest_value(
    kit: Kit, turn_metrics: TurnMetrics
) -> None:
    alice = await kit.agent("alice")
    await turn(kit, alice)
    year = time.time() - 300 * 86400

    def long_ago(tx: Tx) -> None:
        metrics.record(Tx(tx.db, year), "alice", {"turns": 1.0})

    await kit.store.write(long_ago)
    for agent in ("alice", None):
        found = await turn_metrics.read(MetricSeriesParams(since=0.0, agent=agent))
        assert year - metrics.STEPS[-1] <= found.since <= year
        assert (found.until - found.since) / found.step <= 400
        turns = next(one for one in found.series if one.key == "turns")
        assert sum(turns.values) == 2


async def test_a_window_from_zero_of_nothing_is_a_day(
    kit: Kit, turn_metrics: TurnMetrics
) -> None:
    await kit.agent("alice")
    found = await turn_metrics.read(MetricSeriesParams(since=0.0, agent="alice"))
    assert (found.until - found.since, found.series) == (86400.0, ())


async def test_a_step_is_found_for_any_window(
    kit: Kit, turn_metrics: TurnMetrics
) -> None:
    await kit.agent("alice")
    found = await turn_metrics.read(MetricSeriesParams(since=1.0, agent="alice"))
    assert (found.until - found.since) / found.step <= 400
    assert found.step % metrics.STEPS[-1] == 0


async def test_an_unknown_agent_is_refused(turn_metrics: TurnMetrics) -> None:
    with pytest.raises(HiveError) as caught:
        await turn_metrics.read(MetricSeriesParams(agent="nobody"))
    assert caught.value.code is ErrorCode.NOT_FOUND


async def test_what_is_old_goes_and_its_rollup_stays(kit: Kit) -> None:
    now, day = time.time(), metrics.DAY_S
    for age in (0.0, 3 * day, 9 * day, 500 * day):
        await kit.store.write(lambda tx, t=now - age: at(tx, t, {"turns": 1.0}))
    while await kit.store.write(lambda tx: metrics.prune(tx, kept_s=400 * day, most=1)):
        pass

    def left(reader: Reader) -> list[tuple[int, int]]:
        rows = reader.execute("SELECT count(*) FROM stats").fetchone()[0]
        buckets = reader.execute(
            "SELECT step, count(*) FROM stats_bucket GROUP BY step"
        ).fetchall()
        return [(0, rows), *buckets]

    assert await kit.store.read(left) == [(0, 1), (300, 2), (3600, 3), (21600, 3)]
    (total,) = await kit.store.read(metrics.totals)
    assert (total.count, total.total) == (4, 4.0)


async def test_a_turn_that_was_never_ended_is_lost_when_the_next_begins(
    kit: Kit,
) -> None:
    alice = await kit.agent("alice")
    await kit.broker.mailbox.turn_start(Receiver(agent=alice), "haiku")
    await kit.broker.mailbox.turn_start(Receiver(agent=alice), "haiku")
    summary = (await kit.store.read(agents.turn_summaries))["alice"]
    assert (summary.count, summary.last_outcome) == (2, "failed")


async def test_a_lost_turn_has_its_figures_but_no_length(
    kit: Kit, turn_metrics: TurnMetrics
) -> None:
    alice = await kit.agent("alice")
    await turn(kit, alice)
    before = await latest(kit, "alice")
    holder = Receiver(agent=alice)
    number = await kit.broker.mailbox.turn_start(holder, "haiku")
    kit.disconnect(holder)
    await kit.store.write(lambda _tx: None)
    (ended,) = [e for e in kit.events if e.kind == "turn.ended"][1:]
    assert data(ended)["turn"] == number
    assert (data(ended)["outcome"], data(ended)["reason"]) == ("failed", agents.LOST)
    await kit.store.write(lambda _tx: None)  # behind the posted metrics
    after = await latest(kit, "alice")
    assert after["exit:failed"] == 1
    assert after["duration_p95_ms"] == before["duration_p95_ms"]
    summary = (await kit.store.read(agents.turn_summaries))["alice"]
    assert summary.last_outcome == "failed"


async def test_turns_that_ran_when_hived_died_are_lost_when_it_is_back(
    kit: Kit, turn_metrics: TurnMetrics
) -> None:
    for name in ("alice", "bob"):
        await kit.broker.mailbox.turn_start(
            Receiver(agent=await kit.agent(name)), "haiku"
        )
    await kit.store.write(agents.lose_turns)
    await kit.store.write(agents.lose_turns)  # once is enough
    await kit.store.write(lambda _tx: None)
    ended = Counter(e.agent for e in kit.events if e.kind == "turn.ended")
    assert ended == {"alice": 1, "bob": 1}


async def test_the_sum_of_events_is_published_once(
    kit: Kit, turn_metrics: TurnMetrics
) -> None:
    alice = await kit.agent("alice")
    seen: list[Event] = []
    kit.bus.listen(seen.append)
    await asyncio.gather(turn(kit, alice))
    assert [e.kind for e in seen] == ["turn.started", "turn.ended"]


async def test_of_all_agents_the_headlines_are_shown(
    kit: Kit, turn_metrics: TurnMetrics
) -> None:
    await kit.agent("alice")
    await turn(kit, kit.registry.get("alice"))
    shown = {one.key for one in (await turn_metrics.read(MetricSeriesParams())).series}
    assert {"turns", "approvals_pending"} <= shown <= set(HEADLINES)
    own = (await turn_metrics.read(MetricSeriesParams(agent="alice"))).series
    assert "notes_bytes" in {one.key for one in own}
