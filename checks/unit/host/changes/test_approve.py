"""Approving: one state, one event, and the operation that it queued."""

from pathlib import Path
from typing import Any

from checks.kits.events import data
from checks.kits.host.store import open_kit
from pyglue.api.approvals import ApprovalKind, ApprovalState, ApproveParams
from pyglue.config import HiveConfig
from pyglue.host.changes.approvals import Approvals
from pyglue.host.core.operations import Operations
from pyglue.store import approvals
from pyglue.store.approvals import NewApproval

COMMIT, HASH = "c" * 40, "0" * 64


async def test_an_approval_is_one_event_with_its_operation(tmp_path: Path) -> None:
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
    new = NewApproval(
        agent="alice",
        kind=ApprovalKind.CHANGE,
        commit=COMMIT,
        main=None,
        record=b"{}",
        manifest_sha256=HASH,
        nixos_options=(),
        policy=(),
        description="d",
        proposed_by="manager",
        author="a",
        message="m",
    )
    number = await kit.store.write(approvals.reserve_id)
    await kit.store.write(lambda tx: approvals.insert(tx, number, new))
    params = ApproveParams(id=number, commit=COMMIT, manifest=HASH)
    operation = await parts.approve(params, "ann")
    told = [data(one) for one in kit.events if one.kind == "approval.changed"]
    assert [one["state"] for one in told] == [ApprovalState.APPROVED]
    row = await kit.store.read(lambda reader: approvals.get(reader, number))
    assert (row.state, row.decided_by) == (ApprovalState.APPROVED, "ann")
    assert row.operation == operation.id
    await operations.close()
    await kit.store.close()
