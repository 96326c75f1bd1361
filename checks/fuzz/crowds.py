"""Thousands of connections that are idle, slow, half closed or never read.

Each kind of crowd fills one listener. While it stands, the operator's calls must be
answered, the emergency stop too, and a page must open.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from checks.fuzz.kit import Case, Trial
from checks.fuzz.sockets import call, hello
from checks.kits.host.hive import Hive
from checks.kits.patience import PATIENCE_S
from pyglue.api import operator as api
from pyglue.api.common import NoParams
from pyglue.api.control import PauseAllParams
from pyglue.jsonrpc.sockets import short_path

_AT_ONCE: Final = 64
_CONNECT_S: Final = 5.0
"""A connection that is not taken in this time waits in the kernel, which is fine."""


@dataclass(frozen=True)
class Crowd:
    """One kind of connection: where to, what it sends, and if it then half closes."""

    name: str
    place: Callable[[Hive], Path | int]
    sends: bytes = b""
    half_closes: bool = False


def _agent(hive: Hive) -> Path:
    return hive.local.config.layout.run("alice") / "hive.sock"


def _model(hive: Hive) -> Path:
    return hive.local.config.layout.run("alice") / "model.sock"


def _web(hive: Hive) -> int:
    return hive.local.config.web.port


_HEAD: Final = (
    b"POST /v1/messages HTTP/1.1\r\nHost: model\r\nContent-Length: 9000000\r\n"
)
_PAGE: Final = b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
_UNREAD: Final = hello() + b"".join(call(n, "open_threads", {}) for n in range(1, 400))
CROWDS: Final = (
    Crowd("idle on hive.sock", _agent),
    Crowd("half a line on hive.sock", _agent, b'{"jsonrpc": "2.0", "id": 1, "me'),
    Crowd("half closed on hive.sock", _agent, hello(), half_closes=True),
    Crowd("greeted and idle on hive.sock", _agent, hello()),
    Crowd("answers unread on hive.sock", _agent, _UNREAD),
    Crowd("refusals unread on hive.sock", _agent, hello() + call(1, "x", {}) * 300),
    Crowd("idle on model.sock", _model),
    Crowd("half a head on model.sock", _model, _HEAD[:30]),
    Crowd("half a body on model.sock", _model, _HEAD + b'\r\n{"model": "'),
    Crowd("half closed on model.sock", _model, _HEAD, half_closes=True),
    Crowd("idle on the dashboard", _web),
    Crowd("half a head on the dashboard", _web, _PAGE[:30]),
    Crowd("half a body on the dashboard", _web, _PAGE + b"\r\ncode="),
    Crowd("half closed on the dashboard", _web, _PAGE, half_closes=True),
)


async def attack(trial: Trial) -> None:
    """Let each crowd stand in turn, as large as ``count`` allows; ask as operator."""
    hive = await trial.lab.hive()
    size = max(1, (trial.count or 20_000) // len(CROWDS))
    number = 0
    for crowd in CROWDS:
        cases = [Case(trial, number + n) for n in range(size)]
        number += size
        if trial.only is not None and trial.only not in {c.number for c in cases}:
            continue
        await _stand(hive, crowd, cases)


async def _stand(hive: Hive, crowd: Crowd, cases: list[Case]) -> None:
    place, gate = crowd.place(hive), asyncio.Semaphore(_AT_ONCE)
    writers: list[asyncio.StreamWriter] = []

    async def one(case: Case) -> tuple[Case, bool]:
        async with gate:
            try:
                async with asyncio.timeout(_CONNECT_S):
                    writer = await _open(place)
                    writers.append(writer)
                    writer.write(crowd.sends)
                    if crowd.half_closes:
                        writer.write_eof()
            except (OSError, TimeoutError):
                return case, False
            return case, True

    try:
        came = await asyncio.gather(*map(one, cases))
        fault = await _asked(hive)
    finally:
        for writer in writers:
            writer.transport.abort()
    for at, (case, held) in enumerate(came):
        wrong = f"{len(cases)} {crowd.name}: {fault}" if fault and not at else None
        case.unless(wrong, refused=not held)


async def _open(place: Path | int) -> asyncio.StreamWriter:
    if isinstance(place, int):
        return (await asyncio.open_connection("127.0.0.1", place))[1]
    with short_path(place) as name:
        return (await asyncio.open_unix_connection(name))[1]


async def _asked(hive: Hive) -> str | None:
    """Ask as the operator, and open a page; say what was not answered."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            await hive.operator.call(api.STATUS, NoParams())
            await hive.operator.call(api.PAUSE_ALL, PauseAllParams(reason="a crowd"))
            await hive.operator.call(api.RESUME_ALL, NoParams())
    except TimeoutError:
        return "the operator is not answered"
    try:
        async with asyncio.timeout(PATIENCE_S):
            return None if await _page(hive) else "no page is served"
    except TimeoutError:
        return "the dashboard does not answer"


async def _page(hive: Hive) -> bool:
    port = _web(hive)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(
            f"GET /login HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        with contextlib.suppress(ConnectionError):
            return (await reader.read()).startswith(b"HTTP/1.1 200")
        return False
    finally:
        writer.transport.abort()
