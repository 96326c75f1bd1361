"""Cancelled operations: before they start, while they build, and too late."""

import asyncio
from typing import ClassVar

import pytest

from checks.kits.host.store import Kit
from checks.kits.patience import PATIENCE_S
from pyglue.api.operations import (
    CANCELLABLE,
    CancelOperationParams,
    Operation,
    OperationKind,
    OperationState,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.changes.deploy import Deploy
from pyglue.host.changes.rebuild import RebuildAllHandler
from pyglue.host.core.operations import Operations
from pyglue.names import MANAGER
from pyglue.store import operations as rows

WHO = "cli uid 0"


class Handler:
    """Stops in each step until it is let go."""

    steps: ClassVar[tuple[str, ...]] = ("tag", "build", "apply", "fail")

    def __init__(self) -> None:
        self.done: list[str] = []
        self.entered: asyncio.Queue[str] = asyncio.Queue()
        self.go = {step: asyncio.Event() for step in self.steps}
        for step in ("tag", "fail"):
            self.go[step].set()

    async def run(self, operation: Operation, step: str) -> str | None:
        del operation
        self.entered.put_nowait(step)
        await self.go[step].wait()
        self.done.append(step)
        return {"tag": "build", "build": "apply"}.get(step)

    def recover(self, step: str) -> str | None:
        return None if step == "fail" else "fail"

    async def at(self, step: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while await self.entered.get() != step:
                pass


async def started(kit: Kit, machine: Handler) -> Operations:
    """Return operations that all run on ``machine``."""
    operations = Operations(store=kit.store, audit=kit.audit)
    await operations.start(dict.fromkeys(OperationKind, machine))
    return operations


async def deploy(operations: Operations) -> int:
    kind = OperationKind.DEPLOY
    return (await operations.request(kind, "alice", by=WHO)).id


async def cancelled(operations: Operations, number: int, reason: str = "") -> Operation:
    """Cancel, and return the operation at its end."""
    params = CancelOperationParams(id=number, reason=reason)
    await operations.cancel(params, WHO)
    return await operations.get(number, PATIENCE_S)


async def test_the_end_is_awaited_by_who_saw_the_row_first(kit: Kit) -> None:
    """An operation is recorded, and queued after that: lists show it before."""
    machine = Handler()
    operations = await started(kit, machine)
    machine.go["build"].set()
    machine.go["apply"].set()
    kind = OperationKind.DEPLOY
    recorded = await kit.store.write(
        lambda tx: rows.insert(tx, kind=kind, agent="alice", requested_by=WHO)
    )
    assert (await operations.get(recorded.id, 0)).state is OperationState.QUEUED
    waiting = [
        asyncio.create_task(operations.get(recorded.id, PATIENCE_S)) for _ in range(2)
    ]
    answered, _ = await asyncio.wait(waiting, timeout=0.05)
    assert not answered, "it is not even queued"
    operations.requested(recorded)
    for one in waiting:
        assert (await one).state is OperationState.DONE
    assert (await operations.get(recorded.id, PATIENCE_S)).state is OperationState.DONE
    with pytest.raises(HiveError) as caught:
        await operations.get(recorded.id + 1, PATIENCE_S)
    assert caught.value.code is ErrorCode.NOT_FOUND


async def test_a_build_is_interrupted_and_mended(kit: Kit) -> None:
    machine = Handler()
    operations = await started(kit, machine)
    number = await deploy(operations)
    await machine.at("build")
    ended = await cancelled(operations, number, "not this\x1b one")
    assert ended.state is OperationState.FAILED
    assert ended.error is not None
    assert ended.error.startswith(f"Cancelled by {WHO}. Reason: not this")
    assert "\x1b" not in ended.error
    assert machine.done == ["tag", "fail"]
    assert kit.audited() == [
        (WHO, "deploy_requested", "alice"),
        (WHO, "operation_cancelled", "alice"),
        ("system", "deploy_failed", "alice"),
    ]
    await operations.close()


async def test_what_waits_never_begins(kit: Kit) -> None:
    machine = Handler()
    operations = await started(kit, machine)
    first = await deploy(operations)
    await machine.at("build")
    second = await deploy(operations)
    params = CancelOperationParams(id=second)
    await operations.cancel(params, WHO)
    await cancelled(operations, first)
    ended = await operations.get(second, PATIENCE_S)
    assert ended.error == f"Cancelled by {WHO}."
    assert machine.done == ["tag", "fail", "fail"]
    await operations.close()


async def test_a_build_that_ends_at_that_moment_goes_no_further(kit: Kit) -> None:
    machine = Handler()
    operations = await started(kit, machine)
    number = await deploy(operations)
    await machine.at("build")
    machine.go["build"].set()  # seen by the runner while the cancelling is stored
    ended = await cancelled(operations, number)
    assert ended.state is OperationState.FAILED
    assert "apply" not in machine.done
    await operations.close()


async def test_a_hived_that_dies_cancelling_goes_on_to_it(kit: Kit) -> None:
    machine = Handler()
    operations = await started(kit, machine)
    number = await deploy(operations)
    waits = await deploy(operations)
    await machine.at("build")
    for one in (number, waits):
        await kit.store.write(lambda tx, it=one: rows.cancel(tx, it, "It was told so."))
    await operations.close()
    again = Handler()
    operations = await started(kit, again)
    for one in (number, waits):
        assert (await operations.get(one, PATIENCE_S)).error == "It was told so."
    assert again.done == ["fail", "fail"]
    await operations.close()


async def test_what_is_applied_or_over_is_not_cancelled(kit: Kit) -> None:
    machine = Handler()
    operations = await started(kit, machine)
    number = await deploy(operations)
    machine.go["build"].set()
    await machine.at("apply")
    with pytest.raises(
        HiveError, match="is at the step 'apply' and can no longer be cancelled"
    ) as refused:
        await cancelled(operations, number)
    assert refused.value.code is ErrorCode.CONFLICT
    machine.go["apply"].set()
    await operations.get(number, PATIENCE_S)
    with pytest.raises(HiveError, match="has already ended: done"):
        await cancelled(operations, number)
    with pytest.raises(HiveError, match="There is no operation 99"):
        await cancelled(operations, 99)
    assert (WHO, "operation_cancelled", "alice") not in kit.audited()
    await operations.close()


async def test_only_one_cancels(kit: Kit) -> None:
    machine = Handler()
    operations = await started(kit, machine)
    number = await deploy(operations)
    await machine.at("build")
    params = CancelOperationParams(id=number)
    both = await asyncio.gather(
        *(operations.cancel(params, who) for who in ("one", "two")),
        return_exceptions=True,
    )
    (refused,) = [one for one in both if isinstance(one, HiveError)]
    assert refused.code is ErrorCode.CONFLICT
    await operations.close()


async def test_what_ends_an_agent_is_not_cancelled(kit: Kit) -> None:
    machine = Handler()
    operations = await started(kit, machine)
    kind = OperationKind.PURGE
    number = (await operations.request(kind, "alice", by=WHO)).id
    await machine.at("build")
    with pytest.raises(HiveError) as refused:
        await cancelled(operations, number)
    assert refused.value.code is ErrorCode.CONFLICT
    await operations.close()


async def test_a_manager_in_a_loop_is_held_up(kit: Kit) -> None:
    machine = Handler()
    operations = await started(kit, machine)
    kind = OperationKind.RESTART
    await operations.request(kind, "alice", by=MANAGER)
    await machine.at("build")
    with pytest.raises(HiveError) as refused:
        for _ in range(100):
            await operations.request(kind, "alice", by=MANAGER)
    assert refused.value.code is ErrorCode.TOO_MANY
    await operations.request(OperationKind.STOP, "alice", by=WHO)  # the operator may
    await operations.close()


def test_the_steps_that_may_be_cancelled_are_steps() -> None:
    for kind, step in CANCELLABLE.items():
        machine = RebuildAllHandler if kind is OperationKind.REBUILD_ALL else Deploy
        assert step in machine.steps
