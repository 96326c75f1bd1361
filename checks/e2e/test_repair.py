"""``hive doctor --repair``: manual damage is reported, repaired, and then gone."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from checks.kits.cli import run
from checks.kits.cli.run import Said
from checks.kits.host.hive import Hive
from checks.kits.host.shared_hive import shared_hive
from pyglue.api import operator as api
from pyglue.api.agent import ACK, RECV
from pyglue.api.approvals import ApprovalParams, ApprovalState, DenyParams
from pyglue.api.archive import RepairResult
from pyglue.api.audit import AuditExportParams
from pyglue.api.common import NoParams
from pyglue.api.doctor import Check
from pyglue.api.manager import START, STOP, AgentParams, SpawnParams
from pyglue.api.messages import AckParams, RecvParams
from pyglue.errors import ErrorCode, HiveError

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nix", "git", "bwrap"),
]


hive = shared_hive(peers=True)


def git(hive: Hive, name: str, *arguments: str) -> str:
    """Run git in an applied repository, as root by hand would."""
    path = hive.local.config.layout.applied(name)
    done = subprocess.run(
        ["git", f"--git-dir={path}", *arguments],
        env={
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "GIT_AUTHOR_NAME": "x",
            "GIT_AUTHOR_EMAIL": "x@x",
            "GIT_COMMITTER_NAME": "x",
            "GIT_COMMITTER_EMAIL": "x@x",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def sql(hive: Hive, statement: str, *values: object) -> None:
    """Change the store by hand, beside hived."""
    with sqlite3.connect(hive.local.config.layout.database, timeout=60) as database:
        database.execute(statement, values)


async def broken(hive: Hive) -> list[Check]:
    """Return what doctor would repair."""
    found = await hive.operator.call(api.DOCTOR, NoParams())
    return [check for check in found.checks if check.repair is not None]


async def repaired(hive: Hive, says: str, would: str) -> RepairResult:
    """See that doctor tells it, repairs it, audits it, and then finds nothing."""
    (check,) = await broken(hive)
    assert says in check.message
    assert would in (check.repair or "")
    before = await broken(hive)  # looking changes nothing
    assert len(before) == 1
    result = await hive.operator.call(api.REPAIR, NoParams())
    assert result.failed == ()
    (done,) = result.done
    assert says in done
    params = AuditExportParams(what="repaired")
    entries = (await hive.operator.call(api.AUDIT_EXPORT, params)).entries
    assert says in entries[-1].data["found"]
    for operation in (await hive.operator.call(api.OPERATIONS, NoParams())).operations:
        await hive.operation(operation.id)
    assert await broken(hive) == []
    again = await hive.operator.call(api.REPAIR, NoParams())
    assert (again.done, again.failed) == ((), ())
    return result


def command(hive: Hive, *words: str) -> Said:
    socket = hive.local.config.layout.operator_socket
    return run.typed("doctor", *words, "--socket", socket)


async def test_a_hive_that_is_well_needs_no_repair(hive: Hive) -> None:
    assert await broken(hive) == []
    said = command(hive, "--repair")
    assert (said.code, said.out) == (0, "There is nothing to repair.\n")


async def test_a_tag_without_an_approval(hive: Hive) -> None:
    git(hive, "alice", "tag", "proposal/999", "main")
    said = command(hive)
    assert "hive doctor --repair would delete the tag proposal/999." in said.out
    assert said.code == 1
    await repaired(hive, "alice has a tag proposal/999", "delete the tag")
    assert git(hive, "alice", "tag", "--list", "proposal/999") == ""


async def test_a_decision_that_the_store_does_not_know(hive: Hive) -> None:
    """What ran is not deleted for want of a row: the row is made from its tags."""
    (row, *_) = await hive.approvals("alice")
    shown = await hive.operator.call(api.APPROVAL, ApprovalParams(id=row.id))
    tags = git(hive, "alice", "tag", "--list", f"*/{row.id}")
    sql(hive, "DELETE FROM approval WHERE id = ?", row.id)
    says = f"deployed/{row.id}, proposal/{row.id}, but the store has no such approval"
    await repaired(hive, says, f"restore approval {row.id} from its tags")
    assert git(hive, "alice", "tag", "--list", f"*/{row.id}") == tags
    again = await hive.operator.call(api.APPROVAL, ApprovalParams(id=row.id))
    assert again.manifest_json == shown.manifest_json
    assert (again.approval.state, again.approval.kind) == (row.state, row.kind)
    assert again.approval.decided_by == row.decided_by


async def test_an_approval_without_its_tags(hive: Hive) -> None:
    number = (await hive.agent("alice")).deployed_approval
    record = git(hive, "alice", "cat-file", "tag", f"proposal/{number}")
    git(hive, "alice", "tag", "-d", f"proposal/{number}")
    await repaired(hive, f"no tag proposal/{number}", "from the store")
    again = git(hive, "alice", "cat-file", "tag", f"proposal/{number}")
    assert again.partition("\n\n")[2] == record.partition("\n\n")[2]
    git(hive, "alice", "tag", "-d", f"deployed/{number}")
    await repaired(hive, f"no tag deployed/{number}", "from the store")


async def test_main_that_nobody_approved(hive: Hive) -> None:
    deployed = (await hive.agent("alice")).deployed_commit
    tree = git(hive, "alice", "rev-parse", "main^{tree}")
    other = git(hive, "alice", "commit-tree", tree, "-p", "main", "-m", "by hand")
    git(hive, "alice", "update-ref", "refs/heads/main", other)
    await repaired(hive, f"main of alice is at {other}", "set main of alice")
    assert git(hive, "alice", "rev-parse", "main") == deployed


async def test_a_deploy_that_the_store_lost(hive: Hive) -> None:
    """The store fails between moving main and recording the deploy."""
    before = await hive.agent("alice")
    proposal = await hive.propose("alice", '{ hyperhive.description = "lost"; }')
    assert (await hive.approve(proposal)).error is None
    number = proposal.approval
    sql(hive, "UPDATE approval SET state = 'failed' WHERE id = ?", number)
    sql(
        hive,
        "UPDATE agent SET \"commit\" = ?, approval = ? WHERE name = 'alice'",
        before.deployed_commit,
        before.deployed_approval,
    )
    git(hive, "alice", "tag", f"failed/{number}", "main")
    await repaired(hive, f"is the commit of approval {number}", "again")
    after = await hive.agent("alice")
    assert after.deployed_approval == number
    assert git(hive, "alice", "rev-parse", "main") == proposal.commit
    (newest, *_) = await hive.approvals("alice")
    assert newest.state is ApprovalState.DEPLOYED


async def test_an_approval_that_nothing_works_on(hive: Hive) -> None:
    proposal = await hive.propose("alice", '{ hyperhive.description = "stuck"; }')
    number = proposal.approval
    sql(hive, "UPDATE approval SET state = 'building' WHERE id = ?", number)
    await repaired(hive, f"Approval {number} of alice is building", "as failed")
    (newest, *_) = await hive.approvals("alice")
    assert (newest.state, newest.reason) == (
        ApprovalState.FAILED,
        "Its operation was lost; propose it again.",
    )


async def test_an_agent_without_rooms(hive: Hive) -> None:
    session = hive.local.config.layout.session("alice")
    shutil.rmtree(session)
    await repaired(
        hive, "alice is missing directories", "create them and restart alice"
    )
    assert session.is_dir()
    await hive.idle("alice")


async def test_files_that_the_store_does_not_know_are_kept(hive: Hive) -> None:
    layout = hive.local.config.layout
    shutil.copytree(layout.applied("alice"), layout.applied("lost"))
    state = layout.agent_state("lost")
    state.mkdir(parents=True)
    (state / "known.txt").write_text("still here")
    # Its tags are of approvals that are alice's: kept, it is looked at as any agent.
    for tag in git(hive, "lost", "tag").splitlines():
        git(hive, "lost", "tag", "-d", tag)
    await repaired(hive, "Files of lost exist", "keep them")
    assert (state / "known.txt").read_text() == "still here"
    (kept,) = (await hive.operator.call(api.KEPT, NoParams())).kept
    assert kept.name == "lost"
    proposal = await hive.operator.call(api.RESTORE, AgentParams(agent="lost"))
    assert (await hive.approve(proposal)).error is None
    await hive.idle("lost")


async def test_doctor_says_all_that_repair_then_does(hive: Hive) -> None:
    """Also what a repair leads to, such as the tags of files that are kept."""
    layout = hive.local.config.layout
    shutil.copytree(layout.applied("alice"), layout.applied("older"))
    for tag in git(hive, "older", "tag").splitlines():
        git(hive, "older", "tag", "-d", tag)
    for tag in ("proposal/7000", "proposal/7001", "approved/7001", "deployed/7001"):
        git(hive, "older", "tag", tag, "main")
    git(hive, "alice", "tag", "proposal/7002", "main")
    shutil.rmtree(layout.session("alice"))
    (layout.runtime / "agents" / "gone").mkdir()
    held = await hive.send("manager", "held")
    await hive.until(lambda: _done(hive, held), "its end")

    async def found() -> set[str] | None:
        """Until the manager waits: when it asks next, it gets the message back."""
        sql(
            hive,
            "UPDATE message SET state = 'held', holder = 'gone', "
            "turn = (SELECT max(id) FROM turn WHERE ended_at IS NOT NULL) WHERE id = ?",
            held,
        )
        said = {f"{one.message} Done: {one.repair}." for one in await broken(hive)}
        return said if len(said) == 7 else None

    said = await hive.until(found, "its seven findings")
    result = await hive.operator.call(api.REPAIR, NoParams())
    assert result.failed == ()
    assert set(result.done) == said
    for operation in (await hive.operator.call(api.OPERATIONS, NoParams())).operations:
        await hive.operation(operation.id)
    assert await broken(hive) == []
    assert git(hive, "older", "tag", "--list", "deployed/*") == "deployed/7001"
    await hive.idle("alice", "manager")


async def test_messages_that_a_turn_that_ended_still_holds(hive: Hive) -> None:
    alice = AgentParams(agent="alice")
    turn = await hive.send("alice", "a turn")
    await hive.until(lambda: _done(hive, turn), "its end")
    stop = await hive.operator.call(STOP, alice)
    assert (await hive.operation(stop.operation)).error is None
    number = await hive.send("alice", "hello")
    sql(
        hive,
        "UPDATE message SET state = 'held', holder = 'gone', "
        "turn = (SELECT max(id) FROM turn WHERE ended_at IS NOT NULL) WHERE id = ?",
        number,
    )
    await repaired(hive, "1 of its messages are leased to a turn", "queue them again")
    assert await received(hive) == ["hello"]
    start = await hive.operator.call(START, alice)
    assert (await hive.operation(start.operation)).error is None
    await hive.idle("alice")


async def _done(hive: Hive, number: int) -> bool | None:
    with sqlite3.connect(hive.local.config.layout.database, timeout=60) as database:
        found = database.execute("SELECT state FROM message WHERE id = ?", (number,))
        return found.fetchone() == ("done",) or None


async def test_a_proposal_deletes_nothing_that_ran_unknown_to_the_store(
    hive: Hive,
) -> None:
    """An older store under newer files: what the name had stays."""
    layout = hive.local.config.layout
    shutil.copytree(layout.applied("alice"), layout.applied("zz"))
    tags = git(hive, "zz", "tag", "--list", "deployed/*")
    assert tags
    spawn = SpawnParams(name="zz", description="again")
    with pytest.raises(HiveError, match="ran before, but the store") as refused:
        await hive.operator.call(api.SPAWN, spawn)
    assert refused.value.code is ErrorCode.NAME_TAKEN
    assert git(hive, "zz", "tag", "--list", "deployed/*") == tags
    shutil.rmtree(layout.applied("zz"))


async def test_a_port_without_an_agent(hive: Hive) -> None:
    private = hive.local.config.layout.private("gone")
    private.mkdir()
    (private / "port").write_text("8123\n")
    await repaired(hive, "A port of gone", "remove")
    assert not private.exists()


async def test_what_waits_or_was_denied_is_left_alone(hive: Hive) -> None:
    proposal = await hive.operator.call(api.SPAWN, SpawnParams(name="waits"))
    assert await broken(hive) == []
    params = DenyParams(id=proposal.approval, reason="no")
    await hive.operator.call(api.DENY, params)
    assert await broken(hive) == []


async def test_sockets_without_an_agent(hive: Hive) -> None:
    run = hive.local.config.layout.run("gone")
    run.mkdir()
    (run / "hive.sock").touch()
    await repaired(hive, "Sockets of gone", "remove")
    assert not run.exists()


@pytest.mark.parametrize("where", ["quarantine", "agents", "applied"])
async def test_what_was_left_half_made(hive: Hive, where: str) -> None:
    left = hive.state / where / ".new-left"
    left.mkdir()
    assert await broken(hive) == []  # it may be at work
    old = time.time() - 7200
    os.utime(left, (old, old))
    await repaired(hive, "was left incomplete", "remove")
    assert not left.exists()


async def test_a_process_that_no_hived_has(hive: Hive) -> None:
    layout = hive.local.config.layout
    code = "import time; time.sleep(600)"
    words = ("pyglue.harness.main", "--state", str(layout.agent_state("alice")))
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, *words)
    try:
        await repaired(
            hive, f"Process {process.pid} runs as the user of alice", "kill the process"
        )
        assert await process.wait() == -9
    finally:
        if process.returncode is None:
            process.kill()
    await hive.idle("alice")


async def test_a_process_in_a_sandbox_that_no_hived_has(hive: Hive) -> None:
    state = hive.local.config.layout.agent_state("alice")
    root = [word for name in ("lib", "lib64", "bin") for word in _link(name)]
    for place, told in (("/other", False), ("/state", True)):
        process = await asyncio.create_subprocess_exec(
            *("bwrap", "--unshare-pid", "--die-with-parent"),
            *("--ro-bind", "/usr", "/usr", *root, "--proc", "/proc"),
            *("--bind", str(state), place, "sh", "-c", "echo up; exec sleep 600"),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"up\n"
            if told:
                checks = await broken(hive)
                assert checks
                assert {
                    "runs as the user of alice" in check.message for check in checks
                } == {True}
                assert (await hive.operator.call(api.REPAIR, NoParams())).done
                assert await process.wait() != 0
            assert await broken(hive) == []
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    await hive.idle("alice")


def _link(name: str) -> tuple[str, str, str]:
    return "--symlink", f"usr/{name}", f"/{name}"


async def test_what_cannot_be_mended_is_said(hive: Hive) -> None:
    path = hive.local.config.layout.applied("alice")
    aside = path.with_name("aside")
    path.rename(aside)
    said = command(hive, "--repair")
    assert said.code == 1
    assert "alice has no repository" in said.out
    assert "Restore the repository from a backup" in said.out
    Path(aside).rename(path)
    assert await broken(hive) == []


async def test_a_stopped_agent_has_its_socket_after_a_restart_and_a_repair(
    hive: Hive,
) -> None:
    alice = AgentParams(agent="alice")
    stop = await hive.operator.call(STOP, alice)
    assert (await hive.operation(stop.operation)).error is None
    await hive.kill_hived()
    await hive.idle("manager")
    assert await broken(hive) == []
    run = hive.local.config.layout.run("alice")
    assert (run / "hive.sock").is_socket()
    await hive.send("alice", "while you are stopped")
    assert await received(hive) == ["while you are stopped"]
    shutil.rmtree(run)
    await repaired(hive, f"alice is missing directories: {run}", "create them")
    await hive.send("alice", "after a repair")
    assert await received(hive) == ["after a repair"]
    start = await hive.operator.call(START, alice)
    assert (await hive.operation(start.operation)).error is None
    await hive.idle("alice")
    with pytest.raises(HiveError, match="hive stop alice"):
        await received(hive)


async def received(hive: Hive) -> list[str]:
    """Take alice's messages as another client of her socket, and acknowledge them."""
    client = await hive.as_agent("alice")
    try:
        taken = await client.call(RECV, RecvParams(max=9))
        await client.call(ACK, AckParams())
        return [message.body for message in taken.messages]
    finally:
        client.close()
