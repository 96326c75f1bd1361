"""The cost of a large store: [recv_history], [stats_week], [overview].

``recv`` with a million messages of history beside the same with a thousand, on two
stores in turns; a week's figures of 50 agents over HTTP, and the overview of 200 agents
after 100,000 messages and a million figures, each beside what a person may be asked to
wait. The stores are filled by SQL: what is measured is reading them.
"""

import asyncio
import random
import statistics
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from checks.bench.measure import Figure, progress, room, since
from checks.kits.egress.bench import uses_of
from checks.kits.host.store import Kit, open_kit
from checks.kits.web import hive as fake_hive
from checks.kits.web.app import Operator, make_app
from pyglue.api.common import NoParams
from pyglue.api.messages import RecvParams
from pyglue.api.turns import TurnEndParams, TurnOutcome
from pyglue.config import HiveConfig
from pyglue.host.backends.local import LocalBackend
from pyglue.host.core.agent import Receiver
from pyglue.host.core.warnings import Warnings
from pyglue.host.model.egress import EgressHub
from pyglue.host.model.relay import RelayHub
from pyglue.host.watch.spending import Spending
from pyglue.host.watch.turn_metrics import TurnMetrics
from pyglue.host.watch.views import Views
from pyglue.paths import Layout
from pyglue.redaction.redactor import Redactor
from pyglue.store.database import Tx
from pyglue.store.messages import NewMessage
from pyglue.store.metrics import STEPS

RECV: Final = "recv_history"
STATS: Final = "stats_week"
OVERVIEW: Final = "overview"
_WAIT_MS: Final = 50.0
_KEYS: Final = (
    *("turns", "tool_calls", "duration_ms", "duration_p50_ms", "duration_p95_ms"),
    *("turns_per_min", "since_last_turn_s", "exit:ok", "exit:failed", "inbox"),
    *("inbox_max", "sent:peer", "sent:manager", "sent:operator", "received:peer"),
    *("received:manager", "received:operator", "received:system", "notes_bytes"),
    *("tokens_in", "tokens_out", "tokens_cache_read", "tokens_cache_write"),
    *("cost_usd", "context_fill", "tool:Bash", "tool:Read", "tool:Edit"),
    *("tool:mcp__hive__send", "tool:mcp__hive__recv"),
)
_WEEK_S: Final = 7 * 86400


def _many(tx: Tx, sql: str, rows: Iterable[tuple[object, ...]]) -> None:
    tx.db.connection().executemany(sql, rows)


# --- recv ---------------------------------------------------------------------------


async def recv() -> Figure:
    """Receive on a store with much history and on one with little, in turns."""
    much: list[float] = []
    little: list[float] = []
    with room() as directory:
        large = await _with_history(directory / "large", 1_000_000)
        small = await _with_history(directory / "small", 1_000)
        for number in range(420):
            for kit, samples in ((large, much), (small, little)):
                took = await _receive(kit)
                if number >= 20:
                    samples.append(took)
        for kit in (large, small):
            await kit.store.close()
    bare = statistics.median(little)
    return Figure(RECV, tuple(much), bare, 1.2, {"with 1,000": bare})


async def _with_history(directory: Path, count: int) -> Kit:
    directory.mkdir()
    kit = await open_kit(directory)
    await kit.agent("alice")
    await kit.agent("bob")
    sql = (
        "INSERT INTO message (sender, recipient, body, kind, priority, sent_at, hop, "
        "state, deliveries, done_at) VALUES ('bob', ?, ?, 'message', 1, ?, 1, "
        "'done', 1, ?)"
    )
    for begin in range(0, count, 50_000):
        rows = [
            ("alice" if n % 2 else "bob", f"Message {n}. " * 8, n, n)
            for n in range(begin, min(begin + 50_000, count))
        ]
        await kit.store.write(lambda tx, r=rows: _many(tx, sql, r))
    progress(f"  {count} messages of history")
    return kit


async def _receive(kit: Kit) -> float:
    agent = kit.registry.get("alice")
    new = NewMessage(sender="bob", recipient="alice", body="And now this one.")
    await kit.broker.post(new)
    holder = Receiver(agent=agent)
    began = time.perf_counter()
    got = await kit.broker.mailbox.recv(holder, RecvParams(max=32))
    took = since(began)
    assert len(got.messages) == 1
    turn = await _begin(kit, holder)
    await kit.broker.mailbox.turn_end(
        holder, TurnEndParams(turn=turn, outcome=TurnOutcome.OK)
    )
    return took


async def _begin(kit: Kit, holder: Receiver) -> int:
    started = await kit.broker.mailbox.turn_start(holder, "haiku")
    return started if isinstance(started, int) else int(started.turn)


# --- figures ------------------------------------------------------------------------


def _fill_week(tx: Tx, agents: int) -> None:
    """Buckets of a week in which every agent worked all the time."""
    chance = random.Random(7)  # noqa: S311
    now = int(tx.now)
    _many(
        tx,
        "INSERT INTO stats_series (agent, key) VALUES (?, ?)",
        [(f"agent{n}", key) for n in range(agents) for key in _KEYS],
    )
    for step in STEPS:
        ages = range(now // step * step - _WEEK_S, now, step)
        rows = (
            (step, series, at, 5, chance.random() * 100, chance.random() * 50)
            for series in range(1, agents * len(_KEYS) + 1)
            for at in ages
        )
        _many(tx, "INSERT INTO stats_bucket VALUES (?, ?, ?, ?, ?, ?)", rows)


async def stats() -> Figure:
    """Ask ``/api/stats`` for a week of 50 agents: the headlines."""
    return await asyncio.to_thread(_stats)


async def _filled(kit: Kit) -> None:
    await kit.store.write(lambda tx: _fill_week(tx, 50))


def _stats() -> Figure:
    samples: list[float] = []
    with room() as directory, fake_hive.running(directory / "operator.sock") as hive:
        kit = hive.run(open_kit(directory))
        hive.run(_filled(kit))
        turn_metrics = hive.run(_turn_metrics(kit, directory))
        hive.overrides["stats"] = turn_metrics.read
        operator = Operator(hive, make_app(hive), hive.new_session())
        progress("  a week of 50 agents")
        for number in range(45):
            began = time.perf_counter()
            answer = operator.get(f"/api/stats?since={time.time() - _WEEK_S}")
            took = since(began)
            assert answer.status_code == 200 and len(answer.data) > 100_000
            if number >= 5:
                samples.append(took)
        hive.run(kit.store.close())
    return Figure(STATS, tuple(samples), _WAIT_MS, 1.0, {"fixed": _WAIT_MS})


async def _turn_metrics(kit: Kit, directory: Path) -> TurnMetrics:
    return TurnMetrics(
        store=kit.store,
        registry=kit.registry,
        bus=kit.bus,
        layout=Layout(directory, directory),
    )


# --- overview -----------------------------------------------------------------------


async def overview() -> Figure:
    """Ask for status and agents of a hive with 200 agents."""
    samples: list[float] = []
    with room() as directory:
        kit = await open_kit(directory)
        shown = views(kit, directory)
        for number in range(200):
            await kit.agent(f"agent{number}")
        await kit.store.write(fill_hive)
        progress("  200 agents, 100,000 messages, 1,000,000 figures")
        for number in range(105):
            began = time.perf_counter()
            await shown.status()
            found = await shown.agents(NoParams())
            took = since(began)
            assert len(found.agents) == 200 and any(a.inbox for a in found.agents)
            if number >= 5:
                samples.append(took)
        await kit.store.close()
    return Figure(OVERVIEW, tuple(samples), _WAIT_MS, 1.0, {"fixed": _WAIT_MS})


def views(kit: Kit, directory: Path) -> Views:
    """Return what answers the operator about the hive of ``kit``."""
    config = HiveConfig(state_dir=str(directory), runtime_dir=str(directory))
    return Views(
        store=kit.store,
        registry=kit.registry,
        controls=kit.controls,
        model_choices=kit.model_choices,
        steps=kit.steps,
        warmth=kit.warmth,
        spending=Spending(store=kit.store, bus=kit.bus),
        bus=kit.bus,
        backend=LocalBackend(config),
        relay=RelayHub(
            redactor=Redactor(),
            store=kit.store,
            registry=kit.registry,
            transitions=kit.transitions,
            config=config,
            server_name="bench",
        ),
        egress=EgressHub(
            redactor=Redactor(),
            uses=uses_of(kit, config),
            store=kit.store,
            registry=kit.registry,
            transitions=kit.transitions,
            config=config,
            server_name="bench",
        ),
        warnings=Warnings(),
        config=config,
    )


def fill_hive(tx: Tx) -> None:
    """Fill the store with what 200 agents leave behind."""
    now = tx.now
    _many(
        tx,
        "INSERT INTO message (sender, recipient, body, kind, priority, sent_at, hop, "
        "state) VALUES (?, ?, 'Some words.', 'message', 1, ?, 1, ?)",
        [
            (
                f"agent{n * 7 % 200}",
                "operator" if n % 50 == 0 else f"agent{n % 200}",
                now - n,
                "waiting" if n % 97 < 5 else "done",
            )
            for n in range(100_000)
        ],
    )
    _many(
        tx,
        "INSERT INTO turn (agent, model, started_at, ended_at, outcome) "
        "VALUES (?, 'haiku', ?, ?, 'ok')",
        [(f"agent{n % 200}", now - n, now - n + 1) for n in range(100_000)],
    )
    _many(
        tx,
        "INSERT INTO agent_turns VALUES (?, 500, ?, 'ok', 0.5)",
        [(f"agent{n}", now) for n in range(200)],
    )
    _many(
        tx,
        "INSERT INTO usage (agent, turn, model, at, settled, cost_usd) "
        "VALUES (?, ?, 'claude-haiku-5-5', ?, 1, 0.01)",
        [(f"agent{n % 200}", n, now - 20 * n) for n in range(100_000)],
    )
    _many(
        tx,
        "INSERT INTO stats_series (agent, key) VALUES (?, ?)",
        [(f"agent{n}", key) for n in range(200) for key in _KEYS[:25]],
    )
    _many(
        tx,
        "INSERT INTO stats_row VALUES (?, ?, ?)",
        [(s, now - n * 800, n) for s in range(1, 5001) for n in range(200)],
    )
    _many(
        tx,
        "INSERT INTO stats_bucket VALUES (3600, ?, ?, 5, ?, 1)",
        [
            (s, now // 3600 * 3600 - n * 3600, 0.01 * (s % 7 + n))
            for s in range(1, 5001)
            for n in range(48)
        ],
    )
