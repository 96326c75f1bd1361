"""An agent's history: its pages, its limits, and how it meets the live stream."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from checks.kits.api.events import data, raw
from checks.kits.host.store import Kit, open_kit
from pyglue.api.common import AgentState
from pyglue.api.events import AgentStateChanged, TurnEvent
from pyglue.api.metrics import HistoryParams
from pyglue.api.turn_events import TurnEventKind
from pyglue.api.turns import TurnEventParams
from pyglue.config import Retention
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.watch import history as rules
from pyglue.host.watch.history import History
from pyglue.store import events, history
from pyglue.store.database import Reader, Tx
from pyglue.strict_json.depth import DEPTH_MAX


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    opened = await open_kit(tmp_path)
    await opened.agent("alice")
    await opened.agent("bob")
    yield opened
    await opened.store.close()


def live(text: str, **more: Any) -> TurnEventParams:
    return TurnEventParams(
        turn=1, kind=TurnEventKind.TEXT, data=raw({"text": text, **more})
    )


async def fill(kit: Kit, count: int, *agents: str) -> None:
    for number in range(count):
        for agent in agents:
            kit.history.add(agent, live(str(number)))
    await kit.store.write(lambda _tx: None)


async def read(kit: Kit, **asked: Any) -> tuple[list[int], Any]:
    page = await kit.history.read(HistoryParams(agent="alice", **asked))
    return [event.seq for event in page.events], page


async def test_pages_go_back_and_forth_without_a_hole(kit: Kit) -> None:
    await fill(kit, 10, "alice", "bob")
    every, page = await read(kit)
    assert len(every) == 10 and not page.more and page.seq == kit.bus.last_seq
    assert {event.agent for event in page.events} == {"alice"}
    last, page = await read(kit, limit=4)
    assert last == every[6:] and page.more
    middle, page = await read(kit, limit=4, before=last[0])
    assert middle == every[2:6] and page.more
    first, page = await read(kit, limit=4, before=middle[0])
    assert first == every[:2] and not page.more
    onwards: list[int] = []
    after, more = 0, True
    while more:
        found, page = await read(kit, limit=3, after=after)
        onwards += found
        after, more = page.seq, page.more
    assert onwards == every and after == kit.bus.last_seq


async def test_what_comes_after_a_page_is_in_the_stream_after_its_seq(kit: Kit) -> None:
    await fill(kit, 3, "alice")
    seen, page = await read(kit)
    await fill(kit, 3, "alice")
    streamed = [event.seq for event in kit.events if event.seq > page.seq]
    every, _ = await read(kit)
    assert seen + streamed == every


async def test_a_page_is_found_by_its_index(kit: Kit) -> None:
    def plan(reader: Reader) -> str:
        rows = reader.execute(
            "EXPLAIN QUERY PLAN SELECT seq FROM event WHERE agent = 'a' AND "
            f"{history.HISTORY} AND seq < 9 ORDER BY seq DESC LIMIT 5"
        )
        return " ".join(str(row[3]) for row in rows.fetchall())

    found = await kit.store.read(plan)
    assert "event_history (agent=? AND seq<?)" in found and "TEMP" not in found


async def test_a_page_is_never_larger_than_an_answer_may_be(kit: Kit) -> None:
    for _ in range(50):
        kit.history.add("alice", live("x" * 120_000))
    await kit.store.write(lambda _tx: None)
    found, page = await read(kit)
    assert page.more and len(found) * 120_000 <= history.PAGE_BYTES


async def test_nobodys_history_is_refused(kit: Kit) -> None:
    with pytest.raises(HiveError) as caught:
        await kit.history.read(HistoryParams(agent="nobody"))
    assert caught.value.code is ErrorCode.NOT_FOUND


async def test_an_event_that_is_too_large_leaves_a_word(kit: Kit) -> None:
    kit.history.add("alice", live("x" * (rules.EVENT_MAX + 1)))
    await kit.store.write(lambda _tx: None)
    _, page = await read(kit)
    assert "too large to keep" in data(page.events[0])["data"]["text"]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b'"text"', "not an object"),
        (b"null", "not an object"),
        (b'[{"text":"a"}]', "not an object"),
        (b'{"text":"\xff"}', "not UTF-8"),
        (b'{"\xff":1}', "not UTF-8"),
        (b'{"text":\r"id: 7"}', "line breaks"),
        (b'{"text":"a",\t"b":1}', "line breaks"),
        (b'{"text":' + b"[" * 800 + b"]" * 800 + b"}", "nested too deep"),
    ],
)
async def test_what_a_later_reader_would_stumble_over_is_not_passed_on(
    kit: Kit, said: bytes, why: str
) -> None:
    line = b'{"turn":1,"kind":"text","data":' + said + b"}"
    kit.history.add("alice", msgspec.json.decode(line, type=TurnEventParams))
    await kit.store.write(lambda _tx: None)
    _, page = await read(kit)
    (event,) = page.events
    assert why in data(event)["data"]["text"]


async def test_a_kind_of_a_newer_harness_is_kept_as_it_came(kit: Kit) -> None:
    said = b'{"b":[[[1.50]]],"text":"a","a":"\\u00e9"}'
    params = TurnEventParams(turn=1, kind="hologram", data=msgspec.Raw(said))
    assert kit.history.add("alice", params)
    await kit.store.write(lambda _tx: None)
    _, page = await read(kit)
    event = page.events[0].read()
    assert isinstance(event, TurnEvent) and event.kind == "hologram"
    assert bytes(event.data) == said


async def test_what_is_passed_on_can_be_read_from_a_deeper_stack(kit: Kit) -> None:
    deepest = 0
    for depth in range(50, 1000, 50):
        nested = b'{"text":' + b"[" * depth + b"]" * depth + b"}"
        kit.history.add(
            "alice", TurnEventParams(turn=1, kind="text", data=msgspec.Raw(nested))
        )
        await kit.store.write(lambda _tx: None)
        event = kit.events[-1].read()
        assert isinstance(event, TurnEvent)
        deepest = depth if bytes(event.data) == nested else deepest
    assert deepest == DEPTH_MAX - 50  # the object itself is a level
    nested = b'{"text":' + b"[" * deepest + b"]" * deepest + b"}"

    def read_below(frames: int) -> Any:
        return read_below(frames - 1) if frames else msgspec.json.decode(nested)

    assert read_below(100)


async def test_a_flood_is_left_out_and_said(kit: Kit) -> None:
    clock = [0.0]
    patient = History(
        store=kit.store,
        registry=kit.registry,
        bus=kit.bus,
        retention=Retention(),
        clock=lambda: clock[0],
    )
    size = 100_000
    for _ in range(2 * rules.BURST // size):
        patient.add("alice", live("x" * size))
    patient.add("bob", live("well"))
    await kit.store.write(lambda _tx: None)
    kept = [event for event in kit.events if event.kind == "turn.event"][:-1]
    assert len(kept) <= rules.BURST // size
    assert kit.events[-1].agent == "bob", "who is not concerned"
    clock[0] = 60.0
    patient.add("alice", live("again"))
    await kit.store.write(lambda _tx: None)
    said, last = kit.events[-2:]
    assert "too quickly" in data(said)["data"]["text"]
    assert data(last)["data"] == {"text": "again"}


async def test_small_events_count_too(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "BURST", 10 * rules.EVENT_COST)
    history = History(
        store=kit.store,
        registry=kit.registry,
        bus=kit.bus,
        retention=Retention(),
        clock=lambda: 0.0,
    )
    kept = [history.add("alice", live("")) for _ in range(100)]
    assert kept.count(True) == 9
    await kit.store.write(lambda _tx: None)
    assert len([one for one in kit.events if one.kind == "turn.event"]) == 9


async def test_a_history_has_a_size(kit: Kit) -> None:
    limited = History(
        store=kit.store,
        registry=kit.registry,
        bus=kit.bus,
        retention=Retention(),
        size_max=50_000,
    )
    for number in range(100):
        limited.add("alice", live(f"{number} " + "x" * 1000))
    limited.add("bob", live("small"))
    await limited.prune()
    sizes = await kit.store.read(history.sizes)
    assert sizes["alice"] <= 50_000 and sizes["bob"] > 0
    found, page = await read(kit, after=1)
    assert page.is_cut and found[-1] == kit.events[-2].seq
    assert data(page.events[-1])["data"]["text"].startswith("99 ")
    assert await kit.store.read(events.oldest_seq) == found[0], "the stream knows too"
    _, page = await read(kit, after=found[0])
    assert not page.is_cut


async def test_age_counts_for_each_kind_by_itself(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "EVENTS_KEPT", 0)
    day = 86400.0

    def old(tx: Tx, days: float) -> None:
        tx.now = time.time() - days * day
        tx.emit("alice", TurnEvent(turn=1, kind="text", data=raw({})))
        idle = AgentState.IDLE
        tx.emit("alice", AgentStateChanged(state=idle, since_at=0.0, detail=None))

    await kit.store.write(lambda tx: tx.execute("DELETE FROM event"))
    for days in (9.0, 6.0, 3.0, 0.0):
        await kit.store.write(lambda tx, d=days: old(tx, d))
    retention = Retention(history_days=7, events_days=5)
    await History(
        store=kit.store, registry=kit.registry, bus=kit.bus, retention=retention
    ).prune()
    kinds = await kit.store.read(
        lambda reader: reader.execute(
            "SELECT kind, count(*) FROM event GROUP BY kind ORDER BY kind"
        ).fetchall()
    )
    assert kinds == [("agent.state", 2), ("turn.event", 3)]
    sizes = await kit.store.read(history.sizes)
    kept = await kit.store.read(
        lambda reader: reader.execute(
            "SELECT sum(length(data)) FROM event WHERE kind = 'turn.event'"
        ).fetchone()[0]
    )
    assert sizes["alice"] == kept
