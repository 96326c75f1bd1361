"""Connections of the dashboard: requests in turn, early ends, and room for others."""

import asyncio
import contextlib
import dataclasses
import socket
from pathlib import Path

import pytest

from checks.kits.net.ports import free_port
from checks.kits.patience import PATIENCE_S
from checks.kits.web import hive as fake_hive
from checks.kits.web.app import hive_web
from checks.kits.web.process import Running
from pyglue.limits import DASHBOARD_HTTP, HIVED
from pyglue.web.guard import request_head as heads
from pyglue.web.guard.listener import Listener
from pyglue.web.guard.request_head import RefusedError


def test_a_head_ends_where_it_ends() -> None:
    for size in range(1, 9):
        data, searched = bytearray(), 0
        for at in range(0, 40, size):
            data += b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody and more"[at : at + size]
            found = heads.end_of(data, searched)
            searched = len(data)
            if found >= 0:
                break
        assert found == len(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    with pytest.raises(RefusedError):
        heads.read(b"\r\n\r\n", "", DASHBOARD_HTTP)


def test_malformed_requests_do_not_flood_the_log(tmp_path: Path) -> None:
    """Nobody needs a session for them, and gunicorn warns of each."""
    port, log = free_port(), tmp_path / "log"
    with (
        log.open("wb") as stderr,
        fake_hive.running(tmp_path / "operator.sock", port=port) as hive,
        hive_web(tmp_path, port, stderr=stderr),
    ):
        running = Running(hive, port)
        for number in range(5 * HIVED.log_burst):
            verb = chr(65 + number // 26) + chr(65 + number % 26)  # is in the warning
            request = f"{verb} / HTTP/1.1\r\nHost: {running.host}\r\n\r\n"
            assert b"malformed" in running.raw(request.encode())
    said = log.read_text()
    assert 0 < said.count("Invalid request") <= HIVED.log_burst


async def test_a_request_waits_for_the_answer_to_the_one_before(tmp_path: Path) -> None:
    """Else one connection has hundreds of them answered, and asks for more."""
    asked: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()

    async def app(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                asked.put_nowait(writer)
        writer.close()

    backend = await asyncio.start_unix_server(app, tmp_path / "app.sock")
    listening = socket.create_server(("127.0.0.1", 0))
    door = Listener(limits=DASHBOARD_HTTP, backend=tmp_path / "app.sock")
    running = asyncio.create_task(door.run([listening]))
    _, client = await asyncio.open_connection(*listening.getsockname())
    client.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 100)
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(3):
            answering = await asked.get()
            for _ in range(100):
                await asyncio.sleep(0)
            assert asked.empty()
            answering.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    client.close()
    running.cancel()
    backend.close()


async def test_who_left_before_the_answer_takes_no_turn_and_no_room(
    tmp_path: Path,
) -> None:
    """A thousand requests of peers that are gone, and then the operator's."""
    asked: asyncio.Queue[tuple[bytes, asyncio.StreamWriter]] = asyncio.Queue()

    async def app(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                asked.put_nowait((head, writer))
        writer.close()

    backend = await asyncio.start_unix_server(app, tmp_path / "app.sock")
    listening = socket.create_server(("127.0.0.1", 0))
    limits = dataclasses.replace(DASHBOARD_HTTP, connections=8, unanswered=1)
    running = asyncio.create_task(
        Listener(limits=limits, backend=tmp_path / "app.sock").run([listening])
    )

    async def request(path: str) -> asyncio.StreamWriter:
        _, client = await asyncio.open_connection(*listening.getsockname())
        client.write(f"GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n".encode() * 20)
        return client

    async with asyncio.timeout(PATIENCE_S):
        first = await request("first")
        _, answering = await asked.get()
        for _ in range(50):
            gone = await request("gone")
            gone.close()
            await gone.wait_closed()
        operator = await request("operator")
        answering.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        answering.close()
        first.close()
        head, answering = await asked.get()
        while b"/operator" not in head:  # at most the one that had its turn already
            assert b"/first" in head or b"/gone" in head
            answering.close()
            head, answering = await asked.get()
    operator.close()
    running.cancel()
    backend.close()


async def test_strangers_that_ask_on_and_on_make_room_for_others(
    tmp_path: Path,
) -> None:
    """Whole requests on kept connections; the operator is let in, and stays."""
    asked: asyncio.Queue[bytes] = asyncio.Queue()

    async def app(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                asked.put_nowait(head)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    backend = await asyncio.start_unix_server(app, tmp_path / "app.sock")
    listening = socket.create_server(("127.0.0.1", 0))
    limits = dataclasses.replace(DASHBOARD_HTTP, connections=4)
    door = Listener(
        limits=limits,
        backend=tmp_path / "app.sock",
        is_ours=lambda host: host == "ours",
    )
    running = asyncio.create_task(door.run([listening]))

    async def request(
        host: str,
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, client = await asyncio.open_connection(*listening.getsockname())
        client.write(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        return reader, client

    async with asyncio.timeout(PATIENCE_S):
        kept = [await request("theirs") for _ in range(4)]
        operator, ours = await request("ours")
        assert await kept[0][0].read() == b""  # the first of them went
        kept += [await request("theirs") for _ in range(8)]
        ours.write(b"GET / HTTP/1.1\r\nHost: ours\r\n\r\n")
        assert b"200 OK" in await operator.readuntil(b"\r\n\r\n")
    for _, client in (*kept, (operator, ours)):
        client.close()
    running.cancel()
    backend.close()
