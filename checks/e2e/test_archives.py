"""Export and import of agents, and backup and restore of a whole working hive."""

import asyncio
import os
import shutil
import stat
from pathlib import Path

import pytest

from checks.kits.archive.small import made
from checks.kits.cli import run
from checks.kits.cli.run import HIVE, Said, python, typed
from checks.kits.host.hive import (
    API_KEY,
    Hive,
    PeerHive,
    let_pass,
    open_operator,
    opened,
    script,
)
from checks.kits.host.shared_hive import shared_hive
from checks.kits.net.ports import free_port
from checks.kits.patience import PATIENCE_S
from pyglue.api import operator as api
from pyglue.api.approvals import ApprovalKind, ApprovalState, DenyParams
from pyglue.api.archive import (
    CHUNK_MAX,
    ExportParams,
    ImportChunkParams,
    ImportParams,
    ImportResult,
    TransferParams,
)
from pyglue.api.audit import AuditVerifyParams
from pyglue.api.common import NoParams
from pyglue.api.lifecycle import PurgeParams
from pyglue.api.manager import AgentParams, ProposalResult
from pyglue.cli.local.configure import LocalOptions
from pyglue.demo import story
from pyglue.errors import ErrorCode, HiveError

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nix", "git", "bwrap"),
]


hive = shared_hive(peers=True)


def answer(text: str) -> str:
    """Return a message that an agent answers."""
    send = {"tool": "mcp__hive__send", "input": {"to": "operator", "body": text}}
    return script(send, {"text": "done"})


def hive_cli(hive: Hive, *arguments: str | Path) -> Said:
    """Run a command on this hive."""
    return run.typed(*arguments, "--socket", hive.local.config.layout.operator_socket)


def write_as_agent(hive: Hive, path: str, text: str) -> Path:
    """Write a file in alice's state as alice would."""
    file = hive.local.config.layout.agent_state("alice") / path
    file.parent.mkdir(exist_ok=True, parents=True)
    file.write_text(text)
    if hive.local.config.ids is not None:
        uid = hive.local.config.layout.agent_state("alice").stat().st_uid
        for place in (file, file.parent):
            os.chown(place, uid, uid)
    return file


async def exported(hive: Hive, room: Path) -> Path:
    """Return alice as an archive."""
    file = room / "alice.tar.gz"
    said = hive_cli(hive, "export", "alice", "-o", file)
    assert said.code == 0, said.err
    return file


async def sent(hive: Hive, data: bytes, name: str | None = None) -> ImportResult:
    """Import an archive over the socket."""
    handle = (await hive.operator.call(api.IMPORT_BEGIN, NoParams())).transfer
    for begin in range(0, len(data), CHUNK_MAX):
        chunk = data[begin : begin + CHUNK_MAX]
        params = ImportChunkParams(transfer=handle, data=chunk)
        await hive.operator.call(api.IMPORT_CHUNK, params)
    whole = ImportParams(transfer=handle, name=name)
    return await hive.operator.call(api.IMPORT, whole)


def left(hive: Hive) -> list[str]:
    """Return what imports and backups left of themselves."""
    layout = hive.local.config.layout
    parents = (layout.agents, layout.applied_root, layout.state / "private")
    found = [path for parent in parents for path in parent.glob(".*")]
    return [str(path) for path in (*found, *layout.quarantine.iterdir())]


async def test_an_agent_goes_out_and_comes_in_under_another_name(
    hive: Hive, tmp_path: Path
) -> None:
    write_as_agent(hive, "notes/known.txt", "what alice knows")
    link = hive.local.config.layout.agent_state("alice") / "secret"
    link.symlink_to("/etc/shadow")
    said = hive_cli(hive, "export", "alice", "-o", tmp_path / "a.tar.gz")
    assert said.code == 0, said.err
    assert "state/secret: it is a link" in said.out
    file = tmp_path / "a.tar.gz"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    said = hive_cli(hive, "import", file, "--as", "alice2")
    assert said.code == 0, said.err
    assert "is pending" in said.out
    layout = hive.local.config.layout
    known = layout.agent_state("alice2") / "notes" / "known.txt"
    assert known.read_text() == "what alice knows"
    assert not (layout.agent_state("alice2") / "secret").exists()
    kept = (await hive.operator.call(api.KEPT, NoParams())).kept
    assert [one.name for one in kept] == ["alice2"]
    agents = (await hive.operator.call(api.AGENTS, NoParams())).agents
    assert "alice2" not in [agent.name for agent in agents]

    (waiting,) = await hive.approvals("alice2")
    assert waiting.state is ApprovalState.PENDING
    assert waiting.kind is ApprovalKind.RESTORE
    operation = await hive.approve(
        ProposalResult(
            approval=waiting.id,
            commit=waiting.commit,
            manifest_sha256=waiting.manifest_sha256,
            widens=(),
        )
    )
    assert operation.error is None
    await hive.idle("alice2")
    await hive.send("alice2", answer("alice2 is back"))
    await hive.answer("alice2", "alice2 is back")
    assert left(hive) == []


async def test_an_import_that_was_denied_can_be_proposed_again_or_purged(
    hive: Hive, tmp_path: Path
) -> None:
    file = await exported(hive, tmp_path)
    taken = await sent(hive, file.read_bytes(), "again")
    assert (await hive.operation(taken.operation)).error is None
    (waiting,) = await hive.approvals("again")
    params = DenyParams(id=waiting.id, reason="not now")
    await hive.operator.call(api.DENY, params)
    proposal = await hive.operator.call(api.RESTORE, AgentParams(agent="again"))
    assert proposal.commit == waiting.commit
    purge = PurgeParams(agent="again", confirm="again")
    reference = await hive.operator.call(api.PURGE, purge)
    assert (await hive.operation(reference.operation)).error is None
    taken = await sent(hive, file.read_bytes(), "again")  # the name is free again
    assert (await hive.operation(taken.operation)).error is None


@pytest.mark.parametrize(
    ("data", "name", "said"),
    [
        (b"nothing", "new", "truncated or damaged"),
        (made(("state/../x", b"", None)), "new", "is not allowed"),
        (made(("main.pack", b"PACK", None)), "new", "has no commit"),
        (made(("state/x", b"", None)), "new", "main.pack is missing"),
        (
            made(("main.pack", b"x", None), index={"about": {"main": "f" * 40}}),
            "new",
            "not a git pack",
        ),
        (
            made(("main.pack", b"x", None), index={"about": {"main": "main"}}),
            "new",
            "Invalid commit ",
        ),
        (made(("main.pack", b"x", None)), "manager", "is reserved"),
        (made(("main.pack", b"x", None)), "../x", "Invalid agent name"),
        (made(("main.pack", b"x", None)), None, "has no agent"),
        (made(("session/l", b"", None), ("evil", b"", None)), "new", "does not belong"),
        (
            made(
                ("main.pack", b"x", None),
                ("record.json", b"x" * 600_000, None),
            ),
            "new",
            "record.json is too large",
        ),
    ],
)
async def test_a_bad_archive_leaves_nothing(
    hive: Hive, data: bytes, name: str | None, said: str
) -> None:
    with pytest.raises(HiveError, match=said):
        await sent(hive, data, name)
    assert left(hive) == []


async def test_a_name_that_is_taken_is_refused(hive: Hive, tmp_path: Path) -> None:
    file = await exported(hive, tmp_path)
    said = hive_cli(hive, "import", file)
    assert "There is already an agent 'alice'" in said.refusal()
    assert left(hive) == []


async def test_only_agents_go_out_and_only_to_those_who_ask_on_the_host(
    hive: Hive, tmp_path: Path
) -> None:
    said = hive_cli(hive, "export", "nobody", "-o", tmp_path / "x")
    assert "There is no agent 'nobody'" in said.refusal()
    said = hive_cli(hive, "export", "alice", "-o", tmp_path / "no" / "x")
    assert "Cannot write " in said.refusal()
    said = hive_cli(hive, "import", tmp_path / "none")
    assert "Cannot read " in said.refusal()
    assert not any(tmp_path.iterdir())
    agent = await hive.as_agent("alice")
    for method in (api.BACKUP, api.IMPORT_BEGIN, api.REPAIR):
        with pytest.raises(HiveError) as refused:
            await agent.call(method, NoParams())
        assert refused.value.code is ErrorCode.UNKNOWN_METHOD
    agent.close()


async def test_a_transfer_ends_with_its_connection(hive: Hive) -> None:
    other = await open_operator(hive.local.config, [], asyncio.Event())
    params = ExportParams(agent="alice")
    handles = [(await other.call(api.EXPORT, params)).transfer for _ in range(2)]
    with pytest.raises(HiveError) as refused:
        await hive.operator.call(api.EXPORT, params)
    assert refused.value.code is ErrorCode.TOO_MANY
    other.close()
    await other.wait_closed()
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                handle = (await hive.operator.call(api.EXPORT, params)).transfer
                break
            except HiveError:
                await hive.operator.call(api.STATUS, NoParams())
    destroy = False
    while not destroy:
        chunk = await hive.operator.call(
            api.TRANSFER_READ, TransferParams(transfer=handle)
        )
        destroy = chunk.end
    with pytest.raises(HiveError) as refused:
        gone = TransferParams(transfer=handles[0])
        await hive.operator.call(api.TRANSFER_READ, gone)
    assert refused.value.code is ErrorCode.NOT_FOUND


async def test_an_import_that_is_given_up_leaves_nothing(hive: Hive) -> None:
    """The caller goes while it is unpacked: nothing writes on behind it."""
    large = made(*((f"state/{n}", bytes(50_000_000), None) for n in range(8)))
    other = await open_operator(hive.local.config, [], asyncio.Event())
    handle = (await other.call(api.IMPORT_BEGIN, NoParams())).transfer
    for begin in range(0, len(large), CHUNK_MAX):
        part = large[begin : begin + CHUNK_MAX]
        sent = ImportChunkParams(transfer=handle, data=part)
        await other.call(api.IMPORT_CHUNK, sent)
    layout = hive.local.config.layout
    asked = ImportParams(transfer=handle, name="new")
    importing = asyncio.create_task(other.call(api.IMPORT, asked))
    async with asyncio.timeout(PATIENCE_S):
        while not list(layout.agents.glob(".import-*/state/0")):
            await hive.operator.call(api.STATUS, NoParams())
        importing.cancel()
        while left(hive):
            await hive.operator.call(api.STATUS, NoParams())
    other.close()
    (newest, *_) = (await hive.operator.call(api.OPERATIONS, NoParams())).operations
    assert newest.agent != "new"


async def test_a_name_whose_repository_ran_is_refused(
    hive: Hive, tmp_path: Path
) -> None:
    """The store may be an older one than the files: what ran is never removed."""
    layout = hive.local.config.layout
    file = await exported(hive, tmp_path)
    ran = layout.applied("ran")
    shutil.copytree(layout.applied("alice"), ran)
    with pytest.raises(HiveError, match="The repository of an earlier agent 'ran'"):
        await sent(hive, file.read_bytes(), "ran")
    assert (ran / "HEAD").is_file()
    shutil.rmtree(ran)


async def test_what_a_kill_left_of_an_import_is_swept(hive: Hive) -> None:
    layout = hive.local.config.layout
    for parent in (layout.agents, layout.applied_root, layout.state / "private"):
        (parent / ".import-0123" / "state").mkdir(parents=True)
    await hive.kill_hived()
    await hive.idle("manager", "alice")
    assert left(hive) == []


# --- the whole hive -------------------------------------------------------------------


def elsewhere(state: Path) -> PeerHive:
    """Return a hive on another state directory, which has a manager at least."""
    options = LocalOptions(
        state=state,
        port=free_port(),
        api_key=API_KEY,
        script=story.PATH,
        agents=("manager",),
    )
    return PeerHive(options, lambda _text: None, beside=())


async def test_a_hive_is_backed_up_at_work_and_lives_on_elsewhere(
    hive: Hive, tmp_path: Path
) -> None:
    stop = asyncio.Event()

    async def flow() -> int:
        count = 0
        while not stop.is_set() and count < 500:
            await hive.send("alice", answer(f"flow {count}"))
            count += 1
        return count

    flowing = asyncio.create_task(flow())
    file = tmp_path / "hive.tar.gz"
    socket = hive.local.config.layout.operator_socket
    said = await python(HIVE, "backup", "-o", file, "--socket", socket)
    stop.set()
    assert await flowing > 0
    assert said.code == 0, said.err
    assert "the audit log's key" in said.out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = await hive.agent("alice")

    let_pass(tmp_path)
    into = tmp_path / "restored"
    into.mkdir()
    said = typed("restore-backup", file, "--into", into)
    assert said.code == 0, said.err
    assert "hive audit verify" in said.out
    said = typed("restore-backup", file, "--into", into)
    assert "is not empty" in said.refusal()

    local = elsewhere(into)
    async with opened(local, ("manager", "alice")) as restored:
        operator = restored.operator
        after = await restored.agent("alice")
        assert after.deployed_commit == before.deployed_commit
        assert after.manifest_sha256 == before.manifest_sha256
        await restored.send("alice", answer("restored and well"))
        await restored.answer("alice", "restored and well")
        verdict = await operator.call(api.AUDIT_VERIFY, AuditVerifyParams())
        assert verdict.ok, verdict.problem
        state = local.config.layout.agent_state("alice")
        assert (state / "notes" / "known.txt").read_text() == "what alice knows"
        assert str((state / "secret").readlink()) == "/etc/shadow"
        # Nothing that was proposed after is in it, and the next id is free.
        commit = restored.commit(
            "alice", {"agent.nix": '{ hyperhive.model = "opus"; }'}
        )
        assert (
            await restored.approve(await restored.submit("alice", commit))
        ).error is None
        found = await operator.call(api.DOCTOR, NoParams())
        assert [check for check in found.checks if check.repair is not None] == []


async def test_a_backup_that_was_touched_is_not_restored(
    hive: Hive, tmp_path: Path
) -> None:
    file = tmp_path / "hive.tar.gz"
    assert hive_cli(hive, "backup", "-o", file).code == 0
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF  # one bit may be deflate's padding, which says nothing
    file.write_bytes(bytes(data))
    said = typed("restore-backup", file, "--into", tmp_path / "x")
    assert "Nothing was changed." in said.refusal()
    agent = await exported(hive, tmp_path)
    said = typed("restore-backup", agent, "--into", tmp_path / "x")
    assert "Invalid archive: 'main.pack' does not belong in it" in said.refusal()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "alice.tar.gz",
        "hive.tar.gz",
    ]
