"""hive-mcp with real clients: both Python SDKs, TypeScript's, and the inspector.

Each plays the same story: it lists tools, calls them well and badly, a hundred at once,
gives up a recv in which a message arrives, and has it with the next one.
"""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from checks.kits import mcp as kits
from checks.kits.harness.bench import FakeHive
from checks.kits.mcp.raw import NODE_SDK, OLDER_SDK, ROOT
from checks.kits.patience import PATIENCE_S
from pyglue import __version__
from pyglue.api.common import Role
from pyglue.tools import manager_tools

pytestmark = pytest.mark.needs("mcp-clients")

KITS: Final = Path(kits.__path__[0])
PYTHON: Final = (sys.executable, str(KITS / "sdk_client.py"))
CLIENTS: Final = {
    "python 2.x": (PYTHON, {}),
    "python 1.x": (PYTHON, {"PYTHONPATH": str(OLDER_SDK)}),
    "typescript": (("node", str(KITS / "sdk_client.mjs")), {}),
}
SILENT: Final = "python 1.x"
"""It gives up calls without a word."""


@pytest.fixture
async def hive(tmp_path: Path) -> AsyncIterator[FakeHive]:
    async with FakeHive(tmp_path / "hive.sock", role=Role.MANAGER) as hive:
        yield hive


async def started(*command: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment},
    )


@pytest.mark.parametrize("name", CLIENTS)
async def test_the_story_of_a_client(hive: FakeHive, name: str) -> None:
    command, environment = CLIENTS[name]
    words = (str(hive.path), str(ROOT), sys.executable, str(ROOT / "web"))
    client = await started(*command, *words, **environment)
    assert client.stdin is not None and client.stdout is not None
    found: dict[str, Any] = {}
    async with asyncio.timeout(2 * PATIENCE_S):
        while "gave_up" not in found:
            found |= json.loads(await client.stdout.readline())
        await hive.mail("while nobody waited")
        if name == SILENT:  # it is answered to a call that was given up
            while hive.waiting:
                await asyncio.sleep(0)
        client.stdin.write(b"go on\n")
        async for line in client.stdout:
            found |= json.loads(line)
        assert await client.wait() == 0
    assert found["server"] == ["hive", __version__]
    assert "hive stop bob" in found["instructions"]
    names = {tool.name for tool in manager_tools(Path("/agents"))}
    assert set(found["tools"]) == {*names, "ack"}
    assert found["bad"].startswith("error: Invalid arguments: ")
    assert "There is no tool 'nothing'" in found["unknown"]
    assert (found["sent"], found["errors"]) == (100, [])
    assert found["taken"] == ["while nobody waited"]
    assert found["acked"] == '{"acknowledged":1}'
    assert found["rest"] == []


@pytest.fixture
def inspector(tmp_path: Path) -> Path:
    """The inspector's command, with the package around it that it looks for."""
    (tmp_path / "node_modules").symlink_to(ROOT / "web" / "node_modules")
    around = tmp_path / "inspector"
    shutil.copytree(NODE_SDK / "inspector-cli" / "build", around / "cli" / "build")
    about = {"name": "inspector", "version": "1.0.0", "type": "module"}
    (around / "package.json").write_text(json.dumps(about))
    return around / "cli" / "build" / "cli.js"


async def inspected(
    inspector: Path, hive: FakeHive, *arguments: str
) -> tuple[int | None, str]:
    server = {
        "type": "stdio",
        "command": sys.executable,
        "args": ["-m", "pyglue.mcp.main", "--socket", str(hive.path)],
        "env": {"PYTHONPATH": str(ROOT)},
    }
    config = hive.path.with_name("servers.json")
    config.write_text(json.dumps({"mcpServers": {"hive": server}}))
    chosen = ("--config", str(config), "--server", "hive")
    process = await started("node", str(inspector), "--cli", *chosen, *arguments)
    async with asyncio.timeout(PATIENCE_S):
        out, err = await process.communicate()
    return process.returncode, (out or err).decode()


async def test_the_inspector_lists_and_calls(hive: FakeHive, inspector: Path) -> None:
    code, out = await inspected(inspector, hive, "--method", "tools/list")
    assert code == 0, out
    listed = {tool["name"] for tool in json.loads(out)["tools"]}
    assert {"send", "recv", "ack"} < listed
    call = ("--method", "tools/call", "--tool-name", "send")
    texts = ("--tool-arg", "to=alice", "--tool-arg", "body=hi")
    code, out = await inspected(inspector, hive, *call, *texts)
    assert code == 0, out
    assert json.loads(json.loads(out)["content"][0]["text"])["id"] == 1001
    code, out = await inspected(inspector, hive, "--method", "prompts/list")
    assert code != 0
    assert "There is no method" in out
