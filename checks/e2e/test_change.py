"""A change with every part real: from a commit to an agent that answers.

One hive serves the whole module; each test leaves alice deployed and well.
"""

import asyncio
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from checks.e2e.kit.agent_files import BAD, GOOD
from checks.kits.harness.process import ECHO_SERVER
from checks.kits.host.hive import Hive, script
from checks.kits.host.shared_hive import shared_hive
from checks.kits.patience import PATIENCE_S
from pyglue.api import operator as api
from pyglue.api.approvals import (
    ApprovalParams,
    ApprovalState,
    ApproveParams,
    DenyParams,
    DiffBase,
    LineComment,
    RequestChangesParams,
)
from pyglue.api.common import NoParams
from pyglue.api.doctor import CheckState
from pyglue.api.inbox import MessagesParams
from pyglue.api.manager import WITHDRAW, ProposalResult, SpawnParams, WithdrawParams
from pyglue.api.operations import Operation, OperationState
from pyglue.cli.local.launcher import PARTS
from pyglue.config import Timeouts
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.repos import AppliedRepo
from pyglue.git.tags import TagKind

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nix", "git", "bwrap"),
]

hive = shared_hive(
    timeouts=Timeouts(health_s=120.0, drain_s=5.0),
    real=("alice",),
    checked=True,
    beside=PARTS,
)


def whoami() -> str:
    """Make an agent tell the operator its manifest hash."""
    return script(
        {"tool": "mcp__hive__whoami", "input": {}},
        {
            "tool": "mcp__hive__send",
            "input": {
                "to": "operator",
                "body": "I am {{result:manifest_sha256[^0-9a-f]+([0-9a-f]{64})}}",
            },
        },
        {"text": "done"},
    )


async def test_the_main_job(hive: Hive) -> None:
    proposal = await hive.propose("alice", GOOD % "the main job")
    row = (await hive.approvals("alice"))[0]
    assert row.state is ApprovalState.PENDING
    assert row.commit == proposal.commit
    operation = await hive.approve(proposal)
    assert (operation.state, operation.error) == (OperationState.DONE, None)
    running = await hive.agent("alice")
    assert running.manifest_sha256 == proposal.manifest_sha256
    assert running.description == "the main job"
    await hive.send("alice", whoami())
    await hive.answer("alice", f"I am {proposal.manifest_sha256}")


async def test_what_is_committed_after_submitting_does_not_arrive(hive: Hive) -> None:
    proposal = await hive.propose("alice", GOOD % "as proposed")
    later = hive.commit("alice", {"agent.nix": GOOD % "smuggled in later"})
    (hive.repository("alice") / "agent.nix").write_text(GOOD % "not even committed")
    await hive.approve(proposal)
    running = await hive.agent("alice")
    assert running.description == "as proposed"
    assert running.deployed_commit == proposal.commit != later


def _stale(
    proposal: ProposalResult, *, commit: str | None = None, manifest: str | None = None
) -> ApproveParams:
    return ApproveParams(
        id=proposal.approval,
        commit=commit or proposal.commit,
        manifest=manifest or proposal.manifest_sha256,
    )


async def test_only_what_was_seen_can_be_approved(hive: Hive) -> None:
    before = await hive.agent("alice")
    first = await hive.propose("alice", GOOD % "first")
    second = await hive.propose("alice", GOOD % "second")
    wrong = (
        _stale(first),  # superseded
        _stale(second, commit=first.commit),
        _stale(second, manifest=first.manifest_sha256),
        _stale(second, commit=second.commit[:12]),
        _stale(second, manifest="0" * 64),
    )
    for params in wrong:
        with pytest.raises(HiveError) as caught:
            await hive.operator.call(api.APPROVE, params)
        assert caught.value.code is ErrorCode.STALE
    states = {row.id: row.state for row in await hive.approvals("alice")}
    assert states[first.approval] is ApprovalState.SUPERSEDED
    assert states[second.approval] is ApprovalState.PENDING
    assert (await hive.agent("alice")).manifest_sha256 == before.manifest_sha256
    await hive.operator.call(api.DENY, DenyParams(id=second.approval, reason="not now"))
    with pytest.raises(HiveError) as caught:
        await hive.operator.call(api.APPROVE, _stale(second))
    assert caught.value.code is ErrorCode.STALE


async def test_two_operators_approve_at_once(hive: Hive) -> None:
    hive.git("alice", "reset", "--hard", await deployed(hive))
    proposal = await hive.propose("alice", GOOD % "two operators")
    results = await asyncio.gather(
        *(hive.operator.call(api.APPROVE, _stale(proposal)) for _ in range(5)),
        return_exceptions=True,
    )
    refused = [r for r in results if isinstance(r, HiveError)]
    queued = [r for r in results if not isinstance(r, BaseException)]
    assert len(queued) == 1
    assert [error.code for error in refused] == [ErrorCode.STALE] * 4
    operation = await hive.operation(queued[0].operation)
    assert operation.state is OperationState.DONE


async def deployed(hive: Hive) -> str:
    """Return what runs."""
    commit = (await hive.agent("alice")).deployed_commit
    assert commit is not None
    return commit


async def test_warnings_reach_proposer_and_operator(hive: Hive) -> None:
    hive.git("alice", "reset", "--hard", await deployed(hive))
    nix = """
      { lib, ... }: {
        hyperhive.description = lib.warn "old way" (builtins.trace "seen" "warned");
        assertions = [ ];
      }
    """
    proposal = await hive.propose("alice", nix)
    *printed, ignored = proposal.notes
    assert len(printed) == 2
    assert ignored == (
        "Without effect, because this hive runs agents without NixOS: assertions."
    )
    detail = await hive.operator.call(
        api.APPROVAL, ApprovalParams(id=proposal.approval)
    )
    sentences = [change.sentence for change in detail.policy]
    for note, words in zip(
        printed, ("“evaluation warning: old way”", "“seen”"), strict=True
    ):
        assert note.startswith("Printed by Nix, in the words of agent.nix")
        assert note.endswith(words) and note in sentences
    assert any("Set outside hyperhive: assertions." in text for text in sentences)
    assert not any("can change anything" in text for text in sentences)


def _memory_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(row for row in status.splitlines() if row.startswith("VmRSS"))
    return int(line.split()[1])


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_agent_nix_goes_back_to_its_author(hive: Hive, case: str) -> None:
    nix, code, says = BAD[case]
    hive.git("alice", "reset", "--hard", await deployed(hive))
    before = await hive.approvals("alice")
    with pytest.raises(HiveError) as caught:
        await hive.propose("alice", nix)
    assert caught.value.code is code
    assert says in caught.value.message + str(caught.value.details)
    assert await hive.approvals("alice") == before


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("symlink", ErrorCode.UNSAFE_TREE),
        ("submodule", ErrorCode.UNSAFE_TREE),
        ("flake", ErrorCode.UNSAFE_TREE),
        ("large", ErrorCode.TOO_LARGE),
        ("unrelated", ErrorCode.NOT_BASED_ON_MAIN),
        ("unchanged", ErrorCode.NO_CHANGE),
        ("branch", ErrorCode.INVALID_COMMIT),
    ],
)
async def test_a_bad_commit_goes_back_to_its_author(
    hive: Hive, kind: str, code: ErrorCode
) -> None:
    main = await deployed(hive)
    hive.git("alice", "checkout", "-q", "-B", "work", main)
    repository = hive.repository("alice")
    if kind == "symlink":
        (repository / "link").symlink_to("/etc/passwd")
        commit = hive.commit("alice", {})
    elif kind == "submodule":
        gitlink = f"160000,{main},sub"
        hive.git("alice", "update-index", "--add", "--cacheinfo", gitlink)
        hive.git("alice", "commit", "-qm", "sub")
        commit = hive.git("alice", "rev-parse", "HEAD")
    elif kind == "flake":
        commit = hive.commit("alice", {"flake.nix": "{}"})
    elif kind == "large":
        with (repository / "blob").open("wb") as file:
            file.truncate(64 * 2**20)  # hashed by git here, and by nobody else
        commit = hive.commit("alice", {})
    elif kind == "unrelated":
        hive.git("alice", "checkout", "-q", "--orphan", "other")
        commit = hive.commit("alice", {"agent.nix": GOOD % "unrelated"})
    elif kind == "unchanged":
        commit = main
    else:
        commit = "work"
    before = await hive.approvals("alice")
    memory = _memory_kib(hive.local.pid("hived"))
    with pytest.raises(HiveError) as caught:
        await hive.submit("alice", commit)
    assert caught.value.code is code
    assert await hive.approvals("alice") == before
    assert _memory_kib(hive.local.pid("hived")) < memory + 48 * 1024
    hive.git("alice", "checkout", "-q", "-f", "-B", "work", main)
    hive.git("alice", "clean", "-fdxq")


async def test_an_agent_that_cannot_start_is_brought_back(hive: Hive) -> None:
    hive.git("alice", "checkout", "-q", "-f", "-B", "work", await deployed(hive))
    before = await hive.agent("alice")
    broken = """{
      hyperhive.description = "broken";
      hyperhive.mcpServers.nope.command = "/does/not/exist";
    }"""
    proposal = await hive.propose("alice", broken)
    operation = await hive.approve(proposal)
    assert operation.state is OperationState.FAILED
    assert operation.error is not None
    assert "nope" in operation.error
    row = (await hive.approvals("alice"))[0]
    assert row.state is ApprovalState.FAILED
    assert row.reason is not None
    assert "nope" in row.reason
    after = await hive.agent("alice")
    assert after.manifest_sha256 == before.manifest_sha256
    assert after.deployed_commit == before.deployed_commit
    assert after.problem is None, "what runs again is well"
    await hive.send("alice", whoami())
    await hive.answer("alice", f"I am {before.manifest_sha256}")


async def test_what_failed_is_tried_again_as_it_was_approved(hive: Hive) -> None:
    main = await deployed(hive)
    hive.git("alice", "checkout", "-q", "-f", "-B", "work", main)
    late = """{
      hyperhive.description = "late";
      hyperhive.mcpServers.late.command = "python3";
      hyperhive.mcpServers.late.args = [ "/state/late.py" ];
    }"""
    proposal = await hive.propose("alice", late)

    async def again(number: int) -> Operation:
        params = ApprovalParams(id=number)
        made = await hive.operator.call(api.RETRY, params)
        return await hive.operation(made.operation)

    for foreign in (proposal.approval, 1):  # pending, deployed
        with pytest.raises(HiveError, match="only a failed one can be retried"):
            await again(foreign)
    assert (await hive.approve(proposal)).state is OperationState.FAILED
    server = hive.local.config.layout.agent_state("alice") / "late.py"
    server.write_text(ECHO_SERVER)
    server.chmod(0o644)
    done = await again(proposal.approval)
    assert (done.state, done.error) == (OperationState.DONE, None)
    after = await hive.agent("alice")
    assert after.manifest_sha256 == proposal.manifest_sha256
    assert after.deployed_commit == proposal.commit
    assert after.deployed_approval == done.approval
    with pytest.raises(HiveError, match=f"has a newer approval.*{done.approval}"):
        await again(proposal.approval)


async def test_the_manager_hears_the_outcome(hive: Hive) -> None:
    found = await hive.operator.call(api.MESSAGES, MessagesParams(agent="manager"))
    events = [m.body for m in found.messages if m.sender == "system"]
    assert any("is deployed" in body for body in events)
    assert any("failed" in body for body in events)
    assert any("denied" in body for body in events)


async def test_a_recipient_that_is_not_allowed(hive: Hive) -> None:
    to_manager = {"to": "manager", "body": "may always"}
    to_nobody = {"to": "bob", "body": "no such agent"}
    await hive.send(
        "alice",
        script(
            {"tool": "mcp__hive__send", "input": to_nobody},
            {"tool": "mcp__hive__send", "input": to_manager},
            {
                "tool": "mcp__hive__send",
                "input": {
                    "to": "operator",
                    "body": "heard: {{result:(no agent[^.]*)}}",
                },
            },
            {"text": "done"},
        ),
    )
    await hive.answer("alice", "heard: no agent")


async def test_a_proposal_is_withdrawn_by_its_proposer_alone(hive: Hive) -> None:
    hive.git("alice", "reset", "--hard", await deployed(hive))
    proposal = await hive.propose("alice", GOOD % "a mistake in it")
    manager = await hive.as_agent("manager")
    params = WithdrawParams(id=proposal.approval, reason="There is a mistake in it.")
    await manager.call(WITHDRAW, params)
    row = (await hive.approvals("alice"))[0]
    assert (row.state, row.decided_by) == (ApprovalState.WITHDRAWN, "manager")
    with pytest.raises(HiveError) as caught:
        await manager.call(WITHDRAW, params)
    assert caught.value.code is ErrorCode.STALE
    with pytest.raises(HiveError) as caught:
        await hive.operator.call(api.APPROVE, _stale(proposal))
    assert caught.value.code is ErrorCode.STALE
    applied = AppliedRepo(hive.state / "applied" / "alice.git")
    tags = {tag.name for tag in applied.tags()}
    assert f"withdrawn/{proposal.approval}" in tags
    assert f"denied/{proposal.approval}" not in tags
    spawn = await hive.operator.call(api.SPAWN, SpawnParams(name="theirs"))
    with pytest.raises(HiveError) as caught:
        await manager.call(WITHDRAW, WithdrawParams(id=spawn.approval))
    assert caught.value.code is ErrorCode.FORBIDDEN
    await hive.operator.call(api.DENY, DenyParams(id=spawn.approval, reason="no"))
    manager.close()


async def refused(hive: Hive, params: RequestChangesParams, code: ErrorCode) -> None:
    """See that changes cannot be requested so."""
    with pytest.raises(HiveError) as caught:
        await hive.operator.call(api.REQUEST_CHANGES, params)
    assert caught.value.code is code


async def test_requested_changes_reach_the_manager_in_one_message(hive: Hive) -> None:
    hive.git("alice", "reset", "--hard", await deployed(hive))
    first = await hive.propose("alice", GOOD % "as it was")
    comment = LineComment(file="agent.nix", line=3, text="Say whom it helps.")
    gone = LineComment(file="agent.nix", line=2, to=3, text="Shorter.")
    wrong = LineComment(file="agent.nix", line=99, text="x")
    removed = LineComment(
        file="agent.nix", line=1, text="Why not as before?", base=DiffBase.RUNNING
    )

    empty = RequestChangesParams(id=first.approval, text=" ")
    await refused(hive, empty, ErrorCode.BAD_REQUEST)
    nowhere = RequestChangesParams(id=first.approval, comments=(wrong,))
    await refused(hive, nowhere, ErrorCode.BAD_REQUEST)
    row = (await hive.approvals("alice"))[0]
    assert row.state is ApprovalState.PENDING
    params = RequestChangesParams(
        id=first.approval, text="Nearly.", comments=(comment, gone, removed)
    )
    await hive.operator.call(api.REQUEST_CHANGES, params)
    late = RequestChangesParams(id=first.approval, comments=(comment,))
    await refused(hive, late, ErrorCode.STALE)
    with pytest.raises(HiveError) as caught:
        await hive.operator.call(api.APPROVE, _stale(first))
    assert caught.value.code is ErrorCode.STALE
    row = (await hive.approvals("alice"))[0]
    assert (row.state, row.reason) == (ApprovalState.CHANGES_REQUESTED, "Nearly.")
    told = await hive.operator.call(
        api.MESSAGES, MessagesParams(agent="manager", text=f"Approval {first.approval}")
    )
    (message,) = [one for one in told.messages if one.sender == "system"]
    assert "\n\nNearly.\n\nagent.nix, line 3:\n>   hyperhive.desc" in message.body
    assert "agent.nix, line 1 of the deployed version:\n> " in message.body
    assert message.body.endswith("\nWhy not as before?")
    tags = AppliedRepo(hive.state / "applied" / "alice.git")
    said = tags.read_tag_message(TagKind.CHANGES, first.approval)
    assert said == message.body.encode()

    later = (GOOD % "as it was").replace("{\n", "{\n  # for people\n\n")
    second = await hive.propose("alice", later)
    third = await hive.propose("alice", later.replace("people", "all"))
    for number in (second.approval, third.approval):
        detail = await hive.operator.call(api.APPROVAL, ApprovalParams(id=number))
        assert detail.asked is not None
        assert (detail.asked.approval, detail.asked.text) == (first.approval, "Nearly.")
        places = [(one.text, one.line_now) for one in detail.asked.comments]
        assert places == [
            ("Say whom it helps.", 5),
            ("Shorter.", None),
            ("Why not as before?", None),
        ]
    deny = DenyParams(id=third.approval, reason="not so")
    await hive.operator.call(api.DENY, deny)
    fourth = await hive.propose("alice", GOOD % "at last")
    shown = await hive.operator.call(api.APPROVAL, ApprovalParams(id=fourth.approval))
    assert shown.asked is None
    deny = DenyParams(id=fourth.approval, reason="not so")
    await hive.operator.call(api.DENY, deny)


async def test_every_decision_is_in_the_audit_log(hive: Hive) -> None:
    lines = (hive.state / "audit.jsonl").read_bytes().splitlines()
    entries = [msgspec.json.decode(line) for line in lines]
    kinds = {entry["what"] for entry in entries}
    assert {"proposed", "approved", "deployed", "denied", "failed"} <= kinds
    assert {"withdrawn", "superseded", "changes_requested"} <= kinds
    for entry, previous in zip(entries[1:], entries, strict=False):
        assert entry["previous"] == previous["mac"]
    said = (hive.state / "logs" / "hived.log").read_text()
    done = _audit(hive, "verify", "--anchors", "-", stdin=said)
    assert done.stdout.startswith("The audit log is intact: ")
    assert " anchors from stdin (of lines " in done.stdout
    rows = _audit(hive, "export", "--what", "withdrawn", "--csv").stdout.splitlines()
    assert rows[0] == "seq,at,who,what,agent,data,mac"
    assert all(",manager,withdrawn,alice," in row for row in rows[1:])
    assert _audit(hive, "export", "--since", "soon").returncode == 1
    assert _audit(hive, "verify", "--anchors", "-", stdin="x").returncode == 1


def _audit(
    hive: Hive, *arguments: str, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-m", "pyglue.cli.hive", "audit", *arguments),
            *("--state", str(hive.state)),
        ],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


async def test_doctor_finds_nothing_wrong_but_what_failed(hive: Hive) -> None:
    found = await hive.operator.call(api.DOCTOR, NoParams())
    problems = [c for c in found.checks if c.state is CheckState.PROBLEM]
    assert problems == []
