"""Retention: each option has an effect, and what must be kept is kept."""

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from checks.kits.api.events import raw
from checks.kits.host.store import Kit, open_kit
from pyglue.api.approvals import ApprovalKind, ApprovalsParams, ApprovalState
from pyglue.api.event_values import AgentChange
from pyglue.api.events import AgentChanged, HiveWarning, TurnEvent
from pyglue.api.operations import OperationKind
from pyglue.api.questions import QuestionEnd
from pyglue.api.relay import ReserveParams, SettleParams
from pyglue.api.turns import TurnEndParams, TurnOutcome
from pyglue.config import HiveConfig, Retention
from pyglue.errors import HiveError
from pyglue.git.host_commits import commit_files, seed_main
from pyglue.git.repos import AppliedRepo
from pyglue.git.tags import TagKind
from pyglue.host.changes.proposals import Proposals
from pyglue.host.changes.review import pretty
from pyglue.host.watch.history import EVENTS_KEPT, History
from pyglue.host.watch.retention import Pruning
from pyglue.store import (
    agents,
    approvals,
    leases,
    messages,
    metrics,
    operations,
    questions,
    usage,
)
from pyglue.store import retention as rows
from pyglue.store.approvals import NewApproval
from pyglue.store.database import Tx
from pyglue.store.messages import NewMessage

AGO_DAYS = 20.0
RECORD = '{"manifest":{"model":"haiku"}}'
STATES = sorted(ApprovalState, key=lambda state: state is ApprovalState.PENDING)
"""The pending one last: the next would supersede it."""
LONG = {field.name: 1000.0 for field in msgspec.structs.fields(Retention)}


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    opened = await open_kit(tmp_path)
    await opened.agent("alice")
    yield opened
    await opened.store.close()


def pruning(kit: Kit, room: Path, **days: float) -> Pruning:
    """Keep everything for long, but what is named."""
    retention = Retention(**{**LONG, **days})
    config = HiveConfig(state_dir=str(room), runtime_dir=str(room))
    nothing: object = None
    proposals = Proposals(
        store=kit.store,
        registry=kit.registry,
        evaluation=nothing,  # type: ignore[arg-type]
        pinning=nothing,  # type: ignore[arg-type]
        directories=nothing,  # type: ignore[arg-type]
        kept_files=nothing,  # type: ignore[arg-type]
        config=config,
        templates=room,
    )
    return Pruning(
        store=kit.store,
        history=History(
            store=kit.store, registry=kit.registry, bus=kit.bus, retention=retention
        ),
        proposals=proposals,
        layout=config.layout,
        retention=retention,
    )


async def ago(kit: Kit, write: Callable[[Tx], object]) -> None:
    """Write as it was some days ago."""
    at = time.time() - AGO_DAYS * 86400

    def then(tx: Tx) -> None:
        write(Tx(tx.db, at))

    await kit.store.write(then)


async def count(kit: Kit, table: str, where: str = "1") -> int:
    return await kit.store.read(
        lambda reader: int(
            reader.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()[0]
        )
    )


def old_rows(tx: Tx) -> None:
    """Leave one of each that is over, and one of each that is not."""
    for number in range(2):
        new = NewMessage(sender="a", recipient="alice", body="b" * 100)
        messages.insert(tx, new)
        asked = questions.insert(
            tx,
            asker="alice",
            to="operator",
            question="?",
            options=(),
            multi=False,
            expires_at=None,
        )
        turn = agents.start_turn(tx, "alice", "haiku")
        operation = operations.insert(
            tx, kind=OperationKind.STOP, agent="alice", requested_by="op"
        )
        spent = usage.reserve(
            tx, ReserveParams(agent="alice", model="m", cost_usd=1.0), turn
        )
        if number == 0:
            messages.take(tx, "alice", most=1, holder="h", turn=turn)
            leases.finish_turn(tx, "alice", turn)
            questions.close(tx, asked, "!", "operator", QuestionEnd.ANSWERED)
            end = TurnEndParams(turn=turn, outcome=TurnOutcome.OK)
            agents.end_turn(tx, "alice", end)
            operations.finish(tx, operation.id, None)
            usage.settle(tx, SettleParams(reservation=spent, cost_usd=0.5, status=200))


TABLES = tuple(table.name for table in rows.TABLES)


async def messages_days(kit: Kit, room: Path) -> Callable[..., object]:
    await ago(kit, old_rows)

    async def left() -> tuple[int, ...]:
        return tuple([await count(kit, table) for table in TABLES])

    return left


async def history_days(kit: Kit, room: Path) -> Callable[..., object]:
    await ago(
        kit, lambda tx: tx.emit("alice", TurnEvent(turn=1, kind="old", data=raw({})))
    )
    await many_events(kit)

    async def left() -> int:
        return await count(kit, "event", "kind = 'turn.event'")

    return left


async def events_days(kit: Kit, room: Path) -> Callable[..., object]:
    await ago(kit, lambda tx: tx.emit("alice", AgentChanged(what=AgentChange.COLD)))
    await many_events(kit)

    async def left() -> int:
        return await count(kit, "event", "kind = 'agent.changed'")

    return left


async def many_events(kit: Kit) -> None:
    def write(tx: Tx) -> None:
        for _ in range(EVENTS_KEPT):
            tx.execute(
                "INSERT INTO event (at, kind, data) VALUES (?, 'x', ?)", tx.now, b"{}"
            )

    await kit.store.write(write)
    await kit.store.write(
        lambda tx: tx.emit(None, HiveWarning(text="x"))
    )  # tells the bus


async def stats_days(kit: Kit, room: Path) -> Callable[..., object]:
    await ago(kit, lambda tx: metrics.record(tx, "alice", {"turns": 1.0}))

    async def left() -> int:
        return await count(kit, "stats_bucket", f"step = {metrics.STEPS[-1]}")

    return left


async def proposals_days(kit: Kit, room: Path) -> Callable[..., object]:
    repo, _ = await propose(kit, room)

    async def left() -> set[str]:
        return {tag.name for tag in repo.tags()}

    return left


async def propose(kit: Kit, room: Path) -> tuple[AppliedRepo, list[str]]:
    """Leave proposals of alice that ended in each way, and one that is pending."""
    path = HiveConfig(state_dir=str(room), runtime_dir=str(room)).layout.applied(
        "alice"
    )
    path.parent.mkdir(exist_ok=True)
    repo = AppliedRepo.create(path)
    main = seed_main(repo, {"agent.nix": b"{ }"}, message="first")
    commits = []
    for state in STATES:
        files = {"agent.nix": b"{ }", "text": state.value.encode() * 1000}
        commit = commit_files(repo, files, message=state.value)
        assert commit is not None
        commits.append(commit)
        number = await kit.store.write(approvals.reserve_id)
        repo.tag(TagKind.PROPOSAL, number, commit, b"{}")
        if state is ApprovalState.DENIED:
            repo.tag(TagKind.DENIED, number, commit, b"no")
        new = NewApproval(
            agent="alice",
            kind=ApprovalKind.CHANGE,
            commit=commit,
            main=main,
            record=RECORD.encode(),
            manifest_sha256="0" * 64,
            nixos_options=(),
            policy=(),
            description="d",
            proposed_by="manager",
            author="a",
            message="m",
        )

        def insert(
            tx: Tx,
            number: int = number,
            new: NewApproval = new,
            state: ApprovalState = state,
        ) -> None:
            approvals.insert(tx, number, new)
            if state is not ApprovalState.PENDING:
                approvals.decide(tx, number, state, by="op", reason=None)

        await ago(kit, insert)
    return repo, commits


CASES: dict[str, Callable[[Kit, Path], object]] = {
    "messages_days": messages_days,
    "history_days": history_days,
    "events_days": events_days,
    "stats_days": stats_days,
    "proposals_days": proposals_days,
}


def test_every_field_has_a_case() -> None:
    assert CASES.keys() == LONG.keys()


@pytest.mark.parametrize("field", CASES)
async def test_every_field_has_an_effect(kit: Kit, tmp_path: Path, field: str) -> None:
    left = await CASES[field](kit, tmp_path)
    before = await left()
    await pruning(kit, tmp_path).prune()
    assert await left() == before, "it is younger than that"
    await pruning(kit, tmp_path, **{field: AGO_DAYS - 1}).prune()
    assert await left() != before


async def test_what_is_not_over_stays(kit: Kit, tmp_path: Path) -> None:
    await ago(kit, old_rows)
    await pruning(kit, tmp_path, messages_days=1).prune()
    assert [await count(kit, table) for table in TABLES] == [1] * len(TABLES)
    assert await count(kit, "message", "state = 'waiting'") == 1
    assert await count(kit, "question", "answered_at IS NULL") == 1
    assert await count(kit, "usage", "settled = 0") == 1


async def test_what_the_days_limits_count_stays(kit: Kit, tmp_path: Path) -> None:
    await kit.store.write(old_rows)
    await pruning(kit, tmp_path, messages_days=0).prune()
    assert (await count(kit, "turn"), await count(kit, "usage")) == (2, 2)
    assert await count(kit, "message") == 1


async def test_no_transaction_takes_many_rows(
    kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(tx: Tx) -> None:
        for _ in range(450):
            messages.insert(tx, NewMessage(sender="a", recipient="alice", body="b"))
        tx.execute("UPDATE message SET state = 'done', done_at = ?", tx.now)

    await ago(kit, write)
    gone: list[int] = []
    real = rows.prune

    def counted(tx: Tx, *args: object, **kwargs: object) -> int:
        gone.append(real(tx, *args, **kwargs))  # type: ignore[arg-type]
        return gone[-1]

    monkeypatch.setattr(rows, "prune", counted)
    await pruning(kit, tmp_path, messages_days=1).prune()
    assert sum(gone) == 450
    assert max(gone) <= 100


async def test_of_old_proposals_only_the_record_stays(kit: Kit, tmp_path: Path) -> None:
    repo, commits = await propose(kit, tmp_path)
    await pruning(kit, tmp_path, proposals_days=1).prune()
    dropped = {
        *(ApprovalState.DENIED, ApprovalState.SUPERSEDED),
        ApprovalState.CHANGES_REQUESTED,
        *(ApprovalState.WITHDRAWN, ApprovalState.EXPIRED),
    }
    for state, commit in zip(STATES, commits, strict=True):
        if state in dropped:
            with pytest.raises(HiveError):
                repo.commit(commit)
        else:
            repo.commit(commit)
    assert repo.main() is not None
    assert await count(kit, "approval") == len(ApprovalState)
    emptied = await count(kit, "approval", f"record != CAST('{RECORD}' AS BLOB)")
    assert emptied == len(dropped)
    asked = ApprovalsParams(limit=99)
    for row in await kit.store.read(lambda reader: approvals.search(reader, asked)):
        assert row.manifest_sha256 == "0" * 64
        assert pretty(row.record).strip()


async def test_logs_of_old_builds_are_emptied(kit: Kit, tmp_path: Path) -> None:
    await propose(kit, tmp_path)

    def logs(tx: Tx) -> None:
        tx.execute(
            "INSERT INTO approval_system (approval, drv, nixpkgs, revision, packages, "
            "build_log) SELECT id, 'd', 'n', 'r', x'', 'log' FROM approval"
        )

    await kit.store.write(logs)
    await pruning(kit, tmp_path, messages_days=1).prune()
    kept = {ApprovalState.PENDING, ApprovalState.APPROVED, ApprovalState.BUILDING}
    assert await count(kit, "approval_system", "build_log != ''") == len(kept)
