"""What keeps turns of the real CLI from working: disks, hooks, versions, pauses."""

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

import pyglue
from checks.e2e.kit.warm import Bed, shared_bed
from checks.kits.harness.bench import FakeHive, script, server
from checks.kits.harness.process import ECHO_SERVER, Home, harness, harness_here
from checks.kits.patience import PATIENCE_S
from checks.kits.process.processes import children
from pyglue.api.agent import COMPACT_SESSION, CONTROL, ControlParams
from pyglue.api.common import AgentState, NoParams
from pyglue.api.turn_events import TurnEventKind
from pyglue.api.turns import TurnOutcome
from pyglue.harness.claude import options as options_module
from pyglue.harness.claude.options import find_cli
from pyglue.jsonrpc import listen

in_module = pytest.mark.asyncio(loop_scope="module")
at_work = shared_bed()

Step = dict[str, Any]

FINE: Step = {"text": "fine"}


def error(status: int, message: str = "no", **more: Any) -> Step:
    return {"status": status, "message": message, **more}


def call(name: str, **arguments: object) -> Step:
    return {"tool": name, "input": arguments}


OK, FAILED = TurnOutcome.OK, TurnOutcome.FAILED


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
    real = find_cli()
    programs = home.root / "bin"
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
    async with harness(home, *wrapper, checked=False) as process:
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
    async with harness(home, *wrapper, checked=False) as process:
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
    hive.keeps_warm = True
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


# --- versions -------------------------------------------------------------------------
@pytest.mark.parametrize("spoken", [1, 99], ids=["older-hived", "newer-hived"])
async def test_a_hived_of_another_version_is_not_waited_for(
    home: Home, hive: FakeHive, monkeypatch: pytest.MonkeyPatch, spoken: int
) -> None:
    home.load()
    monkeypatch.setattr(listen, "PROTOCOL", spoken)
    process = await asyncio.create_subprocess_exec(
        *home.arguments(checked=False),
        env=os.environ | {"HIVE_SHARE": str(Path(pyglue.__file__).parent.parent)},
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE_S):
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
    async with asyncio.timeout(PATIENCE_S):
        answer = json.loads(await reader.readline())
    assert answer["error"]["data"]["code"] == "unsupported_protocol"
    assert f"the caller speaks {spoken}." in answer["error"]["message"]
    writer.close()


# --- in one harness ---------------------------------------------------------------
@in_module
async def test_paused_takes_no_mail_until_resumed(it: Bed) -> None:
    hive = it.hive
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


@in_module
async def test_the_operator_may_have_the_session_shortened(it: Bed) -> None:
    hive = it.hive
    await hive.mail(script(FINE))
    await hive.until(lambda: hive.ends and hive.states[-1].state is AgentState.IDLE)
    await hive.harness.call(COMPACT_SESSION, NoParams())
    await hive.until(lambda: hive.texts(TurnEventKind.COMPACTED))
    await hive.until(lambda: hive.states[-1].state is AgentState.IDLE)
    assert hive.said(AgentState.COMPACTING)
    assert len(hive.ends) == 1
