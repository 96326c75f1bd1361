"""hive-mcp as a server of the real CLI: any MCP client can use an agent's socket."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from checks.kits.harness.bench import FakeHive, script
from checks.kits.patience import PATIENCE_S
from pyglue.demo.scripted_model import in_thread
from pyglue.harness.claude.options import find_cli


async def test_the_cli_takes_and_acknowledges_mail(tmp_path: Path) -> None:
    cli = find_cli()
    if cli is None:
        pytest.skip("Claude Code is not installed")
    socket = tmp_path / "hive.sock"
    server = {
        "command": sys.executable,
        "args": ["-m", "pyglue.mcp.main", "--socket", str(socket)],
        "env": {"PYTHONPATH": str(Path(__file__).parents[2])},
    }
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"hive": server}}))
    steps = script(
        {"tool": "mcp__hive__recv", "input": {"max": 2}},
        {
            "tool": "mcp__hive__send",
            "input": {"to": "alice", "body": "{{result:(first [a-z]+)}}"},
        },
        {"tool": "mcp__hive__ack", "input": {"messages": [1]}},
        {"text": "done"},
    )
    with in_thread() as model:
        async with FakeHive(socket) as hive:
            await hive.mail("first words")
            await hive.mail("second words")
            process = await asyncio.create_subprocess_exec(
                str(cli),
                *("-p", f"do this: {steps}", "--output-format", "json"),
                *("--mcp-config", str(tmp_path / "mcp.json"), "--strict-mcp-config"),
                *("--setting-sources", "", "--tools", "", "--model", "haiku"),
                *("--allowedTools", "mcp__hive", "--permission-mode", "dontAsk"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(tmp_path),
                    "CLAUDE_CONFIG_DIR": str(tmp_path / "config"),
                    "ANTHROPIC_BASE_URL": model.address,
                    "ANTHROPIC_API_KEY": "dummy",
                    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                    "ENABLE_TOOL_SEARCH": "false",
                    "MCP_TIMEOUT": "60000",
                },
                cwd=tmp_path,
            )
            async with asyncio.timeout(PATIENCE_S):
                said, _ = await process.communicate()
            assert json.loads(said)["is_error"] is False, said
            assert [(s.to, s.body) for s in hive.sent] == [("alice", "first words")]
            await hive.until(lambda: hive.waiting)  # the second was not acknowledged
            assert [m.body for m in hive.waiting] == ["second words"]
            assert hive.waiting[0].redelivered
