"""[events_1000]: a thousand live events from a harness's socket to a page's text.

A burst of tool calls and results, as a turn reports them, goes through hived's agent
socket, history, store and event bus to a subscriber that writes what a page gets. The
reference is what the parts cost alone: the same lines over an echo server and back,
and the same rows in one table, committed once with ``synchronous=FULL``.
"""

import asyncio
import json
import sqlite3
import statistics
import threading
import time
from pathlib import Path
from typing import Final

from checks.bench.events_server import AGENT
from checks.bench.mail import process
from checks.bench.measure import Figure, progress, room, since
from pyglue.api import operator as api
from pyglue.api.common import PROTOCOL
from pyglue.api.events import GapParams, SubscribeParams
from pyglue.api.turn_events import TurnEventKind
from pyglue.jsonrpc import SyncClient
from pyglue.web.live.ring import text_of

NAME: Final = "events_1000"
LIMIT: Final = 4.0
_EVENTS: Final = 1000
_ROUNDS: Final = 20
_EDIT: Final = {
    "file_path": "/state/src/parser.py",
    "edits": [
        {"old": f"line {n}: return None", "new": f"line {n}: return [], {{}}"}
        for n in range(20)
    ],
}
_CALL: Final = {"id": "toolu_1", "name": "Edit", "input": _EDIT}
_OUTPUT: Final = {"id": "toolu_1", "text": "ok 1 - parses\n" * 150, "is_error": False}


async def bench() -> Figure:
    """Measure bursts after one to warm up."""
    reporting: list[float] = []
    echoing: list[float] = []
    inserting: list[float] = []
    burst = _burst()
    with room() as directory:
        async with (
            process("checks.bench.events_server", directory),
            process("checks.bench.echo_server", directory / "echo"),
        ):
            page = _Page(directory / "operator")
            hello = _line("hello", {"protocol": PROTOCOL, "client": "bench"}, id=1)
            reader, writer = await asyncio.open_unix_connection(directory / AGENT)
            writer.write(hello)
            await reader.readline()
            echo = await asyncio.open_unix_connection(directory / "echo")
            bare = _Bare(directory / "bare.db")
            for _ in range(_ROUNDS + 1):
                reporting.append(await page.timed(writer, burst))
                echoing.append(await _echo(*echo, burst))
                inserting.append(bare.insert(burst))
            page.close()
            bare.close()
            writer.close()
            echo[1].close()
    for warm in (reporting, echoing, inserting):
        del warm[0]
    median = statistics.median(reporting)
    progress(f"  {_EVENTS / median * 1000:.0f} events a second")
    parts = {"echo": statistics.median(echoing), "insert": statistics.median(inserting)}
    return Figure(NAME, tuple(reporting), sum(parts.values()), LIMIT, parts)


class _Page:
    """A subscriber in its own thread, as the dashboard has one for all pages."""

    def __init__(self, socket: Path) -> None:
        self._client = SyncClient(socket, client="bench")
        self._client.call(api.SUBSCRIBE, SubscribeParams())
        self._whole = threading.Semaphore(0)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for count, note in enumerate(self._client.notes(), 1):
            assert not isinstance(note, GapParams)
            assert text_of(note)
            if count % _EVENTS == 0:
                self._whole.release()

    async def timed(self, writer: asyncio.StreamWriter, burst: list[bytes]) -> float:
        """Report a burst; milliseconds until the last text is written."""
        began = time.perf_counter()
        writer.writelines(burst)
        await asyncio.to_thread(self._whole.acquire)
        return since(began)

    def close(self) -> None:
        self._client.close()


class _Bare:
    """A table and nothing around it."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=wal")
        self._db.execute("PRAGMA synchronous=full")
        self._db.execute("CREATE TABLE event (seq INTEGER PRIMARY KEY, data BLOB)")

    def insert(self, burst: list[bytes]) -> float:
        """Insert a burst in one transaction; milliseconds."""
        began = time.perf_counter()
        self._db.execute("BEGIN")
        self._db.executemany(
            "INSERT INTO event (data) VALUES (?)", [(line,) for line in burst]
        )
        self._db.execute("COMMIT")
        return since(began)

    def close(self) -> None:
        self._db.close()


async def _echo(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, burst: list[bytes]
) -> float:
    began = time.perf_counter()
    for line in burst:
        writer.write(line)
        await reader.readline()
    return since(began)


def _burst() -> list[bytes]:
    said = ((TurnEventKind.TOOL_USE, _CALL), (TurnEventKind.TOOL_RESULT, _OUTPUT))
    pair = [
        _line("turn_event", {"turn": 1, "kind": kind.value, "data": data})
        for kind, data in said
    ]
    return pair * (_EVENTS // 2)


def _line(method: str, params: object, **more: int) -> bytes:
    note = {"jsonrpc": "2.0", **more, "method": method, "params": params}
    return json.dumps(note, separators=(",", ":")).encode() + b"\n"
