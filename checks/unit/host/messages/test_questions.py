"""Questions: answers, ends, audit log, and rate limits."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from checks.kits.host.messages import NOW, WAIT, holder
from checks.kits.host.store import Kit, open_kit
from checks.kits.patience import PATIENCE_S
from pyglue.api.audit import AuditEntry, AuditExportParams
from pyglue.api.messages import MessageKind
from pyglue.api.questions import (
    AnswerParams,
    AskParams,
    CancelQuestionParams,
    DismissParams,
)
from pyglue.config import MessageLimits
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core import audit_log
from pyglue.host.core.agent import Receiver
from pyglue.store import messages as message_rows
from pyglue.store import questions

OPERATOR = "session 01234567"


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    opened = await open_kit(tmp_path, MessageLimits(per_pair_per_minute=5))
    await opened.agent("alice")
    await opened.agent("bob")
    yield opened
    await opened.store.close()


async def ask(kit: Kit, to: str = "operator", ttl: int | None = None) -> int:
    """Let alice ask, and return the question's number."""
    params = AskParams(question="Red?", options=("yes", "no"), to=to, ttl_seconds=ttl)
    return (await kit.questions.ask(kit.registry.get("alice"), params)).question


def only(kit: Kit) -> AuditEntry:
    """Return the one line that there is."""
    (entry,) = audit_log.export(kit.audit.path, AuditExportParams()).entries
    return entry


async def test_a_question_is_answered_by_message(kit: Kit) -> None:
    asked = await kit.questions.ask(
        kit.registry.get("alice"),
        AskParams(question="Red?", options=("yes", "no"), to="bob"),
    )
    put = (await kit.broker.mailbox.recv(holder(kit, "bob"), NOW)).messages
    assert put[0].kind is MessageKind.QUESTION
    await kit.questions.answer(
        "bob", AnswerParams(question=asked.question, choices=("yes",), text="really")
    )
    answer = (await kit.broker.mailbox.recv(holder(kit, "alice"), NOW)).messages[0]
    assert (answer.sender, answer.kind) == ("bob", MessageKind.ANSWER)
    assert answer.body.endswith("yes\nreally")


@pytest.mark.parametrize(
    ("by", "params", "code"),
    [
        ("manager", {"choices": ("yes",)}, ErrorCode.NOT_FOUND),
        ("bob", {"choices": ("maybe",)}, ErrorCode.BAD_REQUEST),
        ("bob", {"choices": ("yes", "no")}, ErrorCode.BAD_REQUEST),
        ("bob", {}, ErrorCode.BAD_REQUEST),
    ],
)
async def test_wrong_answers_are_refused(
    kit: Kit, by: str, params: dict[str, Any], code: ErrorCode
) -> None:
    asked = await kit.questions.ask(
        kit.registry.get("alice"),
        AskParams(question="Red?", options=("yes", "no"), to="bob"),
    )
    with pytest.raises(HiveError) as caught:
        await kit.questions.answer(by, AnswerParams(question=asked.question, **params))
    assert caught.value.code is code


async def test_a_question_expires_by_itself(kit: Kit) -> None:
    watching = asyncio.create_task(kit.questions.watch())
    alice = kit.registry.get("alice")
    await kit.questions.ask(alice, AskParams(question="Now?", ttl_seconds=1))
    async with asyncio.timeout(PATIENCE_S):
        told = (await kit.broker.mailbox.recv(Receiver(agent=alice), WAIT)).messages
    assert "Expired without an answer" in told[0].body
    assert await kit.store.read(lambda r: questions.open_count(r, "operator")) == 0
    watching.cancel()


async def test_an_answer_is_audited_with_who_gave_it(kit: Kit) -> None:
    number = await ask(kit)
    params = AnswerParams(question=number, choices=("no",), text="a secret")
    await kit.questions.answer("operator", params, who=OPERATOR)
    line = only(kit)
    assert (line.who, line.what, line.agent) == (OPERATOR, "question_answered", "alice")
    assert line.data == {"question": number, "to": "operator", "chosen": [2]}


async def test_an_answer_of_a_peer_is_audited_as_its_own(kit: Kit) -> None:
    number = await ask(kit, to="bob")
    await kit.questions.answer("bob", AnswerParams(question=number, text="why not"))
    assert kit.audited() == [("bob", "question_answered", "alice")]


async def test_a_question_taken_back_is_audited(kit: Kit) -> None:
    number = await ask(kit)
    alice = kit.registry.get("alice")
    await kit.questions.cancel(alice, CancelQuestionParams(question=number))
    assert kit.audited() == [("alice", "question_cancelled", "alice")]


async def test_a_dismissal_is_audited_with_its_reason(kit: Kit) -> None:
    params = DismissParams(question=await ask(kit), reason="not now")
    await kit.questions.dismiss(params, OPERATOR)
    line = only(kit)
    assert (line.who, line.what) == (OPERATOR, "question_dismissed")
    assert line.data["reason"] == "not now"


async def test_an_expiry_is_audited_as_the_hives(kit: Kit) -> None:
    watching = asyncio.create_task(kit.questions.watch())
    await ask(kit, ttl=1)
    async with asyncio.timeout(PATIENCE_S):
        await kit.broker.mailbox.recv(Receiver(agent=kit.registry.get("alice")), WAIT)
    assert kit.audited() == [("system", "question_expired", "alice")]
    watching.cancel()


async def test_a_full_inbox_neither_loses_an_answer_nor_stops_expiry(
    tmp_path: Path,
) -> None:
    kit = await open_kit(tmp_path, MessageLimits(inbox_max=1))
    alice = await kit.agent("alice")
    await kit.broker.notify("alice", "This fills it.")
    watching = asyncio.create_task(kit.questions.watch())
    answered = await ask(kit)
    await kit.questions.answer("operator", AnswerParams(question=answered, text="yes"))
    await ask(kit, ttl=1)
    bodies: list[str] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(bodies) < 3:
            got = await kit.broker.mailbox.recv(Receiver(agent=alice), WAIT)
            bodies += [message.body for message in got.messages]
    assert ["fills" in bodies[0], "yes" in bodies[1], "Expired" in bodies[2]] == [
        True,
        True,
        True,
    ]
    assert not watching.done()
    watching.cancel()
    await kit.store.close()


async def test_an_asker_that_is_gone_does_not_stop_expiry(kit: Kit) -> None:
    """It may be destroyed between the end of its question and the telling."""
    watching = asyncio.create_task(kit.questions.watch())
    await kit.agent("carol")
    carol = kit.registry.get("carol")
    asking = AskParams(question="Red?", ttl_seconds=1)
    await kit.questions.ask(carol, asking)
    kit.registry.forget("carol")
    await ask(kit, ttl=2)
    async with asyncio.timeout(PATIENCE_S):
        await kit.broker.mailbox.recv(Receiver(agent=kit.registry.get("alice")), WAIT)
    assert [who for _, _, who in kit.audited()] == ["carol", "alice"]
    assert not watching.done()
    watching.cancel()


async def test_what_is_refused_is_not_audited(kit: Kit) -> None:
    number = await ask(kit)
    with pytest.raises(HiveError):
        await kit.questions.answer("bob", AnswerParams(question=number, text="I"))
    bob = kit.registry.get("bob")
    with pytest.raises(HiveError):
        await kit.questions.cancel(bob, CancelQuestionParams(question=number))
    assert kit.audited() == []


async def test_asking_and_taking_back_is_no_way_to_flood_the_log(kit: Kit) -> None:
    alice = kit.registry.get("alice")
    for _ in range(5):
        number = await ask(kit)
        await kit.questions.cancel(alice, CancelQuestionParams(question=number))
    with pytest.raises(HiveError) as refused:
        await ask(kit)
    assert refused.value.code is ErrorCode.RATE_LIMITED


def on_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let no message be written until the patch is undone."""

    def refuse(*_: object, **__: object) -> None:
        raise HiveError(ErrorCode.DISK_FULL, "The disk is full.")

    monkeypatch.setattr(message_rows, "insert", refuse)
    return monkeypatch


async def open_questions(kit: Kit) -> int:
    return await kit.store.read(lambda r: len(questions.open_with(r, "alice")))


async def test_a_question_that_could_not_be_told_of_stays_open_and_expires_later(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = await ask(kit, ttl=1)
    await kit.store.write(
        lambda tx: tx.execute("UPDATE question SET expires_at = 0 WHERE id = ?", number)
    )
    full = on_a_full_disk(monkeypatch)
    assert (await kit.questions._expire_due() or 0) > 1  # not at once again
    assert (await open_questions(kit), kit.audited()) == (1, [])
    full.undo()
    assert await kit.questions._expire_due() is None
    told = (await kit.broker.mailbox.recv(holder(kit, "alice"), NOW)).messages
    assert "Expired without an answer" in told[0].body
    assert kit.audited() == [("system", "question_expired", "alice")]


async def test_what_ends_a_question_tells_of_it_or_does_not_end_it(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = await ask(kit)
    answer = AnswerParams(question=number, choices=("yes",))
    full = on_a_full_disk(monkeypatch)
    with pytest.raises(HiveError):
        await kit.questions.answer("operator", answer)
    with pytest.raises(HiveError):
        await kit.questions.dismiss(DismissParams(question=number), OPERATOR)
    with pytest.raises(HiveError):  # nobody would hear of it
        await ask(kit, to="bob")
    assert (await open_questions(kit), kit.audited()) == (1, [])
    full.undo()
    await kit.questions.answer("operator", answer)
    assert (await open_questions(kit)) == 0
