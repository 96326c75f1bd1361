"""A hive whose store is gone, older or damaged: refused, rebuilt from git, the same."""

import asyncio
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import pytest

from checks.kits.cli.run import HIVE, Said, python, typed
from checks.kits.host.hive import Hive, running_hive
from pyglue.api import operator as api
from pyglue.api.approvals import (
    ApprovalDetail,
    ApprovalParams,
    ApprovalState,
    ApprovalSummary,
    DenyParams,
)
from pyglue.api.audit import AuditVerifyParams
from pyglue.api.common import NoParams
from pyglue.api.control import PauseParams
from pyglue.api.doctor import CheckState
from pyglue.api.manager import STOP, AgentParams, SpawnParams
from pyglue.api.overview import AgentView
from pyglue.cli.local.launcher import PARTS
from pyglue.errors import HiveError
from pyglue.names import MANAGER

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nix", "git", "bwrap"),
]
NAMES = ("manager", "alice", "bob")


async def doctor(room: Path, *words: str) -> Said:
    words = ("doctor", *words, "--state", str(room / "state"))
    if "--yes" in words:
        return await asyncio.to_thread(typed, *words)
    return await python(HIVE, *words)  # which asks, and nobody answers


async def spawn(hive: Hive, name: str) -> None:
    proposal = await hive.operator.call(api.SPAWN, SpawnParams(name=name))
    assert (await hive.approve(proposal)).error is None
    await hive.idle(name)


async def live(hive: Hive) -> None:
    """Let a hive have a past: deploys, a denial, a stop, a pause, an end."""
    for name in ("bob", "carol", "dave"):
        await spawn(hive, name)
    for text in ("first", "second"):
        nix = f'{{ hyperhive.description = "{text}"; }}'
        proposal = await hive.propose("alice", nix)
        assert (await hive.approve(proposal)).error is None
        await hive.idle("alice")
    proposal = await hive.propose("bob", '{ hyperhive.description = "never"; }')
    denial = DenyParams(id=proposal.approval, reason="Not this one.")
    await hive.operator.call(api.DENY, denial)
    await hive.propose("bob", '{ hyperhive.description = "undecided"; }')
    for method, name in ((STOP, "carol"), (api.DESTROY, "dave")):
        asked = await hive.operator.call(method, AgentParams(agent=name))
        assert (await hive.operation(asked.operation)).error is None
    await hive.operator.call(api.PAUSE, PauseParams(agent="bob", reason="for a while"))


def deployed(agents: tuple[AgentView, ...]) -> Mapping[str, object]:
    return {
        one.name: (
            one.deployed_approval,
            one.deployed_commit,
            one.manifest_sha256,
            one.blocked and one.blocked.reason,
        )
        for one in agents
    }


async def agents(hive: Hive) -> Mapping[str, object]:
    return deployed((await hive.operator.call(api.AGENTS, NoParams())).agents)


async def approvals(hive: Hive) -> dict[int, ApprovalSummary]:
    found = [
        one for name in (*NAMES, "carol", "dave") for one in await hive.approvals(name)
    ]
    return {one.id: one for one in found}


def kept_files(state: Path) -> set[str]:
    parts = (state / "agents", state / "applied", state / "private")
    return {str(path) for part in parts for path in part.rglob("*")}


async def page(hive: Hive, number: int) -> ApprovalDetail:
    return await hive.operator.call(api.APPROVAL, ApprovalParams(id=number))


async def is_well(hive: Hive) -> None:
    """Doctor has no problem and nothing to repair, and the audit log is whole."""

    async def look() -> bool | None:
        found = await hive.operator.call(api.DOCTOR, NoParams())
        assert [one for one in found.checks if one.repair is not None] == []
        bad = [one for one in found.checks if one.state is CheckState.PROBLEM]
        return None if bad else True

    await hive.until(look, "a doctor without problems", every=0.5)
    verdict = await hive.operator.call(api.AUDIT_VERIFY, AuditVerifyParams())
    assert verdict.ok, verdict.problem


async def has_as_before(
    hive: Hive, rows: dict[int, ApprovalSummary], shown: dict[int, ApprovalDetail]
) -> None:
    """All approvals are there again; the one that was pending has expired."""
    now = await approvals(hive)
    last = rows[max(rows)]
    assert now.keys() == rows.keys()
    for number, old in rows.items():
        new = now[number]
        assert (new.kind, new.commit) == (old.kind, old.commit)
        assert new.proposed_by == old.proposed_by
        assert abs(new.created_at - old.created_at) < 60
        detail = await page(hive, number)
        assert detail.manifest_json == shown[number].manifest_json
        assert detail.diffs == shown[number].diffs
        if number != last.id:
            assert (new.state, new.reason) == (old.state, old.reason)
            assert new.decided_by == old.decided_by
    assert last.state is ApprovalState.PENDING
    assert now[last.id].state is ApprovalState.EXPIRED
    assert "rebuilt from git" in (now[last.id].reason or "")


async def test_a_store_that_is_gone_is_rebuilt(tmp_path: Path) -> None:
    async with running_hive(tmp_path, peers=True) as hive:
        await live(hive)
        state = hive.state
        before, rows = await agents(hive), await approvals(hive)
        last = rows[max(rows)]
        shown = {number: await page(hive, number) for number in rows}
        operation = (await hive.operator.call(api.OPERATIONS, NoParams())).operations[0]
        running = await doctor(tmp_path, "--repair", "--from-git", "--yes")
        assert running.code == 1
        assert "Another hived is using" in running.err
    for path in state.glob("hive.db*"):
        path.unlink()
    files = kept_files(state)

    with pytest.raises(HiveError) as refused:
        async with running_hive(tmp_path, peers=True):
            pass
    message = refused.value.message
    assert f"The store {state}/hive.db is missing" in message
    assert "hive restore-backup FILE --into DIR" in message
    assert "hive doctor --repair --from-git" in message
    assert not list(state.glob("hive.db*"))

    asked = await doctor(tmp_path, "--repair", "--from-git")  # and answers nothing
    assert asked.code == 1
    assert "Lost: messages" in asked.out
    assert "Nothing was changed." in asked.out
    assert not list(state.glob("hive.db*"))
    done = await doctor(tmp_path, "--repair", "--from-git", "--yes")
    assert done.code == 0, done.err
    assert "alice (approval" in done.out
    assert "carol" in done.out
    assert ", stopped" in done.out
    assert "Kept, to be restored or purged: dave" in done.out
    assert kept_files(state) == files

    async with running_hive(tmp_path, peers=True, beside=PARTS, wait=False) as hive:
        await hive.idle("manager", "alice")
        assert await agents(hive) == before
        await has_as_before(hive, rows, shown)
        (kept,) = (await hive.operator.call(api.KEPT, NoParams())).kept
        assert kept.name == "dave"
        await is_well(hive)
        # Ids go on, and everything still works.
        again = await hive.propose("alice", '{ hyperhive.description = "third"; }')
        assert again.approval == last.id + 1
        assert (await hive.approve(again)).error is None
        await hive.idle("alice")
        newest = (await hive.operator.call(api.OPERATIONS, NoParams())).operations[0]
        assert newest.id > operation.id
        restored = await hive.operator.call(api.RESTORE, AgentParams(agent="dave"))
        assert (await hive.approve(restored)).error is None
        await hive.idle("dave")
        await is_well(hive)


async def test_an_older_store_keeps_what_it_has(tmp_path: Path) -> None:
    older = tmp_path / "older.db"
    async with running_hive(tmp_path, peers=True) as hive:
        state = hive.state
        number = await hive.send(MANAGER, "remember this")
        with (
            sqlite3.connect(state / "hive.db") as source,
            sqlite3.connect(older) as target,
        ):
            source.backup(target)
        proposal = await hive.propose("alice", '{ hyperhive.description = "new"; }')
        assert (await hive.approve(proposal)).error is None
        before = await agents(hive)
    for path in state.glob("hive.db*"):
        path.unlink()
    older.rename(state / "hive.db")

    with pytest.raises(HiveError, match="is older than the files beside it"):
        async with running_hive(tmp_path, peers=True):
            pass
    done = await doctor(tmp_path, "--repair", "--from-git", "--yes")
    assert done.code == 0, done.err
    assert "Kept from the older store" in done.out
    assert len(list(state.glob("hive.db.before-*Z"))) == 1

    async with running_hive(tmp_path, peers=True, beside=PARTS) as hive:
        assert await agents(hive) == before
        await is_well(hive)
        with sqlite3.connect(state / "hive.db") as database:
            rows = database.execute("SELECT body FROM message WHERE id = ?", (number,))
            assert rows.fetchone() == ("remember this",)
    whole = await doctor(tmp_path, "--repair", "--from-git", "--yes")
    assert whole.code == 1
    assert "there is nothing to rebuild" in whole.err
