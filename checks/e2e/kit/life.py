"""What operations of an agent's life do, asked for and seen as an operator does."""

import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from checks.kits.api import events
from checks.kits.host.hive import Hive
from pyglue.api import operator as api
from pyglue.api.approvals import ApprovalState, ApproveParams
from pyglue.api.archive import (
    CHUNK_MAX,
    ExportParams,
    ImportChunkParams,
    TransferParams,
)
from pyglue.api.common import AgentState, Method, NoParams
from pyglue.api.lifecycle import PurgeParams, RollbackParams
from pyglue.api.manager import START, STOP, AgentParams, SpawnParams
from pyglue.api.operations import OperationKind
from pyglue.errors import HiveError
from pyglue.git.repos import AppliedRepo


async def propose_all(hive: Hive) -> None:
    """Let all that needs the manager wait for approval, and stop it: it costs time."""
    await hive.operator.call(api.DRAFT, SpawnParams(name="bob"))
    commit = hive.commit("bob", {"agent.nix": '{ hyperhive.description = "bob"; }'})
    await hive.submit("bob", commit, spawn=True)
    await hive.propose("alice", '{ hyperhive.description = "changed"; }')
    await hive.operator.call(api.SPAWN, SpawnParams(name="carol"))
    await hive.operator.call(api.SPAWN, SpawnParams(name="dave"))
    for name in ("manager", "alice"):
        queued = await hive.operator.call(STOP, AgentParams(agent=name))
        await hive.operation(queued.operation)


def approve(name: str) -> Callable[[Hive], Awaitable[object]]:
    async def request(hive: Hive) -> object:
        (row,) = [r for r in await hive.approvals(name) if r.state == "pending"]
        return await hive.operator.call(
            api.APPROVE,
            ApproveParams(id=row.id, commit=row.commit, manifest=row.manifest_sha256),
        )

    return request


def call(
    method: Method[Any, Any], **params: object
) -> Callable[[Hive], Awaitable[object]]:
    async def request(hive: Hive) -> object:
        with contextlib.suppress(HiveError):  # the answer may die with hived
            return await hive.operator.call(method, method.params(**params))
        return None

    return request


async def rollback(hive: Hive) -> object:
    first = (await hive.approvals("alice"))[-1]
    params = RollbackParams(agent="alice", approval=first.id)
    return await hive.operator.call(api.ROLLBACK, params)


async def restore(hive: Hive) -> object:
    await hive.operator.call(api.RESTORE, AgentParams(agent="bob"))
    return await approve("bob")(hive)


async def _deployed(hive: Hive, name: str, *, runs: bool = True) -> None:
    """The newest approval is deployed, once; the agent is as it should be."""
    row = (await hive.approvals(name))[0]
    assert row.state is ApprovalState.DEPLOYED
    agent = await hive.agent(name)
    assert (agent.deployed_approval, agent.problem) == (row.id, None)
    repo = AppliedRepo(hive.local.config.layout.applied(name))
    assert repo.main() == row.commit
    kinds = [tag.kind.value for tag in repo.tags() if tag.id == row.id]
    assert kinds == ["approved", "building", "deployed", "proposal"]
    if runs:
        await hive.idle(name)
        queued = await hive.operator.call(STOP, AgentParams(agent=name))
        assert (await hive.operation(queued.operation)).error is None
    assert (await hive.agent(name)).state is AgentState.STOPPED


def is_deployed(name: str, *, runs: bool = True) -> Callable[[Hive], Awaitable[None]]:
    async def check(hive: Hive) -> None:
        await _deployed(hive, name, runs=runs)

    return check


def names(hive: Hive) -> dict[str, list[str]]:
    """Return which agents have what on disk and in the hive."""
    layout = hive.local.config.layout
    return {
        "home": sorted(path.name for path in layout.agents.iterdir()),
        "applied": sorted(path.name for path in layout.applied_root.iterdir()),
        "run": sorted(path.name for path in (layout.runtime / "agents").iterdir()),
        "quarantine": sorted(path.name for path in layout.quarantine.iterdir()),
    }


async def destroyed(hive: Hive) -> None:
    agents = (await hive.operator.call(api.AGENTS, NoParams())).agents
    assert "bob" not in {agent.name for agent in agents}
    found = (await hive.operator.call(api.KEPT, NoParams())).kept
    (kept,) = [one for one in found if one.name == "bob"]
    assert (kept.commit is None, len(kept.parts) >= 4) == (False, True)
    there = names(hive)
    assert "bob" in there["home"]
    assert "bob.git" in there["applied"]
    assert "bob" not in there["run"]
    told = [
        events.data(e) for e in hive.events if e.kind == "notice" and e.agent == "bob"
    ]
    keys = [data["key"] for data in told if data["what"] == "destroyed"]
    assert len(keys) == len(set(keys)) > 0


async def not_restored(hive: Hive) -> None:
    """It is an agent again, stopped, with what ran last; nothing of it is lost."""
    row = (await hive.approvals("bob"))[0]
    assert (row.kind, row.state) == ("restore", "failed")
    agent = await hive.agent("bob")
    assert (agent.state, agent.wanted) == (AgentState.STOPPED, False)
    assert agent.deployed_commit == row.commit
    assert agent.problem is not None
    assert "The test fails apply." in agent.problem


async def purged(hive: Hive) -> None:
    kept = (await hive.operator.call(api.KEPT, NoParams())).kept
    assert "bob" not in {one.name for one in kept}
    await _no_trace(hive, "bob")


async def _no_trace(hive: Hive, name: str) -> None:
    found = names(hive)
    assert name not in found["home"] + found["run"]
    assert f"{name}.git" not in found["applied"]
    assert not hive.local.config.layout.private(name).exists()
    assert not hive.local.config.layout.agent_log(name).exists()


async def drafted(hive: Hive) -> None:
    drafts = (await hive.operator.call(api.DRAFTS, NoParams())).drafts
    (draft,) = [one for one in drafts if one.name == "erin"]
    assert hive.git("erin", "rev-parse", "HEAD") == draft.main
    assert "erin" not in names(hive)["run"]


async def no_erin(hive: Hive) -> None:
    drafts = (await hive.operator.call(api.DRAFTS, NoParams())).drafts
    assert "erin" not in {one.name for one in drafts}
    await _no_trace(hive, "erin")


async def failed(hive: Hive) -> None:
    (row,) = await hive.approvals("dave")
    assert row.state is ApprovalState.FAILED
    assert row.reason is not None
    assert "The test fails apply." in row.reason
    agent = await hive.agent("dave")
    assert (agent.deployed_commit, agent.state) == (None, AgentState.STOPPED)
    repo = AppliedRepo(hive.local.config.layout.applied("dave"))
    kinds = [tag.kind.value for tag in repo.tags()]
    assert kinds == ["approved", "building", "failed", "proposal"]


async def still_there(hive: Hive) -> None:
    agent = await hive.agent("carol")
    assert agent.problem is not None
    assert "Destroying it failed" in agent.problem
    queued = await hive.operator.call(START, AgentParams(agent="carol"))
    assert (await hive.operation(queued.operation)).error is None
    await hive.operation(
        (await hive.operator.call(STOP, AgentParams(agent="carol"))).operation
    )


async def all_rebuilt(hive: Hive) -> None:
    newest = (await hive.operator.call(api.OPERATIONS, NoParams())).operations
    whole = next(one for one in newest if one.kind is OperationKind.REBUILD_ALL)
    assert whole.note == "Rebuilt: alice, carol, manager. Remaining: none."


def imports(name: str) -> Callable[[Hive], Awaitable[object]]:
    async def request(hive: Hive) -> object:
        out = await hive.operator.call(api.EXPORT, ExportParams(agent="alice"))
        params = TransferParams(transfer=out.transfer)
        archive, destroy = b"", False
        while not destroy:
            chunk = await hive.operator.call(api.TRANSFER_READ, params)
            archive, destroy = archive + chunk.data, chunk.end
        into = (await hive.operator.call(api.IMPORT_BEGIN, NoParams())).transfer
        for begin in range(0, len(archive), CHUNK_MAX):
            part = archive[begin : begin + CHUNK_MAX]
            sent = ImportChunkParams(transfer=into, data=part)
            await hive.operator.call(api.IMPORT_CHUNK, sent)
        return await call(api.IMPORT, transfer=into, name=name)(hive)

    return request


async def _imported(hive: Hive, name: str) -> None:
    """It is kept as a destroyed agent is, whole, and nothing of the import is left."""
    alice = await hive.agent("alice")
    (kept,) = [
        one
        for one in (await hive.operator.call(api.KEPT, NoParams())).kept
        if one.name == name
    ]
    assert kept.commit == alice.deployed_commit
    layout = hive.local.config.layout
    assert AppliedRepo(layout.applied(name)).main() == kept.commit
    assert hive.git(name, "rev-parse", "HEAD") == kept.commit
    assert layout.agent_state(name).is_dir()
    assert layout.session(name).is_dir()
    await _nothing_staged(hive, name)


async def is_imported(hive: Hive) -> None:
    await _imported(hive, "fred")
    (row,) = await hive.approvals("fred")
    assert (row.kind, row.state) == ("restore", "pending")
    newest = (await hive.operator.call(api.OPERATIONS, NoParams())).operations
    said = next(one.note for one in newest if one.agent == "fred")
    assert said == f"Approval {row.id} is pending"


async def is_not_proposed(hive: Hive) -> None:
    await _imported(hive, "gina")
    assert await hive.approvals("gina") == ()
    gone = await hive.operator.call(
        api.PURGE, PurgeParams(agent="gina", confirm="gina")
    )
    assert (await hive.operation(gone.operation)).error is None


async def not_imported(hive: Hive) -> None:
    kept = (await hive.operator.call(api.KEPT, NoParams())).kept
    assert "gina" not in {one.name for one in kept}
    await _no_trace(hive, "gina")
    await _nothing_staged(hive, "gina")


async def _nothing_staged(hive: Hive, name: str) -> None:
    layout = hive.local.config.layout
    parents = (layout.agents, layout.applied_root, layout.state / "private")
    assert [path for top in parents for path in top.glob(".import-*")] == []
    found = await hive.operator.call(api.DOCTOR, NoParams())
    broken = [check for check in found.checks if check.repair is not None]
    assert [
        one for one in broken if name in one.message or "half made" in one.message
    ] == []


async def stopped(hive: Hive) -> None:
    assert (await hive.agent("carol")).state is AgentState.STOPPED


async def started(hive: Hive) -> None:
    await hive.idle("carol")
    assert inside(hive) != []


def inside(hive: Hive) -> list[int]:
    """Return the processes that have a directory of an agent mounted."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            mounts = (entry / "mountinfo").read_text()
            if entry.name.isdigit() and f"{hive.state}/agents/" in mounts:
                found.append(int(entry.name))
    return found
