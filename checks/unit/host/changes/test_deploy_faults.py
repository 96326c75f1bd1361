"""A fault at every statement of approving, deploying, reverting, denying, cancelling.

As ``messages/test_store_faults``: once at each statement, and from each for a while.
A decision that is refused was not made. A deploy waits until the store is well, and
then ends as it would have: git, store, memory and the manager's inbox say the same.
"""

import asyncio
import itertools
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from checks.kits.host.agreement import Witness
from checks.kits.host.deploys import Deploys, open_deploys, quick_refs
from checks.kits.host.messages import acked
from checks.kits.host.store import open_kit
from checks.kits.patience import PATIENCE_S
from checks.kits.store.faults import FOR_A_WHILE, ONCE, Fault, Faults
from pyglue.api.approvals import (
    ApprovalState,
    ApproveParams,
    DenyParams,
    LineComment,
    RequestChangesParams,
)
from pyglue.api.manager import WithdrawParams
from pyglue.api.messages import RecvParams
from pyglue.api.operations import CancelOperationParams, Operation
from pyglue.git.tags import TagKind
from pyglue.host.core.agent import Receiver
from pyglue.store import agreement, approvals

WHO: Final = "ann"


@dataclass
class Scene:
    """bob's deploys on a store that fails."""

    deploys: Deploys
    faults: Faults
    witness: Witness

    async def approve(self, number: int) -> Operation:
        row = await self.row(number)
        params = ApproveParams(
            id=number, commit=row.commit, manifest=row.manifest_sha256
        )
        return await self.deploys.approvals.approve(params, WHO)

    async def row(self, number: int) -> approvals.ApprovalRow:
        return await self.deploys.kit.store.read(
            lambda reader: approvals.get(reader, number)
        )

    async def over(self, operation: Operation) -> Operation:
        """Wait for the end of an operation that waits for the store."""
        return await self.deploys.operations.get(operation.id, PATIENCE_S)

    async def told(self) -> list[str]:
        """Return what the manager is told, once and for all."""
        mailbox = self.deploys.kit.broker.mailbox
        holder = Receiver(agent=self.deploys.kit.registry.get("manager"))
        got = (await mailbox.recv(holder, RecvParams(max=32))).messages
        await acked(mailbox, holder)
        return [message.body for message in got]

    async def ends(
        self, number: int, state: ApprovalState, *, told: bool = True
    ) -> None:
        """See that git, store, memory and the manager say so."""
        bob, repo = self.deploys.kit.registry.get("bob"), self.deploys.repo
        row = await self.row(number)
        assert row.state is state
        assert (repo.main() == row.commit) is (state is ApprovalState.DEPLOYED)
        closing = {ApprovalState.CHANGES_REQUESTED: TagKind.CHANGES}
        assert repo.has_tag(closing.get(state) or TagKind(state.value), number)
        assert (bob.approval == number) is (state is ApprovalState.DEPLOYED)
        begins = [
            re.split(" is | failed|: ", text, maxsplit=1)[0]
            for text in await self.told()
        ]
        assert begins == [f"Approval {number} for bob"] * told


Scenario = Callable[[Scene], AsyncGenerator[None, None]]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    faults = Faults()
    kit = await open_kit(tmp_path, faults=faults)
    deploys = await open_deploys(kit, tmp_path)
    scene = Scene(deploys, faults, Witness(kit))
    with quick_refs():
        first = await deploys.propose()
        await scene.over(await scene.approve(first))
        await scene.ends(first, ApprovalState.DEPLOYED)
        yield scene
    faults.heal()
    await deploys.operations.close()
    await kit.store.close()


async def deploying(scene: Scene) -> AsyncGenerator[None, None]:
    number = await scene.deploys.propose()
    yield
    with scene.faults.may_be_refused():
        await scene.over(await scene.approve(number))
    yield
    if scene.faults.refused:
        assert (await scene.row(number)).state is ApprovalState.PENDING
        await scene.over(await scene.approve(number))
    await scene.ends(number, ApprovalState.DEPLOYED)


async def failing(scene: Scene) -> AsyncGenerator[None, None]:
    number = await scene.deploys.propose()
    before = scene.deploys.kit.registry.get("bob").approval
    scene.deploys.container.problem = "Its server is broken."
    yield
    with scene.faults.may_be_refused():
        await scene.over(await scene.approve(number))
    yield
    if scene.faults.refused:
        await scene.over(await scene.approve(number))
    scene.deploys.container.problem = None
    assert scene.deploys.kit.registry.get("bob").approval == before
    await scene.ends(number, ApprovalState.FAILED)


async def denying(scene: Scene) -> AsyncGenerator[None, None]:
    number = await scene.deploys.propose()
    params = DenyParams(id=number, reason="no")
    yield
    with scene.faults.may_be_refused():
        await scene.deploys.approvals.deny(params, WHO)
    yield
    if scene.faults.refused:
        assert (await scene.row(number)).state is ApprovalState.PENDING
        await scene.deploys.approvals.deny(params, WHO)
    await scene.ends(number, ApprovalState.DENIED)


async def requesting(scene: Scene) -> AsyncGenerator[None, None]:
    number = await scene.deploys.propose()
    comment = LineComment(file="agent.nix", line=1, text="Say more.")
    params = RequestChangesParams(id=number, comments=(comment,))
    yield
    with scene.faults.may_be_refused():
        await scene.deploys.approvals.request_changes(params, WHO)
    yield
    if scene.faults.refused:
        assert (await scene.row(number)).state is ApprovalState.PENDING
        await scene.deploys.approvals.request_changes(params, WHO)
    (kept,) = (await scene.row(number)).comments
    assert (kept.text, kept.line) == ("Say more.", 1)
    await scene.ends(number, ApprovalState.CHANGES_REQUESTED)


async def withdrawing(scene: Scene) -> AsyncGenerator[None, None]:
    number = await scene.deploys.propose()
    params = WithdrawParams(id=number)
    yield
    with scene.faults.may_be_refused():
        await scene.deploys.approvals.withdraw(params, "manager")
    yield
    if scene.faults.refused:
        await scene.deploys.approvals.withdraw(params, "manager")
    await scene.ends(number, ApprovalState.WITHDRAWN, told=False)


async def cancelling(scene: Scene) -> AsyncGenerator[None, None]:
    """A deploy is cancelled while it builds."""
    number = await scene.deploys.propose()
    builds, never = asyncio.Event(), asyncio.Event()

    async def build(*_: object) -> None:
        builds.set()
        await never.wait()

    scene.deploys.container.build = build  # type: ignore[assignment,method-assign]
    operation = await scene.approve(number)
    await builds.wait()
    yield
    with scene.faults.may_be_refused():
        params = CancelOperationParams(id=operation.id)
        await scene.deploys.operations.cancel(params, WHO)
        await scene.over(operation)
    yield
    if scene.faults.refused:
        await scene.deploys.operations.cancel(params, WHO)
        await scene.over(operation)
    del scene.deploys.container.build
    await scene.ends(number, ApprovalState.FAILED)


SCENARIOS: Final = (
    *(deploying, failing, denying, requesting),
    *(withdrawing, cancelling),
)
KINDS: Final = (Fault.FULL, Fault.READONLY, Fault.BUSY, Fault.IOERR, Fault.CORRUPT)


@pytest.mark.parametrize("times", [ONCE, FOR_A_WHILE])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda it: it.__name__)
async def test_a_fault_at_every_statement(
    scene: Scene, scenario: Scenario, times: int
) -> None:
    first = await until_it_starts(scene) if scenario is failing else 0
    step = 1 if times == ONCE else 4  # the ones in between fail with the one before
    for at in itertools.count(first, step):
        fault = KINDS[at % len(KINDS)]
        if not await fails_at(scene, scenario, at, fault, times):
            break
    assert at > 4


async def until_it_starts(scene: Scene) -> int:
    """Return after how many statements a deploy is its own: ``deploying`` has those."""
    number = await scene.deploys.propose()
    scene.deploys.container.starting = lambda: counts.append(
        len(scene.faults.statements)
    )
    counts: list[int] = []
    scene.faults.arm(10_000, Fault.FULL)
    await scene.over(await scene.approve(number))
    scene.deploys.container.starting = lambda: None
    await scene.ends(number, ApprovalState.DEPLOYED)
    return counts[0]


async def fails_at(
    scene: Scene, scenario: Scenario, at: int, fault: Fault, times: int
) -> bool:
    """Let the statement ``at`` of the scenario fail; false if it has no such one."""
    kit = scene.deploys.kit
    doing = scenario(scene)
    await anext(doing)
    await scene.witness.quiet()
    scene.faults.arm(at, fault, times=times)
    await anext(doing)
    fired = scene.faults.fired
    scene.faults.heal()
    await scene.witness.quiet()
    with pytest.raises(StopAsyncIteration):
        await anext(doing)
    await scene.witness.quiet()
    await scene.witness.agrees()
    assert await scene.deploys.inconsistent() == []
    assert not (await kit.store.read(agreement.read)).busy
    return fired
