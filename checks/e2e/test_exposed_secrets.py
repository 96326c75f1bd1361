"""Secrets that an agent sees: in its sandbox, but never stored or shown by the hive.

The real CLI and its Bash tool in the local sandbox. What a command printed is compared
with hashes in the agent's own files, because the hive shows none of it.
"""

import base64
import hashlib
import re
import stat
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from checks.kits.cli import run as cli
from checks.kits.cli.run import Said, typed
from checks.kits.harness.process import ECHO_SERVER
from checks.kits.host.hive import Hive, harnesses, running_hive, script
from checks.kits.patience import PATIENCE_S
from checks.kits.process.processes import command, family
from pyglue.api import operator as api
from pyglue.api import terminal
from pyglue.api.approvals import ApprovalParams, Danger
from pyglue.api.archive import BackupParams
from pyglue.api.common import PROTOCOL, HelloParams, NoParams
from pyglue.api.manager import AgentParams
from pyglue.api.operations import OperationState
from pyglue.api.secrets import SecretParams, SecretSetParams
from pyglue.errors import HiveError
from pyglue.jsonrpc import Handlers, connect
from pyglue.paths import INSIDE
from pyglue.process import run as run_program

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nix", "git", "bwrap"),
]

NIX: Final = """{
  hyperhive.allowedTools = [ "Bash" ];
  hyperhive.bash.allow = null;
  hyperhive.secrets.API_TOKEN.expose = "env";
  hyperhive.secrets.DEPLOY_KEY.expose = "file";
  hyperhive.mcpServers.own.command = "python3";
  hyperhive.mcpServers.own.args = [ "/state/own.py" ];
  hyperhive.mcpServers.own.allowedTools = [ "say" ];
}
"""
SERVER: Final = f"""
import hashlib, os
value = os.environ.get("API_TOKEN", "")
os.environ["VOICE"] = hashlib.sha256(value.encode()).hexdigest()
{ECHO_SERVER}"""
"""Tells the digest of what is in its own environment."""
TOKEN: Final = "tok-1f4b7c9e2d/+Aa"
ROTATED: Final = "tok-rotated-8812/+Bb"
ENV: Final = {"PATH": "/usr/bin:/bin"}
KEY: Final = "-----BEGIN KEY-----\nq83vASNFZ4mrze8BI0VniavN7wEjRQ==\n-----END KEY-----"
VALUES: Final = (TOKEN, ROTATED, KEY.splitlines()[1])
FORMS: Final = tuple(
    form
    for value in VALUES
    for form in (
        value.encode(),
        base64.b64encode(value.encode())[:-4],
        value.encode().hex().encode(),
    )
)


def digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hive(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hive]:
    """Alice's hive; she was deployed before her secrets were set."""
    async with running_hive(
        tmp_path_factory.mktemp("exposure"), real=("alice",)
    ) as hive:
        server = hive.local.config.layout.agent_state("alice") / "own.py"
        server.write_text(SERVER)
        server.chmod(0o644)
        proposal = await hive.propose("alice", NIX)
        asked = ApprovalParams(id=proposal.approval)
        shown = await hive.operator.call(api.APPROVAL, asked)
        changes = {one.option: one for one in shown.policy}
        env = changes["hyperhive.secrets.API_TOKEN.expose"]
        assert env.danger is Danger.CRITICAL
        assert env.sentence == (
            "The value of API_TOKEN is in the environment of the agent's programs and "
            "MCP servers: the agent sees it. It can use the value for anything, and "
            "send it to any host that it can reach."
        )
        file = changes["hyperhive.secrets.DEPLOY_KEY.expose"]
        assert "in the file /run/hive/secrets/DEPLOY_KEY of the agent" in file.sentence
        assert [one.exposed for one in shown.secrets] == [True, True]
        assert (await hive.approve(proposal)).state is OperationState.DONE
        yield hive


async def set_value(hive: Hive, name: str, value: str) -> None:
    await hive.operator.call(api.SECRET_SET, SecretSetParams(name=name, value=value))


async def problems(hive: Hive) -> list[str | None]:
    detail = await hive.operator.call(api.AGENT, AgentParams(agent="alice"))
    return [one.problem for one in detail.secrets]


async def run(hive: Hive, command: str, mark: str) -> str:
    """Run a command by alice's Bash tool; return what she says that it printed."""
    return await use(hive, {"tool": "Bash", "input": {"command": command}}, mark)


async def use(hive: Hive, tool: dict[str, object], mark: str) -> str:
    """Let alice use a tool; return what she says of its result."""
    steps = (
        tool,
        {"tool": "mcp__hive__send", "input": {"to": "operator", "body": mark}},
        {"text": "done"},
    )
    before = len(hive.events)
    await hive.send("alice", script(*steps))
    await hive.answer("alice", mark)
    await hive.idle("alice")
    told = [bytes(one.data).decode() for one in hive.events[before:]]
    return "\n".join(one for one in told if "tool_result" in one)


async def test_one_that_is_missing_is_a_problem_of_the_agent(hive: Hive) -> None:
    """It was deployed all the same, and works without."""
    assert await problems(hive) == [
        f"{name} is not set: run `hive secret set {name}`."
        for name in ("API_TOKEN", "DEPLOY_KEY")
    ]
    said = await run(hive, f"echo ${{API_TOKEN-none}}; ls {INSIDE.secrets}", "unset")
    assert "none" in said
    await set_value(hive, "API_TOKEN", "short")
    assert "it has 5 bytes, and needs at least 8" in str((await problems(hive))[0])
    assert "none" in await run(hive, "echo ${API_TOKEN-none}", "short")
    await set_value(hive, "API_TOKEN", TOKEN)
    await set_value(hive, "DEPLOY_KEY", KEY)
    assert await problems(hive) == [None, None]
    checks = (await hive.operator.call(api.DOCTOR, NoParams())).checks
    assert not [one for one in checks if one.name == "secrets of alice"]


async def test_programs_find_it(hive: Hive) -> None:
    """From the next turn on, in memory, for the agent's user alone."""
    place = f"{INSIDE.secrets}/DEPLOY_KEY"
    said = await run(
        hive,
        'printf %s "$API_TOKEN" | sha256sum; '
        f"sha256sum < {place}; stat -c '%a %U %n' {place} {INSIDE.secrets}; "
        f"stat -f -c %T {INSIDE.secrets}",
        "found",
    )
    assert digest(TOKEN) in said and digest(KEY) in said, said
    assert f"400 agent {place}" in said and f"700 agent {INSIDE.secrets}" in said
    assert "tmpfs" in said


SAY: Final[dict[str, object]] = {"tool": "mcp__own__say", "input": {}}


async def test_an_mcp_server_of_the_agent_has_the_variable(hive: Hive) -> None:
    """It is a program of the agent, as the approval says."""
    assert digest(TOKEN) in await use(hive, SAY, "served")


async def test_nothing_that_the_hive_shows_has_it(hive: Hive) -> None:
    """Printed in every form, by commands that fail, in messages and names of tools."""
    said = await run(
        hive,
        'set +e; echo "$API_TOKEN"; printf "ab%s" "$API_TOKEN" | base64 -w0; echo; '
        'printf %s "$API_TOKEN" | od -An -tx1 | tr -d " \\n"; echo; '
        f"cat {INSIDE.secrets}/DEPLOY_KEY; env; cat /proc/self/environ; "
        'cat "/nowhere/$API_TOKEN"; exit 3',
        "printed",
    )
    assert said.count("[secret API_TOKEN]") >= 5, said
    assert "[secret DEPLOY_KEY]" in said
    assert not [one for one in hive.events if any(f in bytes(one.data) for f in FORMS)]
    rooms = {hive.state, hive.local.place.temporary}
    holding = {
        str(path.relative_to(hive.state))
        for room in rooms
        for path in room.rglob("*")
        if path.is_file() and any(form in path.read_bytes() for form in FORMS)
    }
    own = {one for one in holding if one.startswith("private/alice/session/")}
    assert holding - own == {"secrets/API_TOKEN", "secrets/DEPLOY_KEY"}
    pids = {pid for one in harnesses(hive.local) for pid in (one, *family(one))}
    assert not any(v in word for pid in pids for word in command(pid) for v in VALUES)


def hive_cli(hive: Hive, *argv: str | Path) -> Said:
    socket = hive.local.config.layout.operator_socket
    return cli.typed(*argv, "--socket", socket)


async def test_a_backup_does_not_have_it(hive: Hive, tmp_path: Path) -> None:
    """Though the CLI's conversation does: stars stand for it."""
    for argv, name in (
        (("backup", "-o"), "backup.tar.gz"),
        (("export", "alice", "-o"), "alice.tar.gz"),
    ):
        said = hive_cli(hive, *argv, tmp_path / name)
        assert said.code == 0, said.err
        starred = 0
        with tarfile.open(tmp_path / name) as archive:
            assert not [one for one in archive.getnames() if one.startswith("secrets")]
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                data = b"" if file is None else file.read()
                assert not any(form in data for form in FORMS), member.name
                starred += data.count(b"*" * len(TOKEN))
        assert starred > 0


async def test_a_backup_with_secrets_is_encrypted_or_refused(
    hive: Hive, tmp_path: Path
) -> None:
    file = tmp_path / "b.age"
    said = hive_cli(hive, "backup", "-o", file, "--with-secrets")
    assert "must be encrypted" in said.refusal()
    said = hive_cli(hive, "backup", "-o", file, "--recipient", "age1" + "q" * 58)
    assert "add --with-secrets" in said.refusal()
    for recipient in ("-o/tmp/x", "ssh-ed25519 AAAA"):
        with pytest.raises(HiveError, match="recipient"):
            await hive.operator.call(api.BACKUP, BackupParams(recipient=recipient))
    wrong = ("--with-secrets", "--recipient", "age1" + "q" * 58)
    said = hive_cli(hive, "backup", "-o", file, *wrong)
    assert "age failed: age: error: " in said.refusal()
    assert not file.exists()
    assert list(hive.local.config.layout.quarantine.iterdir()) == []


@pytest.mark.needs("age")
async def test_a_backup_with_secrets_is_restored(hive: Hive, tmp_path: Path) -> None:
    key, file, plain = (tmp_path / name for name in ("key", "b.age", "b.tar.gz"))
    made = await run_program(
        ["age-keygen", "-o", str(key)], env=ENV, timeout=PATIENCE_S
    )
    recipient = re.search(rb"age1[0-9a-z]+", made.stderr + made.stdout)
    assert recipient is not None, made
    to = ("--with-secrets", "--recipient", recipient[0].decode())
    said = hive_cli(hive, "backup", "-o", file, *to)
    assert said.code == 0, said.err
    assert "is encrypted. Decrypt it with age" in said.out
    data = file.read_bytes()
    assert data.startswith(b"age-encryption.org/v1")
    assert not any(form in data for form in FORMS)
    into = tmp_path / "restored"
    refused = typed("restore-backup", file, "--into", into)
    assert "is encrypted. Decrypt it first: age -d" in refused.refusal()
    argv = ["age", "-d", "-i", str(key), "-o", str(plain), str(file)]
    assert (await run_program(argv, env=ENV, timeout=PATIENCE_S)).code == 0
    done = typed("restore-backup", plain, "--into", into)
    assert done.code == 0, done.err
    assert (into / "secrets" / "API_TOKEN").read_text() == TOKEN
    assert stat.S_IMODE((into / "secrets").stat().st_mode) == 0o700
    assert stat.S_IMODE((into / "secrets" / "DEPLOY_KEY").stat().st_mode) == 0o600
    session = (into / "private/alice/session").rglob("*.jsonl")
    assert any(TOKEN.encode() in one.read_bytes() for one in session)


async def test_a_terminal_does_not_show_it(hive: Hive) -> None:
    shown = bytearray()
    handlers = Handlers()
    handlers.on_note(terminal.TERMINAL_DATA, lambda it: shown.extend(it.data))
    socket = hive.local.config.layout.operator_socket
    hello = HelloParams(protocol=PROTOCOL, client="test")
    viewer = await connect(socket, handlers, hello=hello)
    opening = terminal.TerminalOpenParams(agent="alice")
    opened = await viewer.call(terminal.TERMINAL_OPEN, opening)
    attach = terminal.TerminalAttachParams(terminal=opened.terminal)
    await viewer.call(terminal.TERMINAL_ATTACH, attach)
    typed = b'echo "a${API_TOKEN}b"; echo o"ve"r\n'
    keys = terminal.TerminalInputParams(terminal=opened.terminal, data=typed)
    viewer.notify(terminal.TERMINAL_INPUT, keys)

    async def over() -> bool | None:
        return b"over" in shown or None

    await hive.until(over, "the end of the command", every=0.05)
    viewer.close()
    assert b"a[secret API_TOKEN]b" in shown
    assert TOKEN.encode() not in shown


async def test_a_rotated_value_holds_from_the_next_turn_on(hive: Hive) -> None:
    """Also where a CLI waited for that turn, and the old one stays hidden."""
    rotate = SecretSetParams(name="API_TOKEN", value=ROTATED)
    await hive.operator.call(api.SECRET_ROTATE, rotate)
    with pytest.raises(HiveError, match="API_TOKEN already has this value"):
        await hive.operator.call(api.SECRET_ROTATE, rotate)
    said = await run(hive, 'printf %s "$API_TOKEN" | sha256sum', "rotated")
    assert digest(ROTATED) in said, said
    assert digest(ROTATED) in await use(hive, SAY, "served anew")
    said = await run(hive, f"echo {TOKEN[:9]}''{TOKEN[9:]}", "old")
    assert "[secret API_TOKEN]" in said


async def test_one_that_was_removed_is_gone_with_the_next_turn(hive: Hive) -> None:
    for name in ("API_TOKEN", "DEPLOY_KEY"):
        await hive.operator.call(api.SECRET_REMOVE, SecretParams(name=name))
    said = await run(hive, f"echo ${{API_TOKEN-none}}; ls -A {INSIDE.secrets}", "gone")
    assert "none" in said and "DEPLOY_KEY" not in said, said
    assert digest("") in await use(hive, SAY, "served without")
    with pytest.raises(HiveError, match="API_TOKEN is not set"):
        rotate = SecretSetParams(name="API_TOKEN", value=TOKEN)
        await hive.operator.call(api.SECRET_ROTATE, rotate)


async def test_its_use_is_in_the_audit_log(hive: Hive) -> None:
    text = hive.local.config.layout.audit_log.read_text()
    assert text.count('"secret_used"') == 2
    assert '"exposed":"env"' in text and '"exposed":"file"' in text
    assert text.count('"secret_rotated"') == 2  # one by set, one by rotate
    assert not any(value in text for value in VALUES)
