"""Quotas: each is refused when it is used up, and the operator is never counted."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from checks.kits.host.messages import acked, parks, send
from checks.kits.host.store import Kit, open_kit
from checks.kits.patience import PATIENCE_S
from pyglue.api.agent import RemindParams
from pyglue.api.manager import (
    AgentParams,
    SpawnParams,
    SubmitBeginParams,
    SubmitBeginResult,
    SubmitChunkParams,
    SubmitCommitParams,
)
from pyglue.api.messages import RecvParams
from pyglue.api.operations import Operation, OperationKind, OperationState
from pyglue.api.questions import AnswerParams, AskParams
from pyglue.config import Quotas
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.changes.manager_operations import ManagerOperations
from pyglue.host.changes.submissions import Submissions
from pyglue.host.core.operations import Operations
from pyglue.host.life.drafts import Drafts
from pyglue.host.life.purge import PurgeHandler
from pyglue.host.messages.reminders import Reminders
from pyglue.names import MANAGER, OPERATOR
from pyglue.paths import Layout
from pyglue.store import drafts, kept, messages, quotas
from pyglue.store.database import Tx
from pyglue.store.messages import NewMessage
from pyglue.store.quotas import DAY_S, Quota

MIB = 1024 * 1024
LARGE = "x" * (200 * 1024)


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    opened = await open_kit(tmp_path)
    for name in (MANAGER, "alice", "bob"):
        await opened.agent(name)
    yield opened
    await opened.store.close()


def limited(kit: Kit, **values: int | None) -> None:
    """Let these quotas hold, and no other."""
    every = {field.name: None for field in msgspec.structs.fields(Quotas)}
    kit.broker.delivery.quotas = Quotas(**{**every, "history_mib": 64, **values})  # type: ignore[arg-type]


async def refused(code: ErrorCode, call: Any) -> HiveError:
    with pytest.raises(HiveError) as caught:
        await call
    assert caught.value.code is code
    return caught.value


async def used(kit: Kit, name: str) -> int:
    """Return how many quotas the store has of a name."""
    rows = await kit.store.read(
        lambda reader: reader.execute(
            "SELECT count(*) FROM quota WHERE agent = ?", name
        ).fetchall()
    )
    return int(rows[0][0])


async def test_a_purged_name_has_used_nothing(kit: Kit) -> None:
    limited(kit, messages_mib_per_day=1)
    await send(kit, "alice", "bob", LARGE)
    await send(kit, "bob", "alice", LARGE)

    def keep(tx: Tx) -> None:
        kept.insert(tx, "alice", by="op", description="", commit=None)

    await kit.store.write(keep)
    unused: Any = None
    handler = PurgeHandler(
        store=kit.store,
        registry=kit.registry,
        audit=kit.audit,
        proposals=unused,
        kept_files=unused,
    )
    purge = Operation(
        id=1,
        kind=OperationKind.PURGE,
        agent="alice",
        requested_by="op",
        step="forget",
        state=OperationState.RUNNING,
        approval=None,
        error=None,
        created_at=0.0,
        finished_at=None,
    )
    assert await used(kit, "alice") == 1
    assert await handler.run(purge, "forget") is None
    assert (await used(kit, "alice"), await used(kit, "bob")) == (0, 1)


# --- what is sent -------------------------------------------------------------------


async def test_a_day_has_so_many_bytes_of_messages(kit: Kit) -> None:
    limited(kit, messages_mib_per_day=1)
    for _ in range(5):
        await send(kit, "alice", "bob", LARGE)
    error = await refused(ErrorCode.RATE_LIMITED, send(kit, "alice", OPERATOR, LARGE))
    assert "its limit of 1 MiB of messages" in error.message
    assert 0 < error.details["retry_after_s"] <= DAY_S + 1
    assert error.details["quota"] == "written"
    await send(kit, "bob", "alice", LARGE)  # each has its own
    new = NewMessage(sender=OPERATOR, recipient="bob", body=LARGE)
    for _ in range(6):
        await kit.broker.post(new)


async def test_a_refused_message_uses_nothing_up_and_another_day_is_new(
    kit: Kit,
) -> None:
    limited(kit, messages_mib_per_day=1)
    for _ in range(5):
        await send(kit, "alice", "bob", LARGE)
    for _ in range(3):
        await refused(ErrorCode.RATE_LIMITED, send(kit, "alice", "bob", LARGE))
    await send(kit, "alice", "bob", "short")

    def tomorrow(tx: Tx) -> None:
        later = Tx(tx.db, tx.now + DAY_S)
        quotas.take(later, "alice", Quota.WRITTEN, MIB - 1, 1)

    await kit.store.write(tomorrow)


async def test_the_receiver_who_waits_goes_on_when_a_sender_is_refused(
    kit: Kit,
) -> None:
    limited(kit, messages_mib_per_day=1)
    for _ in range(5):
        await send(kit, "alice", OPERATOR, LARGE)
    bob = await kit.holder(kit.registry.get("bob"))
    waits = await parks(kit, bob)
    await refused(ErrorCode.RATE_LIMITED, send(kit, "alice", "bob", LARGE))
    async with asyncio.timeout(PATIENCE_S):
        assert (await waits).messages == ()


@pytest.mark.parametrize("to", ["bob", OPERATOR])
async def test_questions_and_answers_count_as_what_is_sent(kit: Kit, to: str) -> None:
    limited(kit, messages_mib_per_day=1)
    alice = kit.registry.get("alice")
    for _ in range(5):
        await send(kit, "alice", "bob", LARGE)
    await send(kit, "alice", "bob", "x" * 20_000)
    large = AskParams(to=to, question="?" * 16_000)
    await refused(ErrorCode.RATE_LIMITED, kit.questions.ask(alice, large))


async def test_answers_count_as_what_is_sent(kit: Kit) -> None:
    limited(kit, messages_mib_per_day=1)
    asked = await kit.questions.ask(
        kit.registry.get("alice"), AskParams(to="bob", question="Why?")
    )
    for _ in range(5):
        await send(kit, "bob", OPERATOR, LARGE)
    await send(kit, "bob", OPERATOR, "x" * 20_000)
    answer = AnswerParams(question=asked.question, text="y" * 8_000)
    await refused(ErrorCode.RATE_LIMITED, kit.questions.answer("bob", answer))
    short = AnswerParams(question=asked.question, text="because")
    await kit.questions.answer("bob", short)  # it is still open


async def test_reminders_count_as_what_is_sent(kit: Kit) -> None:
    limited(kit, messages_mib_per_day=1)
    reminders = Reminders(store=kit.store, registry=kit.registry, broker=kit.broker)
    for _ in range(5):
        await send(kit, "alice", "bob", LARGE)
    await send(kit, "alice", "bob", "x" * 22_500)
    params = RemindParams(text="z" * 4000, in_seconds=3600)
    call = reminders.remind(kit.registry.get("alice"), params)
    await refused(ErrorCode.RATE_LIMITED, call)


async def test_an_inbox_holds_so_many_bytes(kit: Kit) -> None:
    limited(kit, inbox_mib=1)
    for _ in range(5):
        await send(kit, "alice", "bob", LARGE)
    error = await refused(ErrorCode.TOO_MANY, send(kit, "alice", "bob", LARGE))
    assert "The inbox of bob is full (1 MiB)" in error.message
    await send(kit, "alice", OPERATOR, LARGE)
    bob = await kit.holder(kit.registry.get("bob"))
    await kit.broker.mailbox.recv(bob, RecvParams(wait_seconds=0, max=2))
    await refused(ErrorCode.TOO_MANY, send(kit, "alice", "bob", LARGE))
    await acked(kit.broker.mailbox, bob)
    await send(kit, "alice", "bob", LARGE)


async def test_the_bytes_of_an_inbox_follow_every_change_of_a_message(
    kit: Kit,
) -> None:
    async def agrees() -> int:
        def read(reader: Any) -> tuple[int, int]:
            counted = reader.execute(
                "SELECT coalesce(sum(length(CAST(body AS BLOB))), 0) FROM message "
                "WHERE recipient = 'bob' AND state IN ('waiting', 'held')"
            ).fetchone()[0]
            return messages.inbox_bytes(reader, "bob"), int(counted)

        kept, counted = await kit.store.read(read)
        assert kept == counted
        return kept

    for body in ("one", "zwei é", "three"):
        await send(kit, "alice", "bob", body)
    assert await agrees() == 15
    bob = await kit.holder(kit.registry.get("bob"))
    await kit.broker.mailbox.recv(bob, RecvParams(wait_seconds=0, max=2))
    await agrees()
    kit.broker.delivery.release_loose(bob)
    await agrees()
    await kit.broker.mailbox.recv(bob, RecvParams(wait_seconds=0, max=1))
    await acked(kit.broker.mailbox, bob)
    assert await agrees() == 12
    await kit.store.write(lambda tx: messages.let_go(tx, "bob"))
    assert await agrees() == 0


# --- how many -----------------------------------------------------------------------


async def test_so_many_questions_are_open(kit: Kit) -> None:
    limited(kit, questions=2)
    alice = kit.registry.get("alice")
    for _ in range(2):
        await kit.questions.ask(alice, AskParams(question="?"))
    call = kit.questions.ask(alice, AskParams(question="?"))
    assert "2 open questions" in (await refused(ErrorCode.TOO_MANY, call)).message


async def test_so_many_reminders_are_to_come(kit: Kit) -> None:
    limited(kit, reminders=2)
    reminders = Reminders(store=kit.store, registry=kit.registry, broker=kit.broker)
    alice = kit.registry.get("alice")
    params = RemindParams(text="t", in_seconds=3600)
    for _ in range(2):
        await reminders.remind(alice, params)
    call = reminders.remind(alice, params)
    assert "2 pending reminders" in (await refused(ErrorCode.TOO_MANY, call)).message


async def test_the_manager_has_so_many_drafts(kit: Kit, tmp_path: Path) -> None:
    operations = Operations(store=kit.store, audit=kit.audit)
    found = Drafts(
        store=kit.store,
        registry=kit.registry,
        operations=operations,
        layout=Layout(tmp_path, tmp_path),
        quotas=Quotas(drafts=1),
    )
    await kit.store.write(
        lambda tx: drafts.insert(tx, "one", by=MANAGER, description="")
    )
    error = await refused(ErrorCode.TOO_MANY, found.make("two", "", MANAGER))
    assert "There are 1 drafts" in error.message


class Made:
    """Proposals and operations that only count what comes through."""

    def __init__(self, size: int = 0) -> None:
        self.calls: list[str] = []
        self._size = size
        self.uploads = self

    def size(self, _upload: str) -> int:
        return self._size

    def drop(self, upload: str) -> None:
        self.calls.append(f"dropped {upload}")

    def add(self, upload: str, data: bytes) -> None:
        self.calls.append(f"{data!r} to {upload}")

    async def begin(self, params: SubmitBeginParams) -> SubmitBeginResult:
        return SubmitBeginResult(upload=params.agent, main=None)

    async def spawn(self, name: str, *_: str) -> str:
        self.calls.append(name)
        return name

    async def submit(self, upload: str, _by: str) -> Any:
        raise HiveError(ErrorCode.INVALID_PACK, f"{upload} is bad.")

    async def request(self, kind: Any, name: str, *, by: str) -> Any:
        self.calls.append(f"{kind.value} {name} {by}")
        return msgspec.structs.replace(_OPERATION)


class _Operation(msgspec.Struct):
    id: int = 1


_OPERATION = _Operation()


def submissions(kit: Kit, made: Made, **values: int) -> Submissions:
    part: Any = made
    return Submissions(store=kit.store, proposals=part, quotas=Quotas(**values))


async def test_an_hour_has_so_many_proposals(kit: Kit) -> None:
    made = Made()
    found = submissions(kit, made, proposals_per_hour=2)
    for name in ("one", "two"):
        await found.spawn(SpawnParams(name=name, description=""))
    call = found.spawn(SpawnParams(name="three", description=""))
    error = await refused(ErrorCode.RATE_LIMITED, call)
    assert "its limit of 2 proposals an hour" in error.message
    assert made.calls == ["one", "two"]


async def commit(found: Submissions, upload: str, line: Any) -> Any:
    """Begin this upload on ``line`` and commit it."""
    await found.begin(SubmitBeginParams(agent=upload, commit="0" * 40), line)
    return await found.commit(SubmitCommitParams(upload=upload), line)


async def test_a_day_has_so_many_bytes_of_proposals_also_bad_ones(kit: Kit) -> None:
    made = Made(size=MIB // 2)
    found, line = submissions(kit, made, proposals_mib_per_day=1), object()
    for upload in ("a", "b"):
        await refused(ErrorCode.INVALID_PACK, commit(found, upload, line))
    error = await refused(ErrorCode.RATE_LIMITED, commit(found, "c", line))
    assert "its limit of 1 MiB of proposals today" in error.message
    assert made.calls == ["dropped c"], "and its file is gone"


async def test_an_upload_is_its_connections_alone_and_ends_with_it(kit: Kit) -> None:
    made = Made()
    found = submissions(kit, made)
    mine: Any = object()
    other: Any = object()
    for name in ("a", "b"):
        await found.begin(SubmitBeginParams(agent=name, commit="0" * 40), mine)
    chunk = SubmitChunkParams(upload="a", data=b"pack")
    await refused(ErrorCode.NOT_FOUND, found.chunk(chunk, other))
    whole = SubmitCommitParams(upload="a")
    await refused(ErrorCode.NOT_FOUND, found.commit(whole, other))
    found.drop_of(other)
    await found.chunk(chunk, mine)
    await refused(ErrorCode.INVALID_PACK, found.commit(whole, mine))
    await refused(ErrorCode.NOT_FOUND, found.commit(whole, mine))
    found.drop_of(mine)
    assert made.calls == ["b'pack' to a", "dropped b"]


async def test_an_hour_has_so_many_operations_of_the_manager(kit: Kit) -> None:
    made = Made()
    part: Any = made
    found = ManagerOperations(
        store=kit.store,
        registry=kit.registry,
        operations=part,
        redeploy=part,
        quotas=Quotas(operations_per_hour=2),
    )
    itself = AgentParams(agent=MANAGER)
    await refused(ErrorCode.FORBIDDEN, found.request(OperationKind.STOP, itself))
    await refused(ErrorCode.FORBIDDEN, found.rebuild(itself))
    params = AgentParams(agent="alice")
    for _ in range(2):
        await found.request(OperationKind.RESTART, params)
    for kind in (OperationKind.STOP, OperationKind.START):
        await refused(ErrorCode.RATE_LIMITED, found.request(kind, params))
    await refused(ErrorCode.RATE_LIMITED, found.rebuild(params))
    assert made.calls == ["restart alice manager"] * 2


def test_every_quota_has_a_limit_by_default() -> None:
    assert all(value is not None for value in msgspec.structs.astuple(Quotas()))
