"""[send_recv_wake]: from ``send`` to the return of a parked ``recv``, over sockets.

A hundred agents wait; one of them is written to. The message is durable before its
sender hears ok. The reference is what the parts cost alone: a JSON line to an asyncio
echo server and back, and one bare commit with ``synchronous=FULL`` on the same disk.
"""

import asyncio
import contextlib
import json
import sqlite3
import statistics
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from checks.bench.mail_agents import PARKED, SENDER
from checks.bench.measure import Figure, progress, room, since
from pyglue.api import agent as api
from pyglue.api.common import PROTOCOL, HelloParams
from pyglue.api.messages import RecvParams, RecvResult, SendParams
from pyglue.jsonrpc import Connection, connect

NAME: Final = "send_recv_wake"
LIMIT: Final = 3.0
_ROUNDS: Final = 6
BODY: Final = "Please look at the failing test in the parser. " * 4


async def bench() -> Figure:
    """Measure ``_ROUNDS`` times every parked agent, after one round to warm up."""
    waking: list[float] = []
    echoing: list[float] = []
    committing: list[float] = []
    with room() as directory:
        async with (
            process("checks.bench.mail_server", directory),
            process("checks.bench.echo_server", directory / "echo"),
        ):
            echo = await Echo.open(directory / "echo")
            commits = Commits(directory / "bare.db")
            post = await Post.open(directory, PARKED)
            for number in range(_ROUNDS + 1):
                for name in PARKED:
                    waking.append(await post.send(name))
                    echoing.append(await echo.once())
                    committing.append(commits.once())
                if number == 0:
                    for warm in (waking, echoing, committing):
                        warm.clear()
                progress(f"  round {number} of {_ROUNDS}")
            post.close()
            echo.close()
            commits.close()
    parts = {
        "echo": statistics.median(echoing),
        "commit": statistics.median(committing),
    }
    return Figure(NAME, tuple(waking), sum(parts.values()), LIMIT, parts)


class Post:
    """The sender's connection and every parked agent's."""

    def __init__(self, sender: Connection, parked: dict[str, Connection]) -> None:
        self._sender = sender
        self._parked = parked
        self._waits = {name: self._park(name) for name in parked}

    @classmethod
    async def open(cls, directory: Path, names: tuple[str, ...]) -> "Post":
        """Connect for everyone and park all but the sender."""
        hello = HelloParams(protocol=PROTOCOL, client="bench")
        parked = {name: await connect(directory / name, hello=hello) for name in names}
        return cls(await connect(directory / SENDER, hello=hello), parked)

    def _park(self, name: str) -> asyncio.Task[RecvResult]:
        params = RecvParams(wait_seconds=180, max=32)
        return asyncio.create_task(self._parked[name].call(api.RECV, params))

    async def send(self, name: str) -> float:
        """Write to a parked agent; milliseconds until its ``recv`` returned."""
        wait = self._waits[name]
        began = time.perf_counter()
        sending = asyncio.create_task(
            self._sender.call(api.SEND, SendParams(to=name, body=BODY))
        )
        got = await wait
        took = since(began)
        sent = await sending
        assert [message.id for message in got.messages] == [sent.id]
        self._waits[name] = self._park(name)
        return took

    def close(self) -> None:
        """Hang up."""
        for wait in self._waits.values():
            wait.cancel()
        for connection in (self._sender, *self._parked.values()):
            connection.close()


class Echo:
    """A connection to the echo server."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, path: Path) -> "Echo":
        """Connect."""
        return cls(*await asyncio.open_unix_connection(path))

    async def once(self) -> float:
        """Send a line as long as a message and read it back."""
        began = time.perf_counter()
        self._writer.write(json.dumps({"id": 1, "body": BODY}).encode() + b"\n")
        answer = json.loads(await self._reader.readline())
        assert answer["body"] == BODY
        return since(began)

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


class Commits:
    """A table and nothing around it."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=wal")
        self._db.execute("PRAGMA synchronous=full")
        self._db.execute("CREATE TABLE message (id INTEGER PRIMARY KEY, body TEXT)")

    def once(self) -> float:
        """Insert one row in a transaction of its own."""
        began = time.perf_counter()
        self._db.execute("INSERT INTO message (body) VALUES (?)", (BODY,))
        return since(began)

    def close(self) -> None:
        """Close the file."""
        self._db.close()


@contextlib.asynccontextmanager
async def process(module: str, *arguments: str | Path) -> AsyncIterator[int]:
    """Run a server of this package until the block ends; gives its process id."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *map(str, arguments)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdin is not None and child.stdout is not None
    try:
        assert await child.stdout.readline() == b"ready\n", f"{module} did not start"
        yield child.pid
    finally:
        child.stdin.close()
        await child.wait()
