"""Approving: one state, one event, and the operation that it queued."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from checks.kits.api.events import data
from checks.kits.host.store import Kit, open_kit
from pyglue.api.approvals import (
    ApprovalKind,
    ApprovalState,
    ApproveParams,
    Danger,
    Effect,
    PolicyChange,
)
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.changes.approvals import Approvals
from pyglue.host.core.operations import Operations
from pyglue.store import approvals
from pyglue.store.approvals import ApprovalRow, NewApproval

COMMIT, HASH = "c" * 40, "0" * 64


@dataclass
class Place:
    """A hive's store with its approvals."""

    kit: Kit
    parts: Approvals

    async def propose(self, *policy: PolicyChange) -> ApproveParams:
        """Return what approves a new proposal without critical changes."""
        new = NewApproval(
            agent="alice",
            kind=ApprovalKind.CHANGE,
            commit=COMMIT,
            main=None,
            record=b"{}",
            manifest_sha256=HASH,
            nixos_options=(),
            policy=policy,
            description="d",
            proposed_by="manager",
            author="a",
            message="m",
        )
        number = await self.kit.store.write(approvals.reserve_id)
        await self.kit.store.write(lambda tx: approvals.insert(tx, number, new))
        return ApproveParams(id=number, commit=COMMIT, manifest=HASH)

    async def row(self, number: int) -> ApprovalRow:
        """Return an approval as it is stored."""
        return await self.kit.store.read(lambda reader: approvals.get(reader, number))


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    kit = await open_kit(tmp_path)
    await kit.agent("alice")
    nobody: Any = None
    operations = Operations(store=kit.store, audit=kit.audit)
    parts = Approvals(
        store=kit.store,
        registry=kit.registry,
        notifications=nobody,
        operations=operations,
        kept_files=nobody,
        audit=kit.audit,
        review=nobody,
        config=HiveConfig(state_dir=str(tmp_path), runtime_dir=str(tmp_path)),
    )
    yield Place(kit, parts)
    await operations.close()
    await kit.store.close()


async def test_an_approval_is_one_event_with_its_operation(place: Place) -> None:
    params = await place.propose()
    operation = await place.parts.approve(params, "ann")
    told = [data(one) for one in place.kit.events if one.kind == "approval.changed"]
    assert [one["state"] for one in told] == [ApprovalState.APPROVED]
    row = await place.row(params.id)
    assert (row.state, row.decided_by) == (ApprovalState.APPROVED, "ann")
    assert row.operation == operation.id


def change(option: str, danger: Danger) -> PolicyChange:
    return PolicyChange(option, Effect.WIDENS, "It may.", None, None, danger=danger)


async def test_exactly_the_critical_changes_have_to_be_accepted(place: Place) -> None:
    params = await place.propose(
        change("network", Danger.CRITICAL),
        change("model", Danger.MEDIUM),
        change("env", Danger.CRITICAL),  # a later one, as older hives stored them
    )
    for wrong in ((), (1,), (1, 2), (1, 2, 3), (1, 3, 3), (1, 4), (2,)):
        asked = msgspec.structs.replace(params, accepted=wrong)
        with pytest.raises(
            HiveError, match=r"critical changes of .* 1 and 3"
        ) as caught:
            await place.parts.approve(asked, "ann")
        assert caught.value.code is ErrorCode.BAD_REQUEST
        assert (await place.row(params.id)).state is ApprovalState.PENDING
    accepted = msgspec.structs.replace(params, accepted=(3, 1))
    await place.parts.approve(accepted, "ann")
    assert (await place.row(params.id)).state is ApprovalState.APPROVED


async def test_what_is_not_critical_is_not_accepted_one_by_one(place: Place) -> None:
    params = await place.propose(change("model", Danger.HIGH))
    asked = msgspec.structs.replace(params, accepted=(1,))
    with pytest.raises(HiveError, match=r"critical changes of .*: none"):
        await place.parts.approve(asked, "ann")
    await place.parts.approve(params, "ann")
