"""Lines around a proposal's changes, from the commits that its page shows."""

from pathlib import Path
from typing import Any, Final

import pytest

from checks.kits.host.store import Kit, open_kit
from pyglue.api.approvals import ApprovalKind, ApprovalState, ContextParams, DiffBase
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.host_commits import commit_files, seed_main
from pyglue.git.repos import AppliedRepo
from pyglue.host.changes.review import Review
from pyglue.store import approvals
from pyglue.store.approvals import NewApproval

pytestmark = pytest.mark.needs("git")

TEXT: Final = b"".join(b"%d\n" % n for n in range(1, 51))


async def propose(kit: Kit, commit: str, kind: ApprovalKind) -> int:
    new = NewApproval(
        agent="alice",
        kind=kind,
        commit=commit,
        main=None,
        record=b"{}",
        manifest_sha256="0" * 64,
        nixos_options=(),
        policy=(),
        description="d",
        proposed_by="manager",
        author="a",
        message="m",
    )
    number = await kit.store.write(approvals.reserve_id)
    await kit.store.write(lambda tx: approvals.insert(tx, number, new))
    return number


async def test_lines_are_read_from_the_commits_of_the_approval(tmp_path: Path) -> None:
    kit = await open_kit(tmp_path)
    await kit.agent("alice")
    config = HiveConfig(state_dir=str(tmp_path), runtime_dir=str(tmp_path))
    path = config.layout.applied("alice")
    path.parent.mkdir(parents=True, exist_ok=True)
    repo = AppliedRepo.create(path)
    first = seed_main(repo, {"agent.nix": b"{ }\n", "a": TEXT}, message="m", at=1)
    changed = {"agent.nix": b"{ }\n", "a": TEXT.replace(b"25\n", b"x\ny\n")}
    second = commit_files(repo, changed, message="m", at=2)
    nobody: Any = None
    review = Review(store=kit.store, config=config, webhooks=nobody, secret_uses=nobody)
    spawned = await propose(kit, first, ApprovalKind.SPAWN)
    state = ApprovalState.DEPLOYED
    await kit.store.write(lambda tx: approvals.decide(tx, spawned, state, by="ann"))
    assert second is not None
    number = await propose(kit, second, ApprovalKind.CHANGE)
    asked = ContextParams(id=number, file="a", first=40, last=41)
    shown = (await review.context(asked)).lines
    assert [(one.text, one.old_no, one.new_no) for one in shown] == [
        ("39", 39, 40),
        ("40", 40, 41),
    ]
    refused = (
        (ContextParams(id=number, file="a", first=25, last=25), ErrorCode.BAD_REQUEST),
        (ContextParams(id=number, file="../a", first=1, last=1), ErrorCode.NOT_FOUND),
        (ContextParams(id=99, file="a", first=1, last=1), ErrorCode.NOT_FOUND),
        # Compared with nothing, the file is new: all of it is shown already.
        (ContextParams(id=spawned, file="a", first=1, last=1), ErrorCode.BAD_REQUEST),
        (
            ContextParams(
                id=spawned, file="a", first=1, last=1, base=DiffBase.PREVIOUS
            ),
            ErrorCode.BAD_REQUEST,
        ),
    )
    for params, code in refused:
        with pytest.raises(HiveError) as caught:
            await review.context(params)
        assert caught.value.code is code, params
    await kit.store.close()
