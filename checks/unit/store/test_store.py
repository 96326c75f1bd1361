"""The store: group commit, savepoints, the outbox, one writer, and its tables."""

import asyncio
import dataclasses
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pyglue.api.approvals import (
    ApprovalKind,
    ApprovalsParams,
    ApprovalState,
    Danger,
    Effect,
    PolicyChange,
)
from pyglue.api.common import Role
from pyglue.api.events import Event
from pyglue.api.inbox import MessagesParams
from pyglue.api.messages import Mark, MessageKind
from pyglue.api.operations import OperationKind, OperationState
from pyglue.api.relay import ReserveParams, SettleParams
from pyglue.errors import ErrorCode, HiveError
from pyglue.store import (
    agents,
    approvals,
    events,
    inboxes,
    marks,
    messages,
    operations,
    usage,
)
from pyglue.store.approvals import NewApproval
from pyglue.store.database import Store, Tx, open_store
from pyglue.store.messages import NewMessage


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = open_store(tmp_path / "hive.db", tmp_path / "lock")
    yield opened
    await opened.close()


def note(tx: Tx, text: str) -> int:
    new = NewMessage(sender="a", recipient="b", body=text)
    return messages.insert(tx, new).id


async def count(store: Store) -> int:
    return await store.read(lambda reader: messages.waiting(reader, "b"))


async def test_many_writers_share_commits_and_lose_nothing(store: Store) -> None:
    writes = [store.write(lambda tx, n=n: note(tx, str(n))) for n in range(300)]
    numbers = await asyncio.gather(*writes)
    assert sorted(numbers) == list(range(1, 301))
    assert await count(store) == 300


async def test_one_failing_write_does_not_undo_its_neighbours(store: Store) -> None:
    def fails(tx: Tx) -> None:
        note(tx, "undone")
        raise HiveError(ErrorCode.CONFLICT, "No.")

    published: list[Event] = []
    store.on_events(published.extend)
    results = await asyncio.gather(
        store.write(lambda tx: note(tx, "one")),
        store.write(fails),
        store.write(lambda tx: note(tx, "two")),
        return_exceptions=True,
    )
    assert isinstance(results[1], HiveError)
    assert await count(store) == 2
    assert len(published) == 2


async def test_events_are_published_after_the_commit_in_order(
    store: Store, tmp_path: Path
) -> None:
    seen: list[tuple[int, int]] = []

    def publish(found: list[Event]) -> None:
        with sqlite3.connect(tmp_path / "hive.db") as other:
            stored = other.execute("SELECT max(seq) FROM event").fetchone()[0]
        seen.extend((event.seq, stored) for event in found)

    store.on_events(publish)
    for number in range(5):
        await store.write(lambda tx, n=number: note(tx, str(n)))
    assert [seq for seq, _ in seen] == [1, 2, 3, 4, 5]
    assert all(seq <= stored for seq, stored in seen)
    assert await store.read(events.last_seq) == 5


async def test_a_second_hived_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(HiveError) as caught:
        open_store(tmp_path / "hive.db", tmp_path / "lock")
    assert caught.value.code is ErrorCode.STORE_LOCKED


async def test_the_file_is_for_hived_alone(store: Store, tmp_path: Path) -> None:
    assert (tmp_path / "hive.db").stat().st_mode & 0o077 == 0


def proposal(agent: str = "a") -> NewApproval:
    return NewApproval(
        agent=agent,
        kind=ApprovalKind.CHANGE,
        commit="c" * 40,
        main=None,
        record=b"{}",
        manifest_sha256="0" * 64,
        nixos_options=("x.y",),
        policy=(),
        description="d",
        proposed_by="manager",
        author="a",
        message="m",
    )


async def test_one_pending_proposal_an_agent_and_ids_only_grow(store: Store) -> None:
    numbers = []
    for _ in range(3):
        number = await store.write(approvals.reserve_id)
        await store.write(lambda tx, n=number: approvals.insert(tx, n, proposal()))
        numbers.append(number)
    unused = await store.write(approvals.reserve_id)
    assert [*numbers, unused] == [1, 2, 3, 4]
    asked = ApprovalsParams(before=2, limit=5)
    older = await store.read(lambda reader: approvals.search(reader, asked))
    assert [row.id for row in older] == [1]
    pending = await store.read(approvals.pending)
    assert [row.id for row in pending] == [3]
    first = await store.read(lambda reader: approvals.get(reader, 1))
    assert first.state is ApprovalState.SUPERSEDED
    assert first.nixos_options == ("x.y",)


async def test_a_summary_names_the_worst_of_what_widens(store: Store) -> None:
    def change(effect: Effect, danger: Danger | None) -> PolicyChange:
        return PolicyChange("o", effect, "S.", None, None, danger=danger)

    worse = change(Effect.WIDENS, Danger.CRITICAL)
    policies = {
        "a": (worse, change(Effect.WIDENS, Danger.MEDIUM)),
        "b": (change(Effect.NARROWS, None),),
        "c": (change(Effect.WIDENS, None),),  # stored by an earlier version
    }
    for agent, policy in policies.items():
        new = dataclasses.replace(proposal(agent), policy=policy)
        number = await store.write(approvals.reserve_id)
        await store.write(lambda tx, n=number, new=new: approvals.insert(tx, n, new))
    rows = await store.read(approvals.pending)
    found = {row.agent: row.summary() for row in rows}
    dangers = {agent: one.danger for agent, one in found.items()}
    assert dangers == {"a": Danger.CRITICAL, "b": None, "c": None}
    assert found["c"].widens == ("S.",)


async def test_operations_remember_step_and_error(store: Store) -> None:
    operation = await store.write(
        lambda tx: operations.insert(
            tx, kind=OperationKind.DEPLOY, agent="a", requested_by="op", approval=1
        )
    )
    await store.write(
        lambda tx: operations.advance(tx, operation.id, "apply", "it broke")
    )
    found = (await store.read(operations.unfinished))[0]
    assert (found.step, found.error) == ("apply", "it broke")
    await store.write(lambda tx: operations.finish(tx, operation.id, "it broke"))
    assert await store.read(operations.unfinished) == ()
    ended = await store.read(lambda reader: operations.get(reader, operation.id))
    assert ended.state is OperationState.FAILED


async def test_what_is_not_there_is_said(store: Store) -> None:
    for look in (
        lambda reader: approvals.get(reader, 7),
        lambda reader: operations.get(reader, 7),
    ):
        with pytest.raises(HiveError) as caught:
            await store.read(look)
        assert caught.value.code is ErrorCode.NOT_FOUND
    with pytest.raises(HiveError):
        await store.write(lambda tx: marks.mark(tx, "operator", Mark.READ, ids=[7]))
    with pytest.raises(HiveError):
        await store.write(lambda tx: agents.set_wanted(tx, "nobody", True))


async def test_creating_an_agent_again_changes_nothing(store: Store) -> None:
    await store.write(lambda tx: agents.create(tx, "a", Role.AGENT))
    await store.write(lambda tx: agents.set_wanted(tx, "a", False))
    await store.write(lambda tx: agents.create(tx, "a", Role.AGENT))
    rows = await store.read(agents.all_agents)
    assert [(row.name, row.wanted) for row in rows] == [("a", False)]


async def test_reserved_money_counts_until_it_is_settled_once(store: Store) -> None:
    today = time.time() - 60
    number = await store.write(
        lambda tx: usage.reserve(
            tx, ReserveParams(agent="a", model="m", cost_usd=2.0), None
        )
    )
    assert await store.read(lambda reader: usage.spent(reader, "a", today)) == 2.0
    for cost in (0.5, 99.0):
        params = SettleParams(reservation=number, cost_usd=cost, status=200)
        await store.write(lambda tx, p=params: usage.settle(tx, p))
    assert await store.read(lambda reader: usage.spent(reader, "a", today)) == 0.5
    for other in (today + usage.DAY_S, today - usage.DAY_S):
        spent = await store.read(lambda reader, at=other: usage.spent(reader, "a", at))
        assert spent == 0.0, "of another day, also of one to come"


async def test_the_cost_of_a_day_is_kept_with_every_request(store: Store) -> None:
    """As adding up the day's requests would say, whatever becomes of them."""
    today, yesterday = 20_000 * 86400.0, 19_999 * 86400.0

    async def reserve(agent: str, cost: float, at: float) -> int:
        def insert(tx: Tx) -> int:
            tx.execute(
                "INSERT INTO usage (at, agent, model, cost_usd, settled) "
                "VALUES (?, ?, 'm', ?, 0)",
                at,
                agent,
                cost,
            )
            return int(tx.execute("SELECT max(id) FROM usage").fetchone()[0])

        return await store.write(insert)

    async def costs(day: float) -> dict[str, float]:
        return await store.read(lambda reader: usage.spent_by_agent(reader, day))

    first = await reserve("a", 2.0, today)
    await reserve("a", 1.0, today + 86399.0)
    await reserve("b", 4.0, today + 1.0)
    await reserve("a", 8.0, yesterday)
    assert await costs(today) == {"a": 3.0, "b": 4.0}
    settled = SettleParams(reservation=first, cost_usd=0.5, status=200)
    for _ in range(2):
        await store.write(lambda tx: usage.settle(tx, settled))
    assert await costs(today) == {"a": 1.5, "b": 4.0}
    numbers = [await reserve("c", cost, today) for cost in (0.1, 0.2)]  # inexact
    for number in numbers:
        free = SettleParams(reservation=number, cost_usd=0.0, status=429)
        await store.write(lambda tx, free=free: usage.settle(tx, free))
    assert (await costs(today))["c"] == 0.0
    await store.write(lambda tx: tx.execute("DELETE FROM usage WHERE at < ?", today))
    assert await costs(yesterday) == {}
    assert await costs(today) == {"a": 1.5, "b": 4.0, "c": 0.0}


async def test_the_flow_is_filtered_and_searched(store: Store) -> None:
    def write(tx: Tx) -> None:
        for sender, to, body, kind in (
            ("alice", "bob", "A discount of 50% today", MessageKind.MESSAGE),
            ("bob", "alice", "50 apples_and_pears", MessageKind.ANSWER),
            ("carol", "alice", "nothing", MessageKind.MESSAGE),
        ):
            new = NewMessage(sender=sender, recipient=to, body=body, kind=kind)
            messages.insert(tx, new)

    await store.write(write)

    async def found(**asked: Any) -> list[str]:
        rows = await store.read(
            lambda reader: inboxes.flow(reader, MessagesParams(limit=10, **asked))
        )
        return [row.sender for row in rows.messages]

    assert await found() == ["carol", "bob", "alice"]
    assert await found(text="50%") == ["alice"]
    assert await found(text="s_a") == ["bob"]
    assert await found(text="DISCOUNT") == ["alice"]
    assert await found(kind=MessageKind.ANSWER) == ["bob"]
    assert await found(agent="bob") == ["bob", "alice"]
    assert await found(agent="bob", before=2) == ["alice"]
    assert await found(agent="alice", peer="bob") == ["bob", "alice"]
    assert await found(agent="alice", peer="carol") == ["carol"]
    assert await found(peer="carol") == await found(agent="carol") == ["carol"]
    assert await found(agent="bob", peer="carol") == []
    assert await found(agent="alice", without="bob") == ["carol"]
    assert await found(without="alice") == []
    assert await found(without="carol") == ["bob", "alice"]
    assert await found(sender="bob") == ["bob"]
    assert await found(sender="alice", agent="bob") == ["alice"]
    assert await found(sender="carol", agent="bob") == []
    assert await found(sender="bob", text="discount") == []
