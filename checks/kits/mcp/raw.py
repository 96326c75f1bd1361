"""A client of hive-mcp that sends arbitrary lines, and the paths of the real ones."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from checks.kits.patience import PATIENCE_S

ROOT: Final = Path(__file__).resolve().parents[3]
OLDER_SDK: Final = Path(sys.prefix) / "mcp-1"
"""The Python SDK 1.x with all it needs, as a directory for PYTHONPATH."""
NODE_SDK: Final = ROOT / "web" / "node_modules" / "@modelcontextprotocol"


class RawClient:
    """Speaks JSON-RPC by hand; ``rest`` are messages that nobody waited for."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None and process.stdout is not None
        self.process = process
        self._in, self._out = process.stdin, process.stdout
        self.rest: list[dict[str, Any]] = []
        self._next = 0

    def send(self, line: bytes) -> None:
        """Send a line as it is."""
        self._in.write(line + b"\n")

    def notify(self, method: str, **params: Any) -> None:
        """Send a notification."""
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        self.send(json.dumps(message).encode())

    def ask(self, method: str, **params: Any) -> int:
        """Send a request and return its id; ``answer`` reads the answer."""
        self._next += 1
        message = {
            "jsonrpc": "2.0",
            "id": self._next,
            "method": method,
            "params": params,
        }
        self.send(json.dumps(message).encode())
        return self._next

    async def read(self) -> dict[str, Any]:
        """Return the next message of the server."""
        async with asyncio.timeout(PATIENCE_S):
            line = await self._out.readuntil(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found

    async def answer(self, request: int | str | None) -> dict[str, Any]:
        """Return the answer to a request."""
        for at, message in enumerate(self.rest):
            if "method" not in message and message.get("id") == request:
                return self.rest.pop(at)
        while True:
            message = await self.read()
            if "method" not in message and message.get("id") == request:
                return message
            self.rest.append(message)

    async def said_before_a_ping(self) -> list[dict[str, Any]]:
        """Ask something and return what came before the answer."""
        await self.answer(self.ask("ping"))
        before, self.rest = self.rest, []
        return before

    def tool(self, name: str, **arguments: Any) -> int:
        """Call a tool; return the request's id."""
        return self.ask("tools/call", name=name, arguments=arguments)

    async def result(self, request: int) -> str:
        """Return the text of a tool's answer."""
        found = (await self.answer(request))["result"]
        return str(found["content"][0]["text"])

    async def bodies(self, request: int) -> list[tuple[str, bool]]:
        """Return what a recv answered: bodies, and whether they came before."""
        found = json.loads(await self.result(request))["messages"]
        return [(one["body"], one["redelivered"]) for one in found]


@contextlib.asynccontextmanager
async def raw_client(socket: Path, *more: str) -> AsyncIterator[RawClient]:
    """Run hive-mcp on a socket."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "pyglue.mcp.main", "--socket", str(socket), *more),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=64 * 1024 * 1024,
    )
    try:
        yield RawClient(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(PATIENCE_S):
            await process.wait()
