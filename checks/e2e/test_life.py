"""An agent's life on a real hive: names at every edge, its end, and permissions."""

import asyncio
import os
import re
from typing import TypeVar

import pytest
import pytest_asyncio
from msgspec.structs import replace

from checks.e2e.kit.names import EDGES, NAMES
from checks.kits.cli import run as cli
from checks.kits.host.hive import Hive, script
from checks.kits.host.shared_hive import shared_hive
from pyglue.api import agent as agent_api
from pyglue.api import operator as api
from pyglue.api.approvals import (
    ApprovalParams,
    ApprovalState,
    ApproveParams,
    CompareParams,
    Comparison,
    DenyParams,
)
from pyglue.api.audit import AuditExportParams
from pyglue.api.common import AgentState, Method, NoParams, OperationRef, Params
from pyglue.api.inbox import MessagesParams
from pyglue.api.lifecycle import PurgeParams, RollbackParams
from pyglue.api.manager import (
    LIST_AGENTS,
    REBUILD,
    REQUEST_SPAWN_DRAFT,
    START,
    STOP,
    AgentParams,
    SpawnParams,
)
from pyglue.api.metrics import HistoryParams, MetricSeriesParams
from pyglue.api.operations import Operation, OperationState
from pyglue.api.questions import AskParams
from pyglue.config import OperatorLimits, Timeouts
from pyglue.errors import ErrorCode, HiveError

P = TypeVar("P", bound=Params)

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nix", "git", "bwrap"),
]

DESCRIBED = '{ hyperhive.description = "%s"; }'

BROKEN = (
    '{ hyperhive.mcpServers.broken = { command = "/does/not/exist"; args = [ ]; }; }'
)

hive = shared_hive(
    timeouts=Timeouts(health_s=60.0, drain_s=2.0), peers=True, beside=("web",)
)


def name(agent: str) -> AgentParams:
    return AgentParams(agent=agent)


async def queued(hive: Hive, method: Method[P, OperationRef], params: P) -> Operation:
    """Call what queues an operation, and return that at its end."""
    reference = await hive.operator.call(method, params)
    return await hive.operation(reference.operation)


async def rebuilt(hive: Hive, agent: str) -> Operation:
    """Rebuild an agent whose system stays the same, and wait for the end."""
    made = await hive.operator.call(REBUILD, name(agent))
    assert made.operation is not None and made.approval is None
    return await hive.operation(made.operation)


async def spawned(hive: Hive, agent: str) -> None:
    """Make an agent from the template."""
    proposal = await hive.operator.call(api.SPAWN, SpawnParams(name=agent))
    assert (await hive.approve(proposal)).error is None


async def gone(hive: Hive, agent: str) -> None:
    """Destroy and purge."""
    assert (await queued(hive, api.DESTROY, name(agent))).error is None
    params = PurgeParams(agent=agent, confirm=agent)
    assert (await queued(hive, api.PURGE, params)).error is None


async def told_manager(hive: Hive, part: str) -> str:
    """Return the message of the hive to the manager that holds ``part``."""

    async def look() -> str | None:
        params = MessagesParams(agent="manager", limit=200)
        found = await hive.operator.call(api.MESSAGES, params)
        bodies = [m.body for m in found.messages if m.sender == "system"]
        return next((body for body in bodies if part in body), None)

    return await hive.until(look, f"a message with {part!r}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def taken(hive: Hive) -> Hive:
    """A hive in which names stand for every thing that they can."""
    await hive.operator.call(api.DRAFT, SpawnParams(name="draft"))
    await spawned(hive, "kept")
    await queued(hive, api.DESTROY, name("kept"))
    await hive.operator.call(api.SPAWN, SpawnParams(name="waits"))
    return hive


@pytest.mark.parametrize("edge", EDGES)
async def test_a_bad_name_is_refused_with_its_reason(taken: Hive, edge: str) -> None:
    for text, reason in NAMES.items():
        said = await EDGES[edge](taken, text)
        assert reason in said, (text, said)


async def test_a_draft_takes_no_other_names(taken: Hive) -> None:
    for text, reason in NAMES.items():
        with pytest.raises(HiveError, match=re.escape(reason)):
            await taken.operator.call(api.DRAFT, SpawnParams(name=text))


# --- two steps --------------------------------------------------------------------
async def test_a_draft_becomes_an_agent_with_its_commit(hive: Hive) -> None:
    manager = await hive.as_agent("manager")
    made = await manager.call(REQUEST_SPAWN_DRAFT, SpawnParams(name="two"))
    manager.close()
    assert hive.git("two", "rev-parse", "HEAD") == made.main
    with pytest.raises(HiveError, match="two is a draft"):
        await hive.send("two", "hello")
    with pytest.raises(HiveError, match="request_spawn_commit"):
        await hive.submit("two", hive.git("two", "rev-parse", "HEAD"))
    commit = hive.commit("two", {"agent.nix": DESCRIBED % "in two steps"})
    proposal = await hive.submit("two", commit, spawn=True)
    await hive.operator.call(api.DENY, DenyParams(id=proposal.approval, reason="no"))
    drafts = (await hive.operator.call(api.DRAFTS, NoParams())).drafts
    assert "two" in {draft.name for draft in drafts}  # a denied commit is not its end
    await told_manager(
        hive, f"Approval {proposal.approval} for two is denied. Reason: no"
    )
    commit = hive.commit("two", {"agent.nix": DESCRIBED % "in two more steps"})
    ended = await hive.approve(await hive.submit("two", commit, spawn=True))
    assert ended.error is None
    agent = await hive.agent("two")
    assert (agent.deployed_commit, agent.description) == (commit, "in two more steps")
    drafts = (await hive.operator.call(api.DRAFTS, NoParams())).drafts
    assert "two" not in {draft.name for draft in drafts}
    with pytest.raises(HiveError, match="two is already an agent, not a draft"):
        await hive.submit("two", commit, spawn=True)
    await gone(hive, "two")


async def test_a_draft_that_is_not_there_is_not_discarded(hive: Hive) -> None:
    with pytest.raises(HiveError, match="There is no draft 'alice'"):
        await hive.operator.call(api.DRAFT_DISCARD, name("alice"))


# --- destroyed, restored, purged --------------------------------------------------
async def test_a_destroyed_agent_comes_back_with_all_it_had(hive: Hive) -> None:
    await spawned(hive, "dora")
    before = await hive.agent("dora")
    state = hive.local.config.layout.agent_state("dora")
    (state / "note").write_text("remember")
    dora = await hive.as_agent("dora")
    await dora.call(agent_api.ASK, AskParams(question="well?"))
    await dora.call(
        agent_api.REMIND, agent_api.RemindParams(text="later", in_seconds=3600)
    )
    pending = await hive.propose("dora", DESCRIBED % "never")
    await queued(hive, STOP, name("dora"))
    await hive.send("dora", script({"text": "done"}))
    assert (await queued(hive, api.DESTROY, name("dora"))).error is None
    await dora.wait_closed()
    assert not hive.local.config.layout.run("dora").exists()
    (waiting,) = [a for a in await hive.approvals("dora") if a.id == pending.approval]
    assert waiting.state is ApprovalState.SUPERSEDED
    assert waiting.reason == "dora was destroyed."
    asked = (await hive.operator.call(api.QUESTIONS, NoParams())).questions
    assert all(q.ended is not None for q in asked if q.asker == "dora")
    with pytest.raises(HiveError, match="dora was destroyed"):
        await hive.send("dora", "hello")
    await told_manager(hive, "dora was destroyed by")
    kept = (await hive.operator.call(api.KEPT, NoParams())).kept
    (one,) = [found for found in kept if found.name == "dora"]
    assert (one.manifest_sha256, one.messages) == (before.manifest_sha256, 1)
    proposal = await hive.operator.call(api.RESTORE, name("dora"))
    assert proposal.manifest_sha256 == before.manifest_sha256
    assert (await hive.approve(proposal)).error is None
    after = await hive.agent("dora")
    assert (after.deployed_commit, after.wanted) == (before.deployed_commit, True)
    assert (state / "note").read_text() == "remember"

    async def read() -> bool | None:
        return True if (await hive.agent("dora")).inbox == 0 else None

    await hive.until(read, "the mail that waited")
    assert (await hive.agent("dora")).turns > 0
    await gone(hive, "dora")
    await spawned(hive, "dora")  # the name is free, and nothing of the old one shows
    assert not (state / "note").exists()
    assert (await hive.agent("dora")).turns == 0
    past = await hive.operator.call(api.HISTORY, HistoryParams(agent="dora"))
    assert past.events == ()
    figures = await hive.operator.call(
        api.METRIC_SERIES, MetricSeriesParams(agent="dora")
    )
    assert figures.series == ()
    first = (await hive.approvals("dora"))[0]
    params = ApprovalParams(id=first.id)
    detail = await hive.operator.call(api.APPROVAL, params)
    assert detail.manifest_before_json is None
    old = (await hive.approvals("dora"))[-1]
    with pytest.raises(HiveError, match="was purged"):
        await hive.operator.call(
            api.ROLLBACK, RollbackParams(agent="dora", approval=old.id)
        )
    await gone(hive, "dora")


async def test_purging_wants_the_name_again_and_something_kept(hive: Hive) -> None:
    await spawned(hive, "pat")
    params = PurgeParams(agent="pat", confirm="pat")
    with pytest.raises(HiveError, match="There is no kept state of 'pat'"):
        await hive.operator.call(api.PURGE, params)
    await queued(hive, api.DESTROY, name("pat"))
    with pytest.raises(HiveError, match="Repeat the name 'pat'"):
        await hive.operator.call(api.PURGE, PurgeParams(agent="pat", confirm="pit"))
    deep = hive.local.config.layout.agent_state("pat")
    here = os.open(deep, os.O_DIRECTORY)
    for _ in range(3000):  # deeper than a path can name, or a recursion go
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    outside = hive.state / "outside"
    outside.mkdir()
    (outside / "file").touch()
    (deep / "link").symlink_to(outside)
    assert (await queued(hive, api.PURGE, params)).error is None
    assert not deep.parent.exists()
    assert (outside / "file").exists()


# --- rolled back, rebuilt ---------------------------------------------------------
async def _compared(hive: Hive, first: int, second: int) -> None:
    """Compare two versions of rolf both ways, and refuse what is no version of his."""

    async def compare(old: int, new: int, agent: str = "rolf") -> Comparison:
        params = CompareParams(agent=agent, old=old, new=new)
        return await hive.operator.call(api.COMPARE, params)

    there, back = await compare(first, second), await compare(second, first)
    assert (there.old.id, there.new.id) == (first, second)
    assert [one.path for one in there.files] == ["agent.nix"]
    added = {line.text for hunk in there.manifest.hunks for line in hunk.lines}
    assert any('"description": "second"' in line for line in added)
    changed = [(one.option, one.before, one.after) for one in there.policy]
    assert ("hyperhive.description", '""', '"second"') in changed
    assert {(a, c, b) for a, b, c in changed} == {
        (one.option, one.before, one.after) for one in back.policy
    }
    same = await compare(first, first)
    assert (same.policy, same.files, same.manifest.hunks) == ((), (), ())
    foreign = (await hive.approvals("alice"))[0].id
    for old, new, agent in (
        (first, foreign, "rolf"),
        (foreign, first, "rolf"),
        (first, second, "alice"),
        (first, 10**9, "rolf"),
    ):
        with pytest.raises(HiveError) as caught:
            await compare(old, new, agent)
        assert caught.value.code is ErrorCode.NOT_FOUND


async def test_a_rollback_is_a_new_commit_with_the_old_record(hive: Hive) -> None:
    await spawned(hive, "rolf")
    first = (await hive.approvals("rolf"))[-1]
    second = await hive.propose("rolf", DESCRIBED % "second")
    assert (await hive.approve(second)).error is None
    await _compared(hive, first.id, second.approval)
    params = RollbackParams(agent="rolf", approval=first.id)
    assert (await queued(hive, api.ROLLBACK, params)).error is None
    agent = await hive.agent("rolf")
    assert agent.manifest_sha256 == first.manifest_sha256
    assert agent.deployed_commit not in (first.commit, second.commit)
    row = (await hive.approvals("rolf"))[0]
    assert (row.kind, row.state) == ("rollback", "deployed")
    await told_manager(hive, f"Approval {row.id} for rolf is deployed")
    for approval, why in (
        (row.id, "rolf already runs approval"),
        ((await hive.approvals("alice"))[0].id, "was never deployed for rolf"),
    ):
        refused = RollbackParams(agent="rolf", approval=approval)
        with pytest.raises(HiveError, match=why):
            await hive.operator.call(api.ROLLBACK, refused)
    waiting = await hive.submit("rolf", _on_main(hive, "rolf", "third"))
    assert (await rebuilt(hive, "rolf")).error is None
    newest, before = (await hive.approvals("rolf"))[:2]
    assert (newest.kind, newest.state) == ("rebuild", "deployed")
    assert (before.id, before.state) == (waiting.approval, "pending")  # it may wait on
    await gone(hive, "rolf")


def _on_main(hive: Hive, agent: str, words: str) -> str:
    """Fetch what runs, as the manager does, and commit on it."""
    hive.git(agent, "fetch", "-q", str(hive.local.config.layout.applied(agent)), "main")
    hive.git(agent, "reset", "-q", "--hard", "FETCH_HEAD")
    return hive.commit(agent, {"agent.nix": DESCRIBED % words})


# --- at once ----------------------------------------------------------------------
async def test_what_is_queued_behind_a_destroy_is_told_so(hive: Hive) -> None:
    await spawned(hive, "quin")
    proposal = await hive.propose("quin", DESCRIBED % "too late")
    manager = await hive.as_agent("manager")
    approve = ApproveParams(
        id=proposal.approval, commit=proposal.commit, manifest=proposal.manifest_sha256
    )
    references = await asyncio.gather(
        hive.operator.call(api.DESTROY, name("quin")),
        hive.operator.call(api.APPROVE, approve),
        manager.call(START, name("quin")),
        hive.operator.call(api.DESTROY, name("quin")),
    )
    manager.close()
    ended = [await hive.operation(one.operation) for one in references]
    destroy, apply, start, again = ended
    assert destroy.error is None
    for late in (apply, start, again):
        assert late.state is OperationState.FAILED
        assert late.error is not None
        assert "quin was destroyed. Its state is kept" in late.error
    row = (await hive.approvals("quin"))[0]
    assert row.state is ApprovalState.FAILED
    assert row.reason is not None
    assert "quin was destroyed" in row.reason
    agents = (await hive.operator.call(api.AGENTS, NoParams())).agents
    assert "quin" not in {agent.name for agent in agents}
    await queued(hive, api.PURGE, PurgeParams(agent="quin", confirm="quin"))


# --- commands ---------------------------------------------------------------------
async def test_commands_say_what_goes_and_ask(hive: Hive) -> None:
    def run(*words: str) -> tuple[int, str]:
        said = cli.typed(*words, "--state", hive.state)
        assert "Traceback" not in said.err
        return said.code, said.out + said.err

    assert run("draft", "cora")[0] == 0
    assert "cora" in run("drafts")[1]
    code, text = run("discard", "cora")
    assert (code, "with its repository and state" in text) == (1, True)
    assert run("discard", "cora", "--yes")[0] == 0
    await spawned(hive, "cleo")
    code, text = run("destroy", "cleo")
    assert (code, "Use --yes" in text) == (1, True)
    assert (await hive.agent("cleo")).state is AgentState.IDLE
    assert run("rebuild", "cleo")[0] == 0
    assert run("destroy", "cleo", "--yes")[0] == 0
    assert "cleo" in run("kept")[1]
    assert "hive approval" in run("restore", "cleo")[1]
    assert "restore" in run("approvals")[1]
    code, text = run("purge", "cleo")
    assert (code, "agents/cleo/state" in text) == (1, True)
    assert run("purge", "cleo", "--yes")[0] == 0


# --- the manager ------------------------------------------------------------------
async def test_the_manager_is_not_its_own_operator(hive: Hive) -> None:
    manager = await hive.as_agent("manager")
    for method in (START, STOP, REBUILD):
        with pytest.raises(HiveError, match="cannot start, stop or rebuild itself"):
            await manager.call(method, name("manager"))
    for foreign in (
        api.DESTROY,
        api.PURGE,
        api.RESTORE,
        api.ROLLBACK,
        api.RETRY,
        api.REBUILD_ALL,
    ):
        with pytest.raises(HiveError) as refused:
            await manager.call(foreign, NoParams())
        assert refused.value.code is ErrorCode.UNKNOWN_METHOD
    manager.close()
    with pytest.raises(HiveError, match="the hive needs it for proposals"):
        await hive.operator.call(api.DESTROY, name("manager"))


async def test_with_a_broken_manager_the_operator_does_everything(hive: Hive) -> None:
    good = (await hive.approvals("manager"))[0]
    ended = await hive.approve(await hive.propose("manager", BROKEN))
    assert ended.error is not None  # it may propose that, and it is not deployed
    await queued(hive, STOP, name("manager"))
    await spawned(hive, "olga")
    assert (await rebuilt(hive, "olga")).error is None
    first, second = [row.id for row in reversed(await hive.approvals("olga"))]
    params = RollbackParams(agent="olga", approval=first)
    assert (await queued(hive, api.ROLLBACK, params)).error is None
    await queued(hive, api.DESTROY, name("olga"))
    proposal = await hive.operator.call(api.RESTORE, name("olga"))
    assert (await hive.approve(proposal)).error is None
    await gone(hive, "olga")
    assert second > first
    assert (await queued(hive, START, name("manager"))).error is None
    await hive.idle("manager")
    assert (await hive.agent("manager")).deployed_approval == good.id


# --- refusals ---------------------------------------------------------------------
async def test_what_never_ran_is_not_restored(hive: Hive) -> None:
    await hive.operator.call(api.DRAFT, SpawnParams(name="nora"))
    manager = await hive.as_agent("manager")
    listed = await manager.call(LIST_AGENTS, NoParams())
    manager.close()
    assert "nora" in listed.drafts
    commit = hive.commit("nora", {"agent.nix": BROKEN})
    ended = await hive.approve(await hive.submit("nora", commit, spawn=True))
    assert ended.state is OperationState.FAILED
    await told_manager(hive, "for nora failed and was rolled back completely. Reason:")
    await queued(hive, api.DESTROY, name("nora"))
    with pytest.raises(HiveError, match="there is nothing to restore"):
        await hive.operator.call(api.RESTORE, name("nora"))
    params = PurgeParams(agent="nora", confirm="nora")
    assert (await queued(hive, api.PURGE, params)).error is None


async def test_who_asked_for_what_is_in_the_audit_log(hive: Hive) -> None:
    """Each operation without an approval, and each that failed."""
    page = await hive.operator.call(
        api.AUDIT_EXPORT, AuditExportParams(since_at=0.0, limit=500)
    )
    assert page.after is None
    lines = {
        (line.data["operation"], line.what, line.agent): line.who
        for line in page.entries
        if isinstance(line.data.get("operation"), int)
    }
    newest = (await hive.operator.call(api.OPERATIONS, NoParams())).operations
    asked = [one for one in newest if one.approval is None]
    ours = [one for one in asked if one.requested_by != "system"]
    assert {one.kind.value for one in ours} >= {"draft", "destroy", "purge", "start"}
    for one in ours:
        what = f"{one.kind.value}_requested"
        assert lines[one.id, what, one.agent] == one.requested_by
        failed = (one.id, f"{one.kind.value}_failed", one.agent) in lines
        assert failed == (one.state is OperationState.FAILED)
    assert any(one.state is OperationState.FAILED for one in ours)


async def test_todays_limits_hold_for_what_ran_before(hive: Hive) -> None:
    await spawned(hive, "lena")
    first = (await hive.approvals("lena"))[0]
    assert (await rebuilt(hive, "lena")).error is None
    config = hive.local.config
    await hive.reconfigure(replace(config, limits=OperatorLimits(models=("opus",))))
    params = RollbackParams(agent="lena", approval=first.id)
    for method, asked in ((api.ROLLBACK, params), (REBUILD, name("lena"))):
        with pytest.raises(HiveError) as refused:
            await hive.operator.call(method, asked)
        assert refused.value.code is ErrorCode.OPERATOR_LIMIT
    assert (await queued(hive, api.DESTROY, name("lena"))).error is None
    with pytest.raises(HiveError) as refused:
        await hive.operator.call(api.RESTORE, name("lena"))
    assert refused.value.code is ErrorCode.OPERATOR_LIMIT
    purge = PurgeParams(agent="lena", confirm="lena")
    assert (await queued(hive, api.PURGE, purge)).error is None
