"""The protocol of the CLI's pipes, spoken with a program that stands in for it.

The real one is in ``test_start`` and the end-to-end tests; here it says what that one
says seldom or never.
"""

import asyncio
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from checks.kits.patience import PATIENCE_S
from pyglue.harness.claude.cli import Cli
from pyglue.harness.claude.launch import Hook, Launch
from pyglue.harness.claude.stream_json import (
    AssistantMessage,
    ResultMessage,
    TextBlock,
    message_of,
)
from pyglue.harness.claude.wire import CliError

BEGIN = """
import json, os, signal, sys, time
def say(**line): print(json.dumps(line), flush=True)
def hear(): return json.loads(sys.stdin.readline())
def raw(text): sys.stdout.write(text + "\\n"); sys.stdout.flush()
def ok(number, **response):
    say(type="control_response", response=dict(
        subtype="success", request_id=number, response=response))
def ask(number, **request): say(type="control_request", request_id=number,
    request=request)
def end(**more): say(type="result", subtype="success", is_error=False,
    session_id="s", **more)
first = hear()
"""
READY = BEGIN + 'ok(first["request_id"])\n'


class Echo:
    """An MCP server in this process that says what it got."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.cancelled = asyncio.Event()

    async def answer(self, line: bytes) -> bytes | None:
        self.got.append(line)
        if b"wait" in line:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self.cancelled.set()
        return b'{"jsonrpc":"2.0","id":1,"result":{"same":true}}\n'


def launch(tmp_path: Path, program: str, **changes: Any) -> Launch:
    own = tmp_path / "claude"
    own.write_text(f"#!{sys.executable}\n{program}")
    own.chmod(0o755)
    values: dict[str, Any] = {
        "cli": own,
        "cwd": tmp_path,
        "env": {"PATH": os.environ["PATH"]},
        "model": "haiku",
        "system_prompt": "be brief",
        "session": "s",
    }
    return Launch(**(values | changes))


async def turn(cli: Cli) -> list[Any]:
    await cli.prompt("hello")
    return [message async for message in cli.until_result()]


async def test_a_turn_with_all_that_may_stand_between(tmp_path: Path) -> None:
    program = READY + (
        "hear()\n"
        'raw("[SandboxDebug] no JSON")\n'
        'raw("")\n'
        'say(type="not known yet", what=1)\n'
        'say(type="assistant", message={"content": [{"type": "new kind"},'
        '{"type": "text", "text": "hi"}], "usage": None})\n'
        "end(result='done')\n"
    )
    cli = await Cli.start(launch(tmp_path, program))
    try:
        said = await turn(cli)
    finally:
        await cli.close()
    assert said[0] == AssistantMessage(content=[TextBlock(text="hi")])
    assert isinstance(said[1], ResultMessage) and said[1].result == "done"


@pytest.mark.parametrize(
    ("escaped", "shown"),
    [
        (r"a\ud83db", "a\ufffdb"),
        (r"a\ude00", "a\ufffd"),
        (r"\ud83d\ude00\ud83d", "\U0001f600\ufffd"),
        (r"\\ud83d \ud83d", "\\ud83d \ufffd"),
    ],
)
async def test_half_a_character_is_a_hole_in_the_text(
    tmp_path: Path, escaped: str, shown: str
) -> None:
    line = '{"type":"assistant","message":{"content":[{"type":"text","text":"%s"}]}}'
    program = READY + f"hear()\nraw({line % escaped!r})\nend()\n"
    cli = await Cli.start(launch(tmp_path, program))
    try:
        said = await turn(cli)
    finally:
        await cli.close()
    assert said[0] == AssistantMessage(content=[TextBlock(text=shown)])


async def test_it_gets_the_tools_and_the_gate_of_ours(tmp_path: Path) -> None:
    program = READY + (
        "hear()\n"
        'call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}\n'
        'ask("a", subtype="mcp_message", server_name="hive", message=call)\n'
        "one = hear()\n"
        'ask("b", subtype="hook_callback", callback_id="hook_0", input={"x": 1})\n'
        "two = hear()\n"
        'ask("c", subtype="mcp_message", server_name="evil", message=call)\n'
        "three = hear()\n"
        'ask("d", subtype="can_use_tool")\n'
        "four = hear()\n"
        "end(result=json.dumps([x['response'] for x in (one, two, three, four)]))\n"
    )

    async def decide(call: Any) -> dict[str, Any]:
        return {"decided": call}

    hive = Echo()
    hook = Hook(event="PreToolUse", matcher="Bash", decide=decide)
    cli = await Cli.start(
        launch(tmp_path, program, tools_of_ours={"hive": hive}, hooks=(hook,))
    )
    try:
        said = await turn(cli)
    finally:
        await cli.close()
    text = said[-1].result
    assert '"mcp_response": {"jsonrpc": "2.0", "id": 1, "result": {"same": true}}' in (
        text
    )
    assert '"response": {"decided": {"x": 1}}' in text
    assert text.count('"subtype": "error"') == 2
    assert len(hive.got) == 1


async def test_a_call_that_the_cli_gives_up_is_cancelled(tmp_path: Path) -> None:
    program = READY + (
        'ask("a", subtype="mcp_message", server_name="hive", message={"wait": 1})\n'
        'ask("b", subtype="mcp_message", server_name="hive", message={})\n'
        "hear()\n"  # so that the first has begun
        'say(type="control_cancel_request", request_id="a")\n'
        "hear()\nend()\n"  # the prompt
    )
    hive = Echo()
    cli = await Cli.start(launch(tmp_path, program, tools_of_ours={"hive": hive}))
    try:
        async with asyncio.timeout(PATIENCE_S):
            await hive.cancelled.wait()
            await turn(cli)
    finally:
        await cli.close()


@pytest.mark.parametrize(
    ("program", "says"),
    [
        (BEGIN + "sys.exit(3)", "exit code 3"),
        (BEGIN + "os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        (
            BEGIN + "say(type='result', is_error=True, session_id='s',"
            "errors=['No conversation found'])\nsys.exit(1)",
            "No conversation found",
        ),
        (BEGIN + "sys.exit(0)", "it has ended"),
        (BEGIN + "raw('{broken')\ntime.sleep(60)", "cannot be read"),
    ],
)
async def test_one_that_does_not_start(tmp_path: Path, program: str, says: str) -> None:
    with pytest.raises(CliError, match=says):
        await Cli.start(launch(tmp_path, program))


async def test_one_that_dies_in_a_turn(tmp_path: Path) -> None:
    program = READY + "hear()\nos.kill(os.getpid(), signal.SIGKILL)\n"
    cli = await Cli.start(launch(tmp_path, program))
    try:
        with pytest.raises(CliError, match="SIGKILL"):
            await turn(cli)
        with pytest.raises(CliError, match="SIGKILL"):
            await cli.interrupt()
        with pytest.raises(CliError, match="SIGKILL"):
            await cli.prompt("again")
    finally:
        await cli.close()


async def test_nothing_of_its_group_outlives_it(tmp_path: Path) -> None:
    program = READY + (
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '600'], stdout=subprocess.DEVNULL)\n"
        "hear()\nend(result=str(child.pid))\nhear()\n"
    )
    cli = await Cli.start(launch(tmp_path, program))
    try:
        (result,) = await turn(cli)
        child = os.pidfd_open(int(result.result))
    finally:
        await cli.close()
    ended = select.select([child], [], [], 30)[0]
    os.close(child)
    assert ended, "it still runs"


async def test_what_it_writes_to_its_errors_is_heard(tmp_path: Path) -> None:
    heard: list[str] = []
    program = READY + (
        "print('x' * 10, file=sys.stderr, flush=True)\nhear()\nend()\nhear()\n"
    )
    cli = await Cli.start(launch(tmp_path, program, stderr=heard.append))
    try:
        await turn(cli)
    finally:
        await cli.close()
    assert heard[0] == "x" * 10


@pytest.mark.parametrize(
    "line",
    [
        {},
        {"type": "assistant"},
        {"type": "assistant", "message": {"content": "text"}},
        {"type": "result", "subtype": "success"},
        {"type": "system"},
        {"type": "user", "message": {}},
    ],
)
def test_what_is_no_message_is_passed_over(line: dict[str, Any]) -> None:
    assert message_of(line) is None


def test_a_result_that_does_not_say_that_all_is_well_is_none() -> None:
    found = message_of({"type": "result", "session_id": "s", "subtype": "success"})
    assert isinstance(found, ResultMessage) and found.is_error


def test_the_harness_imports_neither_the_sdk_nor_mcp() -> None:
    """They take most of a second and 50 MiB, for each agent."""
    heavy = {"mcp", "claude_agent_sdk", "pydantic", "anyio", "httpx", "starlette"}
    code = (
        f"import sys, pyglue.harness.main; print(sorted({heavy!r} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
