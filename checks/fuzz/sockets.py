"""Raw lines on a hive's Unix sockets: what no client of our own would send."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from checks.kits.patience import PATIENCE_S
from pyglue.api.common import PROTOCOL
from pyglue.jsonrpc.sockets import short_path

LIMIT: Final = 64 * 1024 * 1024


def call(number: int, method: str, params: object) -> bytes:
    """Return the line of a call."""
    body = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    return json.dumps(body).encode() + b"\n"


def hello(client: str = "fuzz", session: str | None = None) -> bytes:
    """Return the line of a good hello, with the id 0."""
    extra = {} if session is None else {"session": session}
    return call(0, "hello", {"protocol": PROTOCOL, "client": client, **extra})


@dataclass
class Wire:
    """A connection that sends bytes and reads lines."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send; the other side may have gone."""
        with contextlib.suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def answers(self, until: int) -> tuple[list[dict[str, Any]], bool]:
        """Return what comes up to the answer to ``until``, and if that came.

        Raises:
            TimeoutError: neither the answer nor the end of the connection came.
        """
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(ConnectionError):
                while line := await self.reader.readline():
                    found.append(json.loads(line))
                    if found[-1].get("id") == until:
                        return found, True
        return found, False


@contextlib.asynccontextmanager
async def wire(path: Path) -> AsyncIterator[Wire]:
    """Connect."""
    with short_path(path) as name:
        reader, writer = await asyncio.open_unix_connection(name, limit=LIMIT)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()


def code_of(answer: dict[str, Any]) -> str | None:
    """Return the error code of an answer, None if it is none."""
    error = answer.get("error")
    if not isinstance(error, dict):
        return None
    return str((error.get("data") or {}).get("code", "?"))
