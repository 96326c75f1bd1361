"""The harness as a process: the real CLI, a scripted model, hived in the test."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import pyglue
from checks.kits.harness.bench import FakeHive, script, server
from checks.kits.harness.process import ECHO_SERVER, Home, harness, harness_here
from pyglue.api.agent import CANCEL_TURN, CancelTurnParams
from pyglue.api.common import AgentState, Role
from pyglue.api.turn_events import TurnEventKind
from pyglue.api.turns import TurnOutcome
from pyglue.errors import ErrorCode, HiveError
from pyglue.harness import loop
from pyglue.harness.load import fingerprint

Step = dict[str, Any]


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


async def test_gate_holds_in_the_real_cli(home: Home, hive: FakeHive) -> None:
    allow = ["echo *", "git status", "printf *", "test *"]
    home.load(allowedTools=["Bash", "Write"], bash={"allow": allow})
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
    async with harness_here(home):
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


async def test_no_tool_writes_what_the_shell_or_git_runs(
    home: Home, hive: FakeHive
) -> None:
    """Whoever writes these runs anything with the next command that is allowed."""
    home.load(allowedTools=["Bash", "Write"], bash={"allow": ["echo *"]})
    names = (".bashrc", ".profile", ".gitconfig", ".git/config", ".git/hooks/x")
    files = [home.state / name for name in names]
    steps = [tool("Write", file_path=str(file), content="x") for file in files]
    async with harness_here(home):
        await hive.mail(script(*steps, end()))
        await hive.until(lambda: hive.ends)
        assert hive.ends[0].denials == len(files)
        assert not any(file.exists() for file in files)


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
    async with harness_here(home):
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


@pytest.mark.parametrize(
    ("status", "message", "outcome", "state"),
    [
        (429, "slowly", "rate_limited", "rate_limited"),
        (400, "odd", "failed", "retrying"),
        (402, "There is an issue with your payment", "budget", "no_credit"),
        (400, "Your credit balance is too low", "budget", "no_credit"),
    ],
)
async def test_failed_turn_gives_mail_back_and_tries_again(
    home: Home,
    hive: FakeHive,
    status: int,
    message: str,
    outcome: str,
    state: str,
) -> None:
    home.load()
    hive.body_when_back = script({"text": "fine"})
    async with harness_here(home):
        await hive.mail(script({"status": status, "message": message}))
        await hive.until(lambda: len(hive.ends) == 2)
        first, second = hive.ends
        assert first.outcome.value == outcome
        assert first.reason is not None
        assert message.rpartition(" ")[2] in first.reason
        assert hive.said(AgentState(state))
        assert second.outcome is TurnOutcome.OK
        assert hive.waiting == []
        assert bool(hive.texts(TurnEventKind.RETRY)) == (status == 429)


async def test_cancel_in_a_tool(home: Home, hive: FakeHive) -> None:
    home.load()
    wait = tool("mcp__hive__recv", wait_seconds=120)
    async with harness_here(home):
        await hive.mail(script(wait, {"text": "never"}), redelivered=True)
        await hive.until(lambda: hive.texts(TurnEventKind.TOOL_USE))
        await hive.harness.call(CANCEL_TURN, CancelTurnParams(reason="a deploy"))
        await hive.until(lambda: hive.ends)
        assert hive.ends[0].outcome is TurnOutcome.CANCELLED
        assert hive.ends[0].reason == "a deploy"


async def test_cancel_while_the_model_thinks(home: Home, hive: FakeHive) -> None:
    home.load()
    async with harness_here(home):
        await hive.mail(script({"text": "word " * 400, "chunk_sleep": 0.1}))
        await hive.until(lambda: hive.starts)
        await hive.harness.call(CANCEL_TURN, CancelTurnParams(reason="enough"))
        await hive.until(lambda: hive.ends)
        assert hive.ends[0].outcome is TurnOutcome.CANCELLED


async def test_cancel_without_a_turn_does_nothing(home: Home, hive: FakeHive) -> None:
    home.load()
    async with harness_here(home):
        await hive.until(lambda: hive.said(AgentState.IDLE))
        await hive.harness.call(CANCEL_TURN, CancelTurnParams(reason="x"))
        await hive.mail(script({"text": "fine"}))
        await hive.until(lambda: hive.ends)
        assert hive.ends[0].outcome is TurnOutcome.OK


async def test_stopping_reports_the_turn(home: Home, hive: FakeHive) -> None:
    home.load()
    async with harness(home) as process:
        await hive.mail(script(tool("mcp__hive__recv", wait_seconds=120)))
        await hive.until(lambda: hive.texts(TurnEventKind.TOOL_USE))
        process.send_signal(signal.SIGTERM)
        await hive.until(lambda: hive.ends)
        assert hive.ends[0].outcome is TurnOutcome.CANCELLED
        assert await process.wait() == 0
        assert len(hive.waiting) == 1


async def test_hived_restarts_in_a_turn(home: Home, hive: FakeHive) -> None:
    home.load()
    wait = tool("mcp__hive__recv", wait_seconds=0)
    async with harness_here(home):
        await hive.mail(script({"text": "a b c d", "chunk_sleep": 0.2, **wait}))
        await hive.until(lambda: hive.starts)
        hive.stop()
        await hive.start()
        await hive.until(lambda: len(hive.reports) == 2)
        await hive.until(lambda: len(hive.ends) == 1)
        # The mail had gone back with the lost connection, so it ran once more.
        assert len(hive.starts) == 2
        assert hive.ends[0].turn == 2
        assert hive.waiting == []


async def test_refused_turn_gives_the_mail_back(home: Home, hive: FakeHive) -> None:
    home.load()
    hive.refuse_turns = HiveError(ErrorCode.RATE_LIMITED, "60 turns this hour.")
    async with harness_here(home):
        await hive.mail(script({"text": "fine"}))
        await hive.until(lambda: hive.said(AgentState.RATE_LIMITED))
        assert any("60 turns" in (s.detail or "") for s in hive.states)
        hive.refuse_turns = None
        await hive.until(lambda: hive.ends)
        assert hive.ends[0].outcome is TurnOutcome.OK


async def test_the_model_that_hived_names_is_used(home: Home, hive: FakeHive) -> None:
    home.load(model="haiku")
    hive.model = "sonnet"
    async with harness_here(home):
        await hive.mail(script({"text": "fine"}))
        await hive.until(lambda: hive.ends)
        assert hive.starts[0].model is None
        transcript = next(home.session.glob("projects/*/*.jsonl")).read_text()
        assert "sonnet" in transcript
        assert "haiku" not in transcript


async def test_unknown_session_is_replaced(home: Home, hive: FakeHive) -> None:
    home.load()
    kept = home.session / "hive-session.json"
    kept.write_text('{"id":"00000000-0000-4000-8000-000000000000","cost_usd":1.5}')
    async with harness_here(home):
        await hive.mail(script({"text": "fine"}))
        await hive.until(lambda: hive.ends)
        assert hive.ends[0].outcome is TurnOutcome.OK
        assert hive.ends[0].cost_usd > 0
        assert "-4000-8000-" not in kept.read_text()


async def test_mail_is_never_a_command_nor_a_file(home: Home, hive: FakeHive) -> None:
    home.load()
    secret = home.root / "secret"
    secret.write_text("the secret words")
    bodies = [
        "/compact",
        f"@{secret} look",
        f"x\n/compact\n@{secret}",
        "!ls",
        "#remember",
    ]
    async with harness_here(home):
        for body in bodies:
            done = len(hive.ends) + 1
            await hive.mail(body)
            await hive.until(lambda done=done: len(hive.ends) == done)
        assert {end.outcome for end in hive.ends} == {TurnOutcome.OK}
        transcript = next(home.session.glob("projects/*/*.jsonl")).read_text()
        assert "the secret words" not in transcript
        asked = [json.loads(line) for line in transcript.splitlines()]
        texts = [
            entry["message"]["content"]
            for entry in asked
            if entry.get("type") == "user" and not entry.get("isMeta")
        ]
        assert len(texts) == len(bodies)
        assert all(str(text).find("[message ") in (0, 27, 28, 29) for text in texts)


async def test_long_session_is_compacted_before_the_next_turn(
    home: Home, hive: FakeHive
) -> None:
    home.load(autoCompact=10000)
    async with harness_here(home):
        await hive.mail(script({"text": "long", "input_tokens": 20000}))
        await hive.until(lambda: len(hive.ends) == 1)
        await hive.mail(script({"text": "short", "input_tokens": 500}))
        await hive.until(lambda: len(hive.ends) == 2)
        await hive.mail(script({"text": "short", "input_tokens": 500}))
        await hive.until(lambda: len(hive.ends) == 3)
        assert len(hive.texts(TurnEventKind.COMPACTED)) == 1
        states = [params.state for params in hive.states]
        assert states.count(AgentState.COMPACTING) == 1
        assert {end.outcome for end in hive.ends} == {TurnOutcome.OK}


async def test_long_notes_are_shortened_between_turns(
    home: Home, hive: FakeHive
) -> None:
    home.load(notes={"maxBytes": 1024})
    notes, backup = home.state / "notes.md", home.state / "notes.md.bak"
    long = script({"text": "short"}) + "\n" + "x\n" * 1000
    notes.write_text(long)
    async with harness_here(home):
        await hive.mail(script({"text": "fine"}))
        await hive.until(lambda: hive.texts(TurnEventKind.LOG))
        assert notes.read_text() == "short\n"
        assert backup.read_text() == long
        assert hive.said(AgentState.COMPACTING)
        assert len(list(home.session.glob("projects/*/*.jsonl"))) == 1

        longer = script({"status": 400, "message": "no"}) + "\n" + "x\n" * 1000
        notes.write_text(longer)
        for _ in range(2):  # it cannot be shortened, and is not tried again
            done = len(hive.ends) + 1
            await hive.mail(script({"text": "fine"}))
            await hive.until(lambda done=done: len(hive.ends) == done)
            await hive.until(lambda: hive.states[-1].state is AgentState.IDLE)
        assert notes.read_text() == longer
        states = [params.state for params in hive.states]
        assert states.count(AgentState.COMPACTING) == 2


async def test_manager_changes_and_proposes(
    home: Home, hive: FakeHive, model_port: int
) -> None:
    hive.role = Role.MANAGER
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


async def test_after_a_suspend_it_is_idle_without_a_message(
    home: Home, hive: FakeHive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both sides stood still for longer than it waits for an answer."""
    monkeypatch.setattr(loop, "_WAIT_S", 0.2)
    monkeypatch.setattr(loop, "_SLACK_S", 0.1)
    home.load()
    async with harness_here(home):
        await hive.until(lambda: hive.asked_mail)
        time.sleep(1.0)  # nothing runs: this is the suspend
        await hive.until(lambda: hive.said(AgentState.RETRYING))
        await hive.until(lambda: hive.states[-1].state is AgentState.IDLE)


async def test_what_kept_it_from_its_messages_is_over_when_it_waits_for_them(
    home: Home, hive: FakeHive
) -> None:
    home.load()
    hive.refuse_recv = HiveError(ErrorCode.TIMEOUT, "No answer to recv in 210 s.")
    async with harness_here(home):
        await hive.until(lambda: hive.said(AgentState.RETRYING))
        await hive.until(lambda: hive.states[-1].state is AgentState.IDLE)
    states = [one.state for one in hive.states]
    assert states == [AgentState.IDLE, AgentState.RETRYING, AgentState.IDLE]
