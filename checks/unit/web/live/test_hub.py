"""Live events: one subscription for all streams, resuming, gaps, limits, ends."""

import contextlib
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from checks.kits.patience import PATIENCE_S
from checks.kits.web import hive as fake_hive
from checks.kits.web.hive import FakeHive
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import SyncClient
from pyglue.web.live import hub as live
from pyglue.web.live import ring
from pyglue.web.live.hub import Hub, Listener


@pytest.fixture
def hive(tmp_path: Path) -> Iterator[FakeHive]:
    with fake_hive.running(tmp_path / "operator.sock") as running:
        yield running


@pytest.fixture
def hub(hive: FakeHive) -> Iterator[Hub]:
    made = Hub(hive.socket)
    yield made
    made.close()


class Reader:
    """Collects what one listener gets."""

    def __init__(self, hub: Hub, listener: Listener) -> None:
        self.hub = hub
        self.listener = listener
        self.got: list[dict[str, Any]] = []
        self._pending: deque[dict[str, Any]] = deque()

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Read on until a message is ``wanted``; returns it."""
        while True:
            self.got.append(self._pending.popleft() if self._pending else self._next())
            if wanted(self.got[-1]):
                return self.got[-1]

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            batch = self.hub.take(self.listener, PATIENCE_S)
            assert batch is not None, "the stream ended"
            self._pending.extend(json.loads(item.text) for item in batch)
            if self._pending:
                return self._pending.popleft()
        raise AssertionError("nothing came in time")

    def seqs(self) -> list[int]:
        return [one["seq"] for one in self.got if one["type"] == "event"]


@contextlib.contextmanager
def reader(hub: Hub, session: str, since: int | None = None) -> Iterator[Reader]:
    with hub.listen(session, since) as listener:
        yield Reader(hub, listener)


def is_type(name: str) -> Callable[[dict[str, Any]], bool]:
    return lambda one: one["type"] == name


def has_seq(seq: int) -> Callable[[dict[str, Any]], bool]:
    return lambda one: one.get("seq", 0) >= seq


def test_the_thread_outlives_a_fault(
    hive: FakeHive, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every stream waits for it, and nobody would start another one."""
    faults = iter([RuntimeError("a fault"), OSError(9, "Bad file descriptor")])

    def faulty(*args: Any, **kwargs: Any) -> Any:
        if (fault := next(faults, None)) is not None:
            raise fault
        return SyncClient(*args, **kwargs)

    monkeypatch.setattr(live, "SyncClient", faulty)
    with reader(hub, hive.new_session()) as one:
        one.until(is_type("down"))
        one.until(is_type("up"))
        seq = hive.emit("message.sent", "alice")
        one.until(has_seq(seq))


def test_events_reach_every_listener_over_one_subscription(
    hive: FakeHive, hub: Hub
) -> None:
    one, two = hive.new_session(), hive.new_session()
    with reader(hub, one) as first, reader(hub, two) as second:
        first.until(is_type("up"))
        second.until(is_type("up"))
        seq = hive.emit("agent.state", "alice", state="idle")
        event = first.until(has_seq(seq))
        assert second.until(has_seq(seq)) == event
        assert (event["kind"], event["agent"]) == ("agent.state", "alice")
        assert event["data"] == {"state": "idle"}
        assert len(hive.called("subscribe")) == 1
        assert len(hive.subscribers) == 1


def test_without_listeners_there_is_no_subscription(hive: FakeHive, hub: Hub) -> None:
    with reader(hub, hive.new_session()) as one:
        one.until(is_type("up"))
        (connection,) = hive.subscribers
        gone = threading.Event()
        connection.on_close(gone.set)
    assert gone.wait(PATIENCE_S)
    with reader(hub, hive.new_session()) as two:
        two.until(is_type("up"))


def test_the_first_listener_resumes_from_hived(hive: FakeHive, hub: Hub) -> None:
    seen = hive.seq
    hive.emit("message.sent")
    newest = hive.emit("message.taken")
    with reader(hub, hive.new_session(), seen) as one:
        one.until(has_seq(newest))
        assert one.seqs() == [seen + 1, newest]


def test_a_later_listener_resumes_from_the_ring(hive: FakeHive, hub: Hub) -> None:
    with reader(hub, hive.new_session()) as one:
        one.until(is_type("up"))
        seen = hive.emit("message.sent")
        newest = hive.emit("message.taken")
        one.until(has_seq(newest))
        with reader(hub, hive.new_session(), seen) as two:
            two.until(has_seq(newest))
            assert two.seqs() == [newest]
            with reader(hub, hive.new_session(), newest) as three:
                hive.emit("message.sent")
                three.until(has_seq(newest + 1))
                assert three.seqs() == [newest + 1]


def test_who_comes_from_before_the_ring_gets_a_gap(hive: FakeHive, hub: Hub) -> None:
    with reader(hub, hive.new_session()) as one:
        one.until(is_type("up"))
        with reader(hub, hive.new_session(), 1) as two:
            gap = two.until(is_type("gap"))
            assert gap["seq"] == hive.seq
            newest = hive.emit("message.sent")
            two.until(has_seq(newest))
            assert two.seqs() == [newest]


def test_who_reads_too_slowly_gets_a_gap(
    hive: FakeHive, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring, "_RING_ITEMS", 3)
    session = hive.new_session()
    with reader(hub, session) as slow, reader(hub, session) as quick:
        slow.until(is_type("up"))
        for _ in range(6):
            newest = hive.emit("message.sent")
            quick.until(has_seq(newest))
        assert slow.until(lambda _: True)["type"] == "gap"
        newest = hive.emit("message.sent")
        slow.until(has_seq(newest))
        assert slow.seqs() == [newest]


def test_the_ring_is_bounded_in_characters(
    hive: FakeHive, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring, "_RING_CHARS", 100_000)
    with reader(hub, hive.new_session()) as one:
        one.until(is_type("up"))
        for _ in range(30):
            one.until(has_seq(hive.emit("turn.event", "alice", text="x" * 10_000)))
        assert sum(len(item.text) for item in hub._ring._items) <= 100_000


def test_hived_s_own_gap_is_passed_on(hive: FakeHive, hub: Hub) -> None:
    with reader(hub, hive.new_session()) as one:
        one.until(is_type("up"))
        hive.seq += 10
        hive.notify_gap("The reader was too slow.")
        gap = one.until(is_type("gap"))
        assert gap == {"type": "gap", "seq": hive.seq, "reason": gap["reason"]}


def test_hived_goes_and_comes_back(hive: FakeHive, hub: Hub) -> None:
    with reader(hub, hive.new_session()) as one:
        one.until(is_type("up"))
        first = hive.emit("message.sent")
        one.until(has_seq(first))
        hive.stop()
        one.until(is_type("down"))
        missed = hive.emit("message.sent")
        hive.start()
        one.until(is_type("up"))
        one.until(has_seq(missed))
        assert one.seqs() == [first, missed]
        assert "gap" not in [message["type"] for message in one.got]


def test_a_hive_that_begins_anew_is_a_gap(hive: FakeHive, hub: Hub) -> None:
    with reader(hub, hive.new_session()) as one:
        one.until(is_type("up"))
        hive.stop()
        one.until(is_type("down"))
        hive.seq, hive.events = 3, []
        hive.start()
        one.until(is_type("gap"))
        one.until(is_type("up"))  # the page says that the hive is back
        newest = hive.emit("message.sent")
        one.until(has_seq(newest))
        assert one.seqs() == [newest]


def test_with_hived_away_from_the_start_listeners_hear_it(
    hive: FakeHive, hub: Hub
) -> None:
    hive.emit("message.sent")
    hive.stop()
    with reader(hub, hive.new_session()) as one:
        one.until(is_type("down"))
        hive.start()
        one.until(is_type("up"))
        assert [message["type"] for message in one.got] == ["down", "up"]


def test_a_dead_session_s_streams_end_and_the_others_go_on(
    hive: FakeHive, hub: Hub
) -> None:
    dies, stays = hive.new_session(), hive.new_session()
    with hub.listen(dies, None) as dead, reader(hub, stays) as one:
        one.until(is_type("up"))
        hive.end_session(dies)
        hive.drop_connections()
        one.until(is_type("down"))
        one.until(is_type("up"))
        newest = hive.emit("message.sent")
        one.until(has_seq(newest))
        hub.end_session(dies)
        assert hub.take(dead, PATIENCE_S) is None


def test_a_session_that_never_lived_gets_nothing(hive: FakeHive, hub: Hub) -> None:
    with hub.listen("no such session at all", None) as listener:
        batch: list[ring.Item] | None = []
        while batch is not None:
            batch = hub.take(listener, PATIENCE_S)
            assert not batch
    assert not hive.subscribers


def test_streams_are_limited(hive: FakeHive, hub: Hub) -> None:
    session = hive.new_session()
    with contextlib.ExitStack() as stack:
        for _ in range(live.STREAMS_MAX):
            stack.enter_context(hub.listen(session, None))
        with pytest.raises(HiveError) as refused, hub.listen(session, None):
            pass
        assert refused.value.code is ErrorCode.TOO_MANY
    with hub.listen(session, None):
        pass


def test_closing_ends_every_stream(hive: FakeHive, hub: Hub) -> None:
    with hub.listen(hive.new_session(), None) as listener:
        hub.close()
        assert hub.take(listener, PATIENCE_S) is None
    with pytest.raises(HiveError), hub.listen(hive.new_session(), None):
        pass
