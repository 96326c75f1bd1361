"""A harness as a separate process with its own home, and a model.

``scripted_model`` runs the scripted stand-in of the Messages API, and ``model_socket``
puts it behind a Unix socket as the relay would. hived's side is in ``bench``.
"""

import asyncio
import contextlib
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyglue
from checks.kits.harness.bench import record
from checks.kits.harness.unchecked import unchecked
from checks.kits.patience import BEYOND_S, PATIENCE_S
from pyglue import jsonrpc
from pyglue.demo.playbook import Script
from pyglue.demo.scripted_model import ScriptedModel
from pyglue.harness.claude.outcome import Pauses
from pyglue.harness.claude.preflight import check
from pyglue.harness.load import Places
from pyglue.harness.main import run

# --- the model ------------------------------------------------------------------


@contextlib.contextmanager
def scripted_model(log: Path) -> Iterator[int]:
    """Run the scripted model on a free loopback port, and give the port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pyglue.demo.scripted_model", "--log", str(log)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        match = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
        assert match is not None
        yield int(match[1])
    finally:
        process.terminate()
        process.wait()


@contextlib.asynccontextmanager
async def model_socket(path: Path, port: int) -> AsyncIterator[None]:
    """Listen at ``path`` and carry everything to the loopback ``port``."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
            writer.write_eof()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up, down = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.closing(writer), contextlib.closing(down):
            await asyncio.gather(pump(reader, down), pump(up, writer))

    with jsonrpc.short_path(path) as name:
        listener = await asyncio.start_unix_server(carry, name)
    async with listener:
        yield


@contextlib.asynccontextmanager
async def model_here(
    path: Path, script: Script | None = None
) -> AsyncIterator[ScriptedModel]:
    """Run a scripted model in the test's loop, behind a socket at ``path``."""
    model = ScriptedModel(script)
    await model.start()
    try:
        async with model_socket(path, int(model.address.rpartition(":")[2])):
            yield model
    finally:
        await model.stop()


# --- the harness as a process -----------------------------------------------------


@dataclass
class Home:
    """The directories of one agent."""

    root: Path

    def __post_init__(self) -> None:
        for name in ("run", "state", "session"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        self.run = self.root / "run"
        self.state = self.root / "state"
        self.session = self.root / "session"
        self.agents = self.root / "agents"

    def load(self, **changes: Any) -> bytes:
        """Write the pinned record of a manifest with these options."""
        data = record(**changes)
        (self.run / "manifest.json").write_bytes(data)
        return data

    def arguments(self, *, checked: bool = True) -> list[str]:
        """Return the harness's command line; ``checked``: it checks the CLI first."""
        places = {
            "--run-dir": self.run,
            "--state": self.state,
            "--session": self.session,
            "--agents": self.agents,
        }
        flags = [str(part) for pair in places.items() for part in pair]
        module = "pyglue.harness.main" if checked else "checks.kits.harness.unchecked"
        return [sys.executable, "-m", module, *flags]


@contextlib.asynccontextmanager
async def harness(
    home: Home, *wrapper: str, checked: bool = True
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the harness as a process of its own, and stop it at the end.

    Its check of the CLI is a start of the CLI, which not every test needs.
    """
    process = await asyncio.create_subprocess_exec(
        *wrapper,
        *home.arguments(checked=checked),
        env=os.environ | {"HIVE_SHARE": str(Path(pyglue.__file__).parent.parent)},
        cwd=Path(pyglue.__file__).parent.parent,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 15)
        except TimeoutError:
            process.kill()
            await process.wait()


SHORT: Final = Pauses(first_s=0.01, longest_s=0.05)
"""Pauses too short to notice."""
UNTIL_TOLD: Final = Pauses(first_s=BEYOND_S, longest_s=BEYOND_S)
"""Pauses that only a word of hived's ends."""


@contextlib.asynccontextmanager
async def harness_here(
    home: Home, *, pauses: Pauses = SHORT, checked: bool = False
) -> AsyncIterator[asyncio.Event]:
    """Run the harness inside the test; ``checked``: it checks the CLI first."""
    stop = asyncio.Event()
    places = Places(
        run=home.run, state=home.state, session=home.session, agents=home.agents
    )
    preflight = check if checked else unchecked
    task = asyncio.create_task(run(places, stop, pauses=pauses, preflight=preflight))
    try:
        yield stop
    finally:
        stop.set()
        await asyncio.wait_for(task, PATIENCE_S)


ECHO_SERVER = """
import json, sys
for line in sys.stdin:
    call = json.loads(line)
    method, number = call.get("method"), call.get("id")
    if number is None:
        continue
    if method == "initialize":
        answer = {
            "protocolVersion": call["params"]["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "echo", "version": "1"},
        }
    elif method == "tools/list":
        empty = {"type": "object"}
        answer = {"tools": [{"name": n, "inputSchema": empty} for n in ("say", "cry")]}
    elif method == "tools/call":
        import os
        said = call["params"]["name"] + " " + os.environ.get("VOICE", "")
        answer = {"content": [{"type": "text", "text": said}]}
    else:
        error = {"code": -32601, "message": "no such method"}
        print(json.dumps({"jsonrpc": "2.0", "id": number, "error": error}), flush=True)
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": number, "result": answer}), flush=True)
"""
"""A stdio MCP server with two tools, quick to start."""
