"""Kill -9 hived at every step of every operation of an agent's life.

Which steps there are is read from the handlers. Each story is one operation; hived is
killed after the work of its first step, started, killed after that of the second, and
so on, so that every step is repeated on top of itself. Then the operation must have
ended as it would have, and nothing else may be there: no process, socket, directory or
tag. One hive for all of it.
"""

import asyncio
import contextlib
import os
import select
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from checks.e2e.kit.deaths import MENDING, Deaths, Story, dying
from checks.kits.api import events
from checks.kits.host.hive import Hive, running_hive
from checks.kits.patience import PATIENCE_S
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
from pyglue.api.manager import REBUILD, RESTART, START, STOP, AgentParams, SpawnParams
from pyglue.api.operations import OperationKind, OperationState
from pyglue.config import Timeouts
from pyglue.errors import HiveError
from pyglue.git.host_commits import seed_main
from pyglue.git.repos import AppliedRepo
from pyglue.git.tags import TagKind
from pyglue.host.agents.start_stop import Running
from pyglue.host.archives.importing import ImportHandler
from pyglue.host.changes.deploy import Deploy
from pyglue.host.changes.rebuild import RebuildAllHandler
from pyglue.host.life.destroy import DestroyHandler
from pyglue.host.life.drafts import DraftHandler
from pyglue.host.life.purge import DiscardHandler, PurgeHandler

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nix", "git", "bwrap"),
]

TIMEOUTS = Timeouts(health_s=60.0, drain_s=2.0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deaths(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deaths]:
    room = tmp_path_factory.mktemp("hive")
    async with running_hive(room, timeouts=TIMEOUTS, peers=True) as hive:
        await _propose_all(hive)
        async with dying(hive) as told:
            yield told


async def _propose_all(hive: Hive) -> None:
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


def _approve(name: str) -> Callable[[Hive], Awaitable[object]]:
    async def request(hive: Hive) -> object:
        (row,) = [r for r in await hive.approvals(name) if r.state == "pending"]
        return await hive.operator.call(
            api.APPROVE,
            ApproveParams(id=row.id, commit=row.commit, manifest=row.manifest_sha256),
        )

    return request


def _call(
    method: Method[Any, Any], **params: object
) -> Callable[[Hive], Awaitable[object]]:
    async def request(hive: Hive) -> object:
        with contextlib.suppress(HiveError):  # the answer may die with hived
            return await hive.operator.call(method, method.params(**params))
        return None

    return request


async def _rollback(hive: Hive) -> object:
    first = (await hive.approvals("alice"))[-1]
    params = RollbackParams(agent="alice", approval=first.id)
    return await hive.operator.call(api.ROLLBACK, params)


async def _restore(hive: Hive) -> object:
    await hive.operator.call(api.RESTORE, AgentParams(agent="bob"))
    return await _approve("bob")(hive)


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


def _is_deployed(name: str, *, runs: bool = True) -> Callable[[Hive], Awaitable[None]]:
    async def check(hive: Hive) -> None:
        await _deployed(hive, name, runs=runs)

    return check


def _names(hive: Hive) -> dict[str, list[str]]:
    """Return which agents have what on disk and in the hive."""
    layout = hive.local.config.layout
    return {
        "home": sorted(path.name for path in layout.agents.iterdir()),
        "applied": sorted(path.name for path in layout.applied_root.iterdir()),
        "run": sorted(path.name for path in (layout.runtime / "agents").iterdir()),
        "quarantine": sorted(path.name for path in layout.quarantine.iterdir()),
    }


async def _destroyed(hive: Hive) -> None:
    agents = (await hive.operator.call(api.AGENTS, NoParams())).agents
    assert "bob" not in {agent.name for agent in agents}
    found = (await hive.operator.call(api.KEPT, NoParams())).kept
    (kept,) = [one for one in found if one.name == "bob"]
    assert (kept.commit is None, len(kept.parts) >= 4) == (False, True)
    there = _names(hive)
    assert "bob" in there["home"]
    assert "bob.git" in there["applied"]
    assert "bob" not in there["run"]
    told = [
        events.data(e) for e in hive.events if e.kind == "notice" and e.agent == "bob"
    ]
    keys = [data["key"] for data in told if data["what"] == "destroyed"]
    assert len(keys) == len(set(keys)) > 0


async def _not_restored(hive: Hive) -> None:
    """It is an agent again, stopped, with what ran last; nothing of it is lost."""
    row = (await hive.approvals("bob"))[0]
    assert (row.kind, row.state) == ("restore", "failed")
    agent = await hive.agent("bob")
    assert (agent.state, agent.wanted) == (AgentState.STOPPED, False)
    assert agent.deployed_commit == row.commit
    assert agent.problem is not None
    assert "The test fails apply." in agent.problem


async def _purged(hive: Hive) -> None:
    kept = (await hive.operator.call(api.KEPT, NoParams())).kept
    assert "bob" not in {one.name for one in kept}
    await _no_trace(hive, "bob")


async def _no_trace(hive: Hive, name: str) -> None:
    found = _names(hive)
    assert name not in found["home"] + found["run"]
    assert f"{name}.git" not in found["applied"]
    assert not hive.local.config.layout.private(name).exists()
    assert not hive.local.config.layout.agent_log(name).exists()


async def _drafted(hive: Hive) -> None:
    drafts = (await hive.operator.call(api.DRAFTS, NoParams())).drafts
    (draft,) = [one for one in drafts if one.name == "erin"]
    assert hive.git("erin", "rev-parse", "HEAD") == draft.main
    assert "erin" not in _names(hive)["run"]


async def _no_erin(hive: Hive) -> None:
    drafts = (await hive.operator.call(api.DRAFTS, NoParams())).drafts
    assert "erin" not in {one.name for one in drafts}
    await _no_trace(hive, "erin")


async def _failed(hive: Hive) -> None:
    (row,) = await hive.approvals("dave")
    assert row.state is ApprovalState.FAILED
    assert row.reason is not None
    assert "The test fails apply." in row.reason
    agent = await hive.agent("dave")
    assert (agent.deployed_commit, agent.state) == (None, AgentState.STOPPED)
    repo = AppliedRepo(hive.local.config.layout.applied("dave"))
    kinds = [tag.kind.value for tag in repo.tags()]
    assert kinds == ["approved", "building", "failed", "proposal"]


async def _still_there(hive: Hive) -> None:
    agent = await hive.agent("carol")
    assert agent.problem is not None
    assert "Destroying it failed" in agent.problem
    queued = await hive.operator.call(START, AgentParams(agent="carol"))
    assert (await hive.operation(queued.operation)).error is None
    await hive.operation(
        (await hive.operator.call(STOP, AgentParams(agent="carol"))).operation
    )


async def _all_rebuilt(hive: Hive) -> None:
    newest = (await hive.operator.call(api.OPERATIONS, NoParams())).operations
    whole = next(one for one in newest if one.kind is OperationKind.REBUILD_ALL)
    assert whole.note == "Rebuilt: alice, carol, manager. Remaining: none."


def _imports(name: str) -> Callable[[Hive], Awaitable[object]]:
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
        return await _call(api.IMPORT, transfer=into, name=name)(hive)

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


async def _is_imported(hive: Hive) -> None:
    await _imported(hive, "fred")
    (row,) = await hive.approvals("fred")
    assert (row.kind, row.state) == ("restore", "pending")
    newest = (await hive.operator.call(api.OPERATIONS, NoParams())).operations
    said = next(one.note for one in newest if one.agent == "fred")
    assert said == f"Approval {row.id} is pending"


async def _is_not_proposed(hive: Hive) -> None:
    await _imported(hive, "gina")
    assert await hive.approvals("gina") == ()
    gone = await hive.operator.call(
        api.PURGE, PurgeParams(agent="gina", confirm="gina")
    )
    assert (await hive.operation(gone.operation)).error is None


async def _not_imported(hive: Hive) -> None:
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


async def _stopped(hive: Hive) -> None:
    assert (await hive.agent("carol")).state is AgentState.STOPPED


async def _started(hive: Hive) -> None:
    await hive.idle("carol")
    assert _inside(hive) != []


K = OperationKind
STORIES = {
    "draft": Story(
        K.DRAFT, "erin", DraftHandler, _call(api.DRAFT, name="erin"), _drafted
    ),
    "discard": Story(
        K.DISCARD,
        "erin",
        DiscardHandler,
        _call(api.DRAFT_DISCARD, agent="erin"),
        _no_erin,
    ),
    "draft-fails": Story(
        K.DRAFT,
        "erin",
        DraftHandler,
        _call(api.DRAFT, name="erin"),
        _no_erin,
        "directories",
    ),
    "spawn": Story(K.SPAWN, "carol", Deploy, _approve("carol"), _is_deployed("carol")),
    "two-step": Story(K.SPAWN, "bob", Deploy, _approve("bob"), _is_deployed("bob")),
    "spawn-fails": Story(K.SPAWN, "dave", Deploy, _approve("dave"), _failed, "apply"),
    "apply": Story(
        K.DEPLOY, "alice", Deploy, _approve("alice"), _is_deployed("alice", runs=False)
    ),
    "rollback": Story(
        K.ROLLBACK, "alice", Deploy, _rollback, _is_deployed("alice", runs=False)
    ),
    "rebuild": Story(
        K.REBUILD,
        "alice",
        Deploy,
        _call(REBUILD, agent="alice"),
        _is_deployed("alice", runs=False),
    ),
    "import": Story(K.IMPORT, "fred", ImportHandler, _imports("fred"), _is_imported),
    "import-fails": Story(
        K.IMPORT, "gina", ImportHandler, _imports("gina"), _not_imported, "place"
    ),
    "import-fails-late": Story(
        K.IMPORT,
        "gina",
        ImportHandler,
        _imports("gina"),
        _not_imported,
        "place",
        late=True,
    ),
    "keep-fails": Story(
        K.IMPORT, "gina", ImportHandler, _imports("gina"), _not_imported, "keep"
    ),
    "keep-fails-late": Story(
        K.IMPORT,
        "gina",
        ImportHandler,
        _imports("gina"),
        _not_imported,
        "keep",
        late=True,
    ),
    "propose-fails": Story(
        K.IMPORT,
        "gina",
        ImportHandler,
        _imports("gina"),
        _is_not_proposed,
        "propose",
        mended=False,
    ),
    "destroy": Story(
        K.DESTROY, "bob", DestroyHandler, _call(api.DESTROY, agent="bob"), _destroyed
    ),
    "restore-fails": Story(K.RESTORE, "bob", Deploy, _restore, _not_restored, "apply"),
    "destroy-again": Story(
        K.DESTROY, "bob", DestroyHandler, _call(api.DESTROY, agent="bob"), _destroyed
    ),
    "restore": Story(K.RESTORE, "bob", Deploy, _restore, _is_deployed("bob")),
    "destroy-at-last": Story(
        K.DESTROY, "bob", DestroyHandler, _call(api.DESTROY, agent="bob"), _destroyed
    ),
    "purge": Story(
        K.PURGE,
        "bob",
        PurgeHandler,
        _call(api.PURGE, agent="bob", confirm="bob"),
        _purged,
    ),
    "destroy-fails": Story(
        K.DESTROY,
        "carol",
        DestroyHandler,
        _call(api.DESTROY, agent="carol"),
        _still_there,
        "stop",
    ),
    "rebuild-all": Story(
        K.REBUILD_ALL, "hive", RebuildAllHandler, _call(api.REBUILD_ALL), _all_rebuilt
    ),
    "start": Story(K.START, "carol", Running, _call(START, agent="carol"), _started),
    "restart": Story(
        K.RESTART, "carol", Running, _call(RESTART, agent="carol"), _started
    ),
    "stop": Story(K.STOP, "carol", Running, _call(STOP, agent="carol"), _stopped),
}


async def test_what_a_proposal_left_when_hived_died_is_removed(deaths: Deaths) -> None:
    """As it is between the making of the repository and that of the approval."""
    layout = deaths.hive.local.config.layout
    stray = AppliedRepo.create(layout.applied("stray"))
    commit = seed_main(stray, {"agent.nix": b"{ }"}, message="m")
    stray.tag(TagKind.PROPOSAL, 999, commit, b"{}")
    ran = AppliedRepo.create(layout.applied("ran"))
    commit = seed_main(ran, {"agent.nix": b"{ }"}, message="m")
    ran.tag(TagKind.DEPLOYED, 1, commit)  # a later one would be the store's fault
    await deaths.next_life({})
    found = _names(deaths.hive)["applied"]
    await deaths.stop_hived()
    assert "stray.git" not in found
    assert {"ran.git", "alice.git", "bob.git", "carol.git"} <= set(found)


@pytest.mark.parametrize("name", STORIES)
async def test_killed_at_every_step(deaths: Deaths, name: str) -> None:
    story, hive = STORIES[name], deaths.hive
    plans = story.plans()
    await deaths.next_life(plans[0])
    asked = asyncio.ensure_future(story.request(hive))
    for plan in plans[1:]:
        await deaths.death()
        await deaths.next_life(plan)
    await asyncio.wait([asked])
    newest = (await hive.operator.call(api.OPERATIONS, NoParams())).operations
    one = next(o for o in newest if (o.kind, o.agent) == (story.kind, story.agent))
    ended = await hive.operation(one.id)
    expected = OperationState.DONE if story.fail_at is None else OperationState.FAILED
    assert ended.state is expected, ended
    await story.check(hive)
    await deaths.stop_hived()


async def test_no_process_and_no_upload_is_left(deaths: Deaths) -> None:
    """hived is dead now, after the last story; so is all that it ever started."""
    for process in _inside(deaths.hive):
        with contextlib.suppress(ProcessLookupError):
            ended = os.pidfd_open(process)
            await asyncio.to_thread(select.select, [ended], [], [], PATIENCE_S)
            os.close(ended)
    assert _inside(deaths.hive) == []
    await deaths.next_life({})
    assert _names(deaths.hive)["quarantine"] == []
    await deaths.stop_hived()


def _inside(hive: Hive) -> list[int]:
    """Return the processes that have a directory of an agent mounted."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            mounts = (entry / "mountinfo").read_text()
            if entry.name.isdigit() and f"{hive.state}/agents/" in mounts:
                found.append(int(entry.name))
    return found


async def test_every_step_of_every_kind_is_killed() -> None:
    told = {(story.kind, step) for story in STORIES.values() for step in story.steps()}
    handlers = {story.kind: story.machine for story in STORIES.values()}
    assert handlers.keys() == set(OperationKind)
    for kind, machine in handlers.items():
        killed = {step for where, step in told if where is kind}
        ways = set(machine.steps) - set(MENDING.get(machine, ()))
        assert killed >= ways
    for machine in MENDING:
        killed = {s for k, s in told if handlers[k] is machine}
        assert killed == set(machine.steps)
