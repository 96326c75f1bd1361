"""The harness as a process: the real CLI, a scripted model, hived in the test."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pyglue
from checks.e2e.kit.warm import Bed, shared_bed
from checks.kits.harness.bench import FakeHive, script, server
from checks.kits.harness.process import ECHO_SERVER, Home, harness, harness_here
from pyglue.api.common import AgentState, Role
from pyglue.api.turn_events import TurnEventKind
from pyglue.api.turns import TurnOutcome
from pyglue.harness.load import fingerprint

Step = dict[str, Any]
in_module = pytest.mark.asyncio(loop_scope="module")
at_work = shared_bed(
    allowedTools=["Bash", "Write"],
    bash={"allow": ["echo *", "git status", "printf *", "test *"]},
)


def tool(name: str, **arguments: object) -> Step:
    return {"tool": name, "input": arguments}


def bash(command: str) -> Step:
    return tool("Bash", command=command)


def end() -> Step:
    return {"text": "done"}


async def test_life(home: Home, hive: FakeHive) -> None:
    """Hello with what was found, a turn that sends, another in the same session."""
    record = home.load(prompt="You are bob.", description="x")
    send = tool("mcp__hive__send", to="alice", body="hello", reply_to=1)
    async with harness(home) as process:
        await hive.mail(script(send, end()))
        await hive.until(lambda: len(hive.ends) == 1)
        report = hive.reports[0]
        assert report is not None
        assert report.manifest_sha256 == fingerprint(record)
        assert report.problem is None
        assert report.system is None
        assert report.cli_version
        assert [(s.name, s.status) for s in report.servers] == [("hive", "connected")]
        assert [(s.to, s.body, s.reply_to) for s in hive.sent] == [
            ("alice", "hello", 1)
        ]
        first = hive.ends[0]
        assert first.outcome is TurnOutcome.OK
        assert first.turn == 1
        assert (first.steps, first.tool_calls, first.denials) == (2, 1, 0)
        assert first.input_tokens > 0
        assert first.output_tokens > 0
        assert first.cost_usd > 0
        uses = hive.texts(TurnEventKind.TOOL_USE)
        assert uses[0]["name"] == "mcp__hive__send"
        assert uses[0]["input"]["to"] == "alice"
        results = hive.texts(TurnEventKind.TOOL_RESULT)
        assert json.loads(results[0]["text"]) == {"id": 1001, "hop": 1}
        assert {"text": "done"} in hive.texts(TurnEventKind.TEXT)
        session = json.loads((home.session / "hive-session.json").read_text())["id"]

        await hive.mail(script({"text": "again"}), sender="alice", reply_to=1001)
        await hive.until(lambda: len(hive.ends) == 2)
        second = hive.ends[1]
        assert second.outcome is TurnOutcome.OK
        assert second.tool_calls == 0
        assert 0 < second.cost_usd < first.cost_usd * 2
        kept = json.loads((home.session / "hive-session.json").read_text())
        assert kept["id"] == session
        transcripts = list(home.session.glob("projects/*/*.jsonl"))
        assert [path.stem for path in transcripts] == [session]
        assert hive.said(AgentState.IDLE)
        assert hive.said(AgentState.THINKING)
        assert {event.turn for event in hive.events} == {1, 2}
        assert hive.asked_who == 0  # the model comes with the turn
        process.terminate()
        assert await process.wait() == 0


async def test_tools_that_the_manifest_does_not_name_are_not_there(
    home: Home, hive: FakeHive
) -> None:
    home.load()
    file = str(home.state / "x")
    steps = [
        bash("ls"),
        tool("Write", file_path=file, content="x"),
        tool("Read", file_path="/etc/hostname"),
        tool("SendMessage", to="x", message="x"),
        end(),
    ]
    async with harness_here(home):
        await hive.mail(script(*steps))
        await hive.until(lambda: hive.ends)
        results = hive.texts(TurnEventKind.TOOL_RESULT)
        assert [r["is_error"] for r in results] == [True] * 4
        assert list(home.state.iterdir()) == []


async def test_mcp_server_of_the_manifest(home: Home, hive: FakeHive) -> None:
    echo = home.root / "echo.py"
    echo.write_text(ECHO_SERVER)
    declared = server(sys.executable, str(echo), tools=("say",))
    home.load(mcpServers={"echo": declared | {"env": {"VOICE": "loud"}}})
    steps = [
        tool("mcp__echo__say"),
        tool("mcp__echo__cry"),
        end(),
    ]
    async with harness_here(home, checked=True):
        await hive.mail(script(*steps))
        await hive.until(lambda: hive.ends)
        report = hive.reports[0]
        assert report is not None
        assert {s.name: s.status for s in report.servers} == {
            "echo": "connected",
            "hive": "connected",
        }
        said, cried = hive.texts(TurnEventKind.TOOL_RESULT)
        assert (said["text"], said["is_error"]) == ("say loud", False)
        assert cried["is_error"]


async def test_problem_is_said_and_no_mail_taken(home: Home, hive: FakeHive) -> None:
    home.load(mcpServers={"gone": server("no-such-program-here")})
    await hive.mail("hello")
    async with harness(home):
        await hive.until(lambda: hive.reports)
        report = hive.reports[0]
        assert report is not None
        assert report.problem is not None
        assert "'no-such-program-here'" in report.problem
        assert "environment.systemPackages" in report.problem
        hive.stop()
        await hive.start()
        await hive.until(lambda: len(hive.reports) == 2)  # says it again, and waits
        assert len(hive.waiting) == 1
        assert hive.starts == []


async def test_record_that_cannot_be_used_is_said(home: Home, hive: FakeHive) -> None:
    (home.run / "manifest.json").write_bytes(b'{"manifest": 1}')
    async with harness(home):
        await hive.until(lambda: hive.reports)
        report = hive.reports[0]
        assert report is not None
        assert report.manifest_sha256 == fingerprint(b'{"manifest": 1}')
        assert report.problem is not None
        assert report.problem.startswith("Cannot use the pinned record: ")


async def test_manager_changes_and_proposes(home: Home, hive: FakeHive) -> None:
    hive.role = Role.MANAGER
    hive.keeps_warm = True
    config = home.agents / "bob" / "config"
    config.mkdir(parents=True)
    git(config, "init", "-q", "-b", "main")
    (config / "agent.nix").write_text("{ }\n")
    git(config, "add", "agent.nix")
    git(config, "commit", "-q", "-m", "first")
    hive.main = git(config, "rev-parse", "HEAD")
    home.load(
        allowedTools=["Bash", "Read", "Edit"],
        bash={"allow": [f"git -C {home.agents}/*/config commit *"]},
    )
    edit = tool(
        "Edit",
        file_path=str(config / "agent.nix"),
        old_string="{ }",
        new_string='{ hyperhive.model = "sonnet"; }',
    )
    commit = bash(f"git -C {config} commit -q -a -m 'Use sonnet: haiku was not enough'")
    async with harness_here(home):
        read = tool("Read", file_path=str(config / "agent.nix"))
        await hive.mail(script(read, edit, commit, end()))
        await hive.until(lambda: hive.ends)
        results = hive.texts(TurnEventKind.TOOL_RESULT)
        assert [r["is_error"] for r in results] == [False] * 3, results
        head = git(config, "rev-parse", "HEAD")
        assert head != hive.main
        assert git(config, "log", "-1", "--format=%an %s").startswith("manager Use")
        propose = tool(
            "mcp__hive__request_apply_commit",
            agent="bob",
            commit=head,
            description="why",
        )
        await hive.mail(script(propose, end()))
        await hive.until(lambda: len(hive.ends) == 2)
        answer = hive.texts(TurnEventKind.TOOL_RESULT)[-1]
        assert json.loads(answer["text"])["approval"] == 3
        assert [(b.agent, b.commit, b.description) for b in hive.begun] == [
            ("bob", head, "why")
        ]
        assert b"".join(hive.chunks).startswith(b"PACK")


OURS = (str(Path(pyglue.__file__).parents[1]), sys.prefix)
"""Where this program lies, which may be below the /tmp that is hidden."""


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
async def test_works_without_any_network(home: Home, hive: FakeHive) -> None:
    """The real CLI in its own namespaces: nothing but the two sockets leads out."""
    home.load()
    wrapper = [
        *("bwrap", "--unshare-all", "--die-with-parent", "--new-session"),
        *("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"),
        *("--tmpfs", "/tmp"),
        *(word for place in OURS for word in ("--ro-bind", place, place)),
        *("--bind", str(home.root), str(home.root)),
    ]
    probe = subprocess.run(
        [*wrapper, "true"], capture_output=True, text=True, check=False
    )
    if probe.returncode != 0:
        pytest.skip(f"bubblewrap does not work here: {probe.stderr.strip()}")
    async with harness(home, *wrapper):
        send = tool("mcp__hive__send", to="operator", body="from within")
        await hive.mail(script(send, end()))
        await hive.until(lambda: hive.ends)
        assert hive.ends[0].outcome is TurnOutcome.OK
        assert [s.body for s in hive.sent] == ["from within"]


@in_module
async def test_gate_holds_in_the_real_cli(it: Bed) -> None:
    home, hive = it.home, it.hive
    marker = home.state / "marker"
    refused = [
        f"touch {marker}",
        f"echo x > {marker}",
        f"echo $(touch {marker})",
        f"echo x && touch {marker}",
        f"echo x\ntouch {marker}",
        f"git status; touch {marker}",
        f"git -c alias.x='!touch {marker}' x",
        f"git log --output={marker}",
        f"bash -c 'touch {marker}'",
        f"test -v 'a[$(touch {marker})]'",
        f"printf '-va[$(touch {marker})]' x",
        f"echo x '-o' {home.state / '.bashrc'}",
        "ls",
        "cat /etc/hostname",
    ]
    steps = [
        bash("echo allowed words"),
        *map(bash, refused),
        end(),
    ]
    await hive.mail(script(*steps))
    await hive.until(lambda: hive.ends)
    results = hive.texts(TurnEventKind.TOOL_RESULT)
    assert results[0]["text"] == "allowed words"
    assert [r["is_error"] for r in results] == [False] + [True] * len(refused)
    assert all("Allowed patterns" in r["text"] for r in results[1:])
    denied = hive.texts(TurnEventKind.DENIED)
    assert [d["tool"] for d in denied] == ["Bash"] * len(refused)
    assert hive.ends[0].outcome is TurnOutcome.OK
    assert hive.ends[0].denials == len(refused)
    assert not marker.exists()


@in_module
async def test_no_tool_writes_what_the_shell_or_git_runs(it: Bed) -> None:
    """Whoever writes these runs anything with the next command that is allowed."""
    home, hive = it.home, it.hive
    names = (".bashrc", ".profile", ".gitconfig", ".git/config", ".git/hooks/x")
    files = [home.state / name for name in names]
    steps = [tool("Write", file_path=str(file), content="x") for file in files]
    await hive.mail(script(*steps, end()))
    await hive.until(lambda: hive.ends)
    assert hive.ends[0].denials == len(files)
    assert not any(file.exists() for file in files)


def git(directory: Path, *arguments: str) -> str:
    who = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    for role in ("AUTHOR", "COMMITTER"):
        who |= {f"GIT_{role}_NAME": "t", f"GIT_{role}_EMAIL": "t@t"}
    done = subprocess.run(
        ["git", "-C", str(directory), *arguments],
        env={**os.environ, **who},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()
