"""The forwarder carries bytes both ways, half-closes, and survives a missing relay."""

import asyncio
import contextlib
import hashlib
from pathlib import Path

from pyglue.harness.forward import Forwarder


async def _connect(forwarder: Forwarder) -> tuple:  # type: ignore[type-arg]
    port = int(forwarder.url.rpartition(":")[2])
    return await asyncio.open_connection("127.0.0.1", port)


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer what came with its length and hash, once the sender said its end."""
    data = await reader.read()
    writer.write(f"{len(data)} {hashlib.sha256(data).hexdigest()}".encode())
    writer.close()


async def test_carries_large_bodies_on_many_connections(tmp_path: Path) -> None:
    server = await asyncio.start_unix_server(_echo, tmp_path / "model.sock")

    async def once(forwarder: Forwarder, body: bytes) -> None:
        reader, writer = await _connect(forwarder)
        writer.write(body)
        writer.write_eof()
        expected = f"{len(body)} {hashlib.sha256(body).hexdigest()}"
        assert (await reader.read()).decode() == expected
        writer.close()

    async with server, Forwarder(tmp_path / "model.sock") as forwarder:
        assert forwarder.url.startswith("http://127.0.0.1:")
        bodies = [bytes([n]) * (n * 40_000) for n in range(24)]
        await asyncio.gather(*(once(forwarder, body) for body in bodies))


async def test_answer_may_end_before_the_question(tmp_path: Path) -> None:
    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"early")
        writer.write_eof()
        assert await reader.read() == b"late"
        writer.close()

    server = await asyncio.start_unix_server(early, tmp_path / "model.sock")
    async with server, Forwarder(tmp_path / "model.sock") as forwarder:
        reader, writer = await _connect(forwarder)
        assert await reader.read() == b"early"
        writer.write(b"late")
        writer.close()
        await writer.wait_closed()


async def test_closes_when_nobody_listens_and_works_once_somebody_does(
    tmp_path: Path,
) -> None:
    async with Forwarder(tmp_path / "model.sock") as forwarder:
        reader, writer = await _connect(forwarder)
        assert await reader.read() == b""
        writer.close()
        server = await asyncio.start_unix_server(_echo, tmp_path / "model.sock")
        async with server:
            reader, writer = await _connect(forwarder)
            writer.write(b"x")
            writer.write_eof()
            assert (await reader.read()).startswith(b"1 ")
            writer.close()


async def test_leaving_ends_open_connections(tmp_path: Path) -> None:
    server = await asyncio.start_unix_server(_echo, tmp_path / "model.sock")
    async with server:
        async with Forwarder(tmp_path / "model.sock") as forwarder:
            reader, writer = await _connect(forwarder)
            writer.write(b"x")
            await writer.drain()
        with contextlib.suppress(ConnectionResetError):  # as good an end as any
            assert await reader.read() == b""
        writer.close()


async def test_long_socket_paths_work(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 80) / ("e" * 80)
    deep.mkdir(parents=True)
    near = tmp_path / "near.sock"
    server = await asyncio.start_unix_server(_echo, near)
    near.rename(deep / "model.sock")
    async with server, Forwarder(deep / "model.sock") as forwarder:
        reader, writer = await _connect(forwarder)
        writer.write(b"abc")
        writer.write_eof()
        assert (await reader.read()).startswith(b"3 ")
        writer.close()
