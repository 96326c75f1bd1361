"""Every way in which a turn of the real CLI can end: outcome, state, and next step.

The rows are those of the CLI's own case table. Each runs the whole harness against the
scripted model, and looks at what is done with the mail afterwards.
"""

import asyncio
import contextlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import pyglue
from checks.kits.harness.bench import FakeHive, script, server
from checks.kits.harness.process import ECHO_SERVER, Home, harness, harness_here
from checks.kits.process.processes import children
from pyglue.api.agent import COMPACT_SESSION, CONTROL, ControlParams
from pyglue.api.common import AgentState, NoParams
from pyglue.api.turn_events import TurnEventKind
from pyglue.api.turns import TurnOutcome
from pyglue.errors import ErrorCode, HiveError
from pyglue.harness.claude import options as options_module
from pyglue.harness.claude.options import find_cli
from pyglue.jsonrpc import listen

Step = dict[str, Any]
TOO_LONG: Step = {
    "status": 400,
    "message": "prompt is too long: 210000 tokens > 200000",
}
FINE: Step = {"text": "fine"}


def error(status: int, message: str = "no", **more: Any) -> Step:
    return {"status": status, "message": message, **more}


def call(name: str, **arguments: object) -> Step:
    return {"tool": name, "input": arguments}


@dataclass(frozen=True)
class Row:
    """A way to end.

    ``blames``: it counts against the mail. ``retried``: the same mail is tried again.
    """

    name: str
    steps: tuple[Step, ...]
    outcome: TurnOutcome
    state: AgentState = AgentState.IDLE
    reason: str = ""
    blames: bool = True
    retried: bool = True
    budget_usd: float | None = None
    max_steps: int | None = None


OK, FAILED, AUTH = TurnOutcome.OK, TurnOutcome.FAILED, TurnOutcome.AUTH
LIMITED, BUDGET = TurnOutcome.RATE_LIMITED, TurnOutcome.BUDGET
ROWS = (
    Row("ok", (FINE,), OK, retried=False),
    Row("denials", (call("Bash", command="ls"), FINE), OK, retried=False),
    Row("401", (error(401),), AUTH, AgentState.RETRYING, reason="no"),
    Row("403", (error(403),), AUTH, AgentState.RETRYING, reason="no"),
    Row("429", (error(429),), LIMITED, AgentState.RATE_LIMITED),
    Row("529", (error(529),), LIMITED, AgentState.RATE_LIMITED),
    Row("500", (error(500),), FAILED, AgentState.RETRYING, blames=False),
    Row("429-then-ok", (error(429, times=2),), OK, retried=False),
    Row(
        "too-long-at-once", (TOO_LONG,), FAILED, AgentState.RETRYING, reason="too long"
    ),
    Row(
        "credit",
        (error(400, "Your credit balance is too low"),),
        BUDGET,
        AgentState.NO_CREDIT,
        reason="balance is too low",
    ),
    Row(
        "unknown-model",
        (error(404, type="not_found_error"),),
        FAILED,
        AgentState.RETRYING,
        reason="selected model",
        blames=False,
    ),
    Row(
        "max-turns",
        (call("mcp__hive__whoami"),) * 4,
        TurnOutcome.MAX_TURNS,
        AgentState.RETRYING,
        max_steps=2,
    ),
    Row(
        "max-budget",
        (call("mcp__hive__whoami"),) * 4,
        BUDGET,
        AgentState.OVER_BUDGET,
        budget_usd=0.000001,
    ),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_a_turn_ends(
    home: Home, hive: FakeHive, row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    if row.max_steps is not None:
        monkeypatch.setattr(
            options_module.CliOptions.__init__,
            "__kwdefaults__",
            {"max_steps": row.max_steps},
        )
    home.load()
    hive.budget_usd = row.budget_usd
    hive.body_when_back = script(FINE)
    async with harness_here(home):
        await hive.mail(script(*row.steps))
        await hive.until(lambda: hive.ends)
        first = hive.ends[0]
        assert first.outcome is row.outcome, first
        assert row.reason in (first.reason or "")
        if first.outcome is FAILED:
            assert first.blames_messages is row.blames
        assert first.budget_used is (row.name == "max-budget")
        if row.retried:
            hive.budget_usd = None
            await hive.until(
                lambda: len(hive.ends) >= 2 and hive.ends[-1].outcome is OK
            )
            assert hive.said(row.state)
            waits = [s for s in hive.states if "Next try in" in (s.detail or "")]
            assert waits
            assert waits[0].state is row.state
            assert row.reason in (waits[0].detail or "")
        await hive.until(lambda: hive.states[-1].state is AgentState.IDLE)
        assert hive.waiting == []


async def test_a_full_conversation_is_shortened_by_the_cli(
    home: Home, hive: FakeHive
) -> None:
    home.load()
    async with harness_here(home):
        for _ in range(3):
            await hive.mail(script(FINE))
        await hive.until(lambda: hive.ends and not hive.waiting)
        await hive.mail(script({**TOO_LONG, "times": 1}))
        await hive.until(lambda: hive.ends[-1].outcome is TurnOutcome.COMPACTED)
        assert hive.texts(TurnEventKind.COMPACTED)
        assert {end.outcome for end in hive.ends} == {OK, TurnOutcome.COMPACTED}


async def test_two_failed_logins_wait_for_the_operator(
    home: Home, hive: FakeHive
) -> None:
    home.load()
    async with harness_here(home):
        await hive.mail(script(error(401)))
        await hive.until(lambda: hive.said(AgentState.NEEDS_LOGIN))
        assert [end.outcome for end in hive.ends] == [AUTH, AUTH]
        assert len(hive.waiting) == 1
        since = hive.states[-1].since_at
        hive.stop()  # it says the same, since the same moment, to a hived that is new
        await hive.start()
        await hive.until(lambda: len(hive.reports) == 2)
        await hive.until(lambda: hive.states[-1].since_at == since)
        hive.harness.notify(CONTROL, ControlParams())
        hive.body_when_back = None
        hive.replace_waiting(script(FINE))
        hive.harness.notify(CONTROL, ControlParams(again=True))
        await hive.until(lambda: hive.ends[-1].outcome is OK)
        assert len(hive.ends) == 3


async def test_mail_whose_answer_was_lost_comes_with_the_next(
    home: Home, hive: FakeHive
) -> None:
    home.load()
    hive.loses_answer = True
    async with harness_here(home):
        await hive.mail(script(FINE))
        await hive.until(lambda: not hive.loses_answer)
        hive.harness.notify(CONTROL, ControlParams(again=True))  # it asks anew
        await hive.until(lambda: hive.ends)
        assert hive.ends[-1].outcome is OK


async def test_the_servers_wait_is_kept(home: Home, hive: FakeHive) -> None:
    home.load()
    hive.retry_after_s = 3600.0
    async with harness_here(home):
        await hive.mail(script(error(429)))
        await hive.until(lambda: hive.said(AgentState.RATE_LIMITED))
        assert "Next try in 3600 s" in (hive.states[-1].detail or "")
        hive.replace_waiting(script(FINE))
        hive.harness.notify(CONTROL, ControlParams(again=True))
        await hive.until(lambda: hive.ends[-1].outcome is OK)


# --- sessions and the program itself --------------------------------------------------


async def test_a_session_that_is_in_use_is_replaced(
    home: Home, hive: FakeHive, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.load()
    kept = home.session / "hive-session.json"
    async with harness_here(home):
        await hive.mail(script(FINE))
        await hive.until(lambda: hive.ends)
    used = kept.read_text().split('"')[3]
    kept.unlink()
    ids = iter([used])
    real = options_module.CliOptions.turn

    def turn(self: Any, **named: Any) -> Any:
        return real(self, **{**named, "session": next(ids, named["session"])})

    monkeypatch.setattr(options_module.CliOptions, "turn", turn)
    async with harness_here(home):
        await hive.mail(script(FINE))
        await hive.until(lambda: len(hive.ends) == 2)
        assert hive.ends[1].outcome is OK
        assert any("new session" in e["text"] for e in hive.texts(TurnEventKind.LOG))


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ('exec "$REAL" --no-such-flag "$@"', "The CLI failed"),
        ("kill -9 $$", "The CLI failed"),
        (None, "The CLI failed"),
    ],
    ids=["bad-flag", "killed", "missing"],
)
async def test_a_cli_that_does_not_start_is_not_the_mails_fault(
    home: Home,
    hive: FakeHive,
    monkeypatch: pytest.MonkeyPatch,
    broken: str | None,
    reason: str,
) -> None:
    home.load()
    programs, real = home.root / "bin", find_cli()
    programs.mkdir()
    claude = programs / "claude"
    wrapper = '#!/bin/sh\n{}\nexec "$REAL" "$@"\n'
    monkeypatch.setenv("REAL", str(real))
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    claude.write_text(wrapper.format(""))
    claude.chmod(0o755)
    async with harness_here(home):
        await hive.until(lambda: hive.said(AgentState.IDLE))
        if broken is None:
            claude.unlink()
        else:
            claude.write_text(wrapper.format(broken))
        await hive.mail(script(FINE))
        await hive.until(lambda: hive.ends)
        first = hive.ends[0]
        assert first.outcome is FAILED
        assert not first.blames_messages
        assert reason in (first.reason or ""), first.reason
        await hive.until(lambda: hive.said(AgentState.RETRYING))
        waits = [s for s in hive.states if s.state is AgentState.RETRYING]
        assert reason in (waits[0].detail or "")
        claude.write_text(wrapper.format(""))
        claude.chmod(0o755)
        await hive.until(lambda: hive.ends[-1].outcome is OK)


async def test_a_dead_mcp_server_is_told_and_the_turn_goes_on(
    home: Home, hive: FakeHive
) -> None:
    echo = home.root / "echo.py"
    echo.write_text(ECHO_SERVER)
    home.load(mcpServers={"echo": server(sys.executable, str(echo), tools=("say",))})
    async with harness_here(home):
        await hive.until(lambda: hive.said(AgentState.IDLE))
        echo.write_text("raise SystemExit(3)")
        await hive.mail(script(FINE))
        await hive.until(lambda: hive.ends)
        assert hive.ends[0].outcome is OK
        told = hive.texts(TurnEventKind.SERVER)
        assert [(one["name"], one["status"]) for one in told] == [("echo", "failed")]


@pytest.mark.needs("bwrap")
async def test_a_full_disk_keeps_mail_until_there_is_room(
    home: Home, hive: FakeHive
) -> None:
    """On a real file system of 40 MiB, which the agent itself fills."""
    fill = home.session / "fill"
    home.load(allowedTools=["Bash"], bash={"allow": ["dd *"]})
    wrapper = [
        *("bwrap", "--dev-bind", "/", "/", "--die-with-parent"),
        *("--size", str(40 * 1024 * 1024), "--tmpfs", str(home.session)),
    ]
    dd = f"dd if=/dev/zero of={fill} bs=4096"
    hive.body_when_back = script(FINE)
    async with harness(home, *wrapper) as process:
        await hive.mail(script(call("Bash", command=dd), {"text": "filled"}))
        await hive.until(lambda: hive.said(AgentState.DISK_FULL))
        last = hive.states[-1]
        assert last.state is AgentState.DISK_FULL
        assert last.detail is not None
        assert last.detail.startswith(f"The disk of {home.session} is full: only 0.")
        assert "messages stay queued" in last.detail
        assert all(
            not end.blames_messages for end in hive.ends if end.outcome is FAILED
        )
        turns = len(hive.ends)
        await hive.mail(script(FINE))
        inside = _child(process.pid)
        Path(f"/proc/{inside}/root{fill}").unlink()
        hive.harness.notify(CONTROL, ControlParams(again=True))
        await hive.until(lambda: len(hive.ends) > turns and not hive.waiting)
        assert hive.ends[-1].outcome is OK
        await hive.until(lambda: hive.states[-1].state is AgentState.IDLE)


def _child(pid: int) -> int:
    """Return the process that bubblewrap started."""
    return children(pid)[0]


@pytest.mark.needs("bwrap")
async def test_a_disk_that_is_full_when_mail_comes_is_not_the_mails_fault(
    home: Home, hive: FakeHive
) -> None:
    home.load()
    wrapper = [
        *("bwrap", "--dev-bind", "/", "/", "--die-with-parent"),
        *("--size", str(40 * 1024 * 1024), "--tmpfs", str(home.session)),
    ]
    async with harness(home, *wrapper) as process:
        await hive.until(lambda: hive.said(AgentState.IDLE))
        fill = Path(f"/proc/{_child(process.pid)}/root{home.session}/fill")
        with contextlib.suppress(OSError), fill.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        await hive.mail(script(FINE))
        await hive.until(lambda: hive.said(AgentState.DISK_FULL))
        (end,) = hive.ends
        assert (end.outcome, end.blames_messages) == (FAILED, False)
        assert "is full: only 0.0 MiB are free" in (end.reason or "")
        assert len(hive.waiting) == 1
        fill.unlink()
        hive.harness.notify(CONTROL, ControlParams(again=True))
        await hive.until(lambda: hive.ends[-1].outcome is OK)


# --- shortening -----------------------------------------------------------------------


async def test_notes_are_saved_before_the_session_is_shortened(
    home: Home, hive: FakeHive, tmp_path: Path
) -> None:
    notes = home.state / "notes.md"
    write = call("Write", file_path=str(notes), content="remember alice\n")
    home.load(autoCompact=10000, allowedTools=["Write"])
    async with harness_here(home):
        await hive.mail(script({"text": "long", "input_tokens": 20000}))
        await hive.until(lambda: len(hive.starts) == 2)
        await hive.until(lambda: hive.texts(TurnEventKind.COMPACTED))
        assert hive.starts[1].messages == ()
        assert [end.outcome for end in hive.ends] == [OK, OK]
        await hive.mail(script(write, FINE))
        await hive.until(lambda: len(hive.ends) == 3)
        assert notes.read_text() == "remember alice\n"
        assert len(hive.texts(TurnEventKind.COMPACTED)) == 1


async def test_the_operator_may_have_the_session_shortened(
    home: Home, hive: FakeHive
) -> None:
    home.load()
    async with harness_here(home):
        await hive.mail(script(FINE))
        await hive.until(lambda: hive.ends and hive.states[-1].state is AgentState.IDLE)
        await hive.harness.call(COMPACT_SESSION, NoParams())
        await hive.until(lambda: hive.texts(TurnEventKind.COMPACTED))
        await hive.until(lambda: hive.states[-1].state is AgentState.IDLE)
        assert hive.said(AgentState.COMPACTING)
        assert len(hive.ends) == 1


async def test_paused_takes_no_mail_until_resumed(home: Home, hive: FakeHive) -> None:
    home.load()
    async with harness_here(home):
        await hive.until(lambda: hive.said(AgentState.IDLE))
        hive.harness.notify(CONTROL, ControlParams(paused="operator paused bob."))
        await hive.until(lambda: hive.states[-1].state is AgentState.PAUSED)
        assert hive.states[-1].detail == "operator paused bob."
        await hive.mail(script(FINE))
        assert len(hive.waiting) == 1
        hive.harness.notify(CONTROL, ControlParams(over_budget="used up"))
        await hive.until(lambda: hive.states[-1].state is AgentState.OVER_BUDGET)
        assert len(hive.waiting) == 1
        hive.harness.notify(CONTROL, ControlParams(again=True))
        await hive.until(lambda: hive.ends)
        assert hive.ends[0].outcome is OK


# --- versions -------------------------------------------------------------------------


@pytest.mark.parametrize("spoken", [1, 99], ids=["older-hived", "newer-hived"])
async def test_a_hived_of_another_version_is_not_waited_for(
    home: Home, hive: FakeHive, monkeypatch: pytest.MonkeyPatch, spoken: int
) -> None:
    home.load()
    monkeypatch.setattr(listen, "PROTOCOL", spoken)
    process = await asyncio.create_subprocess_exec(
        *home.arguments(),
        env=os.environ | {"HIVE_SHARE": str(Path(pyglue.__file__).parent.parent)},
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(120):
        _, said = await process.communicate()
    assert process.returncode == 1
    last = said.decode().strip().splitlines()[-1]
    assert last.startswith(
        f"hive-agent: This hive speaks protocol {spoken}, but the caller"
    )
    assert last.endswith("Restart the older of the two.")
    assert b"Traceback" not in said
    assert hive.reports == []


@pytest.mark.parametrize("spoken", [1, 99], ids=["older-harness", "newer-harness"])
async def test_a_harness_of_another_version_is_told_so(
    hive: FakeHive, spoken: int
) -> None:
    reader, writer = await asyncio.open_unix_connection(str(hive.path))
    hello = {"protocol": spoken, "client": "hive-agent", "a_field_of_that_version": []}
    request = {"jsonrpc": "2.0", "id": 1, "method": "hello", "params": hello}
    writer.write(json.dumps(request).encode() + b"\n")
    async with asyncio.timeout(60):
        answer = json.loads(await reader.readline())
    assert answer["error"]["data"]["code"] == "unsupported_protocol"
    assert f"the caller speaks {spoken}." in answer["error"]["message"]
    writer.close()


@pytest.mark.parametrize(
    "code", [ErrorCode.UNAVAILABLE, ErrorCode.DISK_FULL, ErrorCode.INTERNAL]
)
async def test_an_end_is_reported_until_it_is_recorded(
    home: Home, hive: FakeHive, code: ErrorCode
) -> None:
    home.load()
    hive.refuse_ends = [HiveError(code, "Not now.")] * 2
    async with harness_here(home):
        await hive.mail(script({"text": "fine"}))
        await hive.until(lambda: hive.ends)
        assert hive.ends[0].outcome is TurnOutcome.OK
        assert (hive.refuse_ends, hive.waiting) == ([], [])
        assert len(hive.starts) == 1
        assert any(state.detail == "Not now." for state in hive.states)


async def test_an_end_that_is_never_taken_ends_with_the_connection(
    home: Home, hive: FakeHive
) -> None:
    home.load()
    hive.refuse_ends = [HiveError(ErrorCode.CONFLICT, "Turn 1 is not running.")]
    async with harness_here(home):
        await hive.mail(script({"text": "fine"}))
        await hive.until(lambda: hive.ends)  # the messages came again on a new one
        assert (len(hive.starts), len(hive.ends)) == (2, 1)
