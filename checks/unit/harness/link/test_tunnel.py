"""The tunnel forwards bytes both ways between a loopback port and the egress socket."""

import asyncio
from pathlib import Path

import pytest

from checks.kits.patience import PATIENCE_S
from pyglue.harness.link.tunnel import Tunnel, proxy_environment
from pyglue.limits import EgressLimits

pytestmark = pytest.mark.asyncio

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connected(tunnel: Tunnel) -> Streams:
    port = int(tunnel.environment["HTTPS_PROXY"].rpartition(":")[2])
    return await asyncio.open_connection("127.0.0.1", port)


async def until_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with the number of bytes once there are no more."""
    got = await reader.read()
    writer.write(str(len(got)).encode())
    writer.close()


async def is_closed(reader: asyncio.StreamReader) -> bool:
    """Wait for the end, whichever way it comes."""
    async with asyncio.timeout(PATIENCE_S):
        try:
            return await reader.read() == b""
        except ConnectionError:
            return True


async def test_a_half_closed_connection_is_answered(tmp_path: Path) -> None:
    path = tmp_path / "egress.sock"
    async with await asyncio.start_unix_server(until_end, path), Tunnel(path) as tunnel:
        reader, writer = await connected(tunnel)
        writer.write(b"x" * 1_000_000)
        writer.write_eof()
        async with asyncio.timeout(PATIENCE_S):
            assert await reader.read() == b"1000000"
        writer.close()


async def test_the_socket_may_be_gone_and_come_back(tmp_path: Path) -> None:
    path = tmp_path / "egress.sock"
    async with Tunnel(path) as tunnel:
        reader, writer = await connected(tunnel)
        assert await is_closed(reader)
        writer.close()
        async with await asyncio.start_unix_server(until_end, path):
            reader, writer = await connected(tunnel)
            writer.write_eof()
            assert await reader.read() == b"0"
            writer.close()


async def test_what_is_too_many_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "egress.sock"
    limits = EgressLimits(connections=1)
    async with (
        await asyncio.start_unix_server(until_end, path),
        Tunnel(path, limits) as tunnel,
    ):
        first = await connected(tunnel)
        first[1].write(b"x")
        second = await connected(tunnel)
        assert await is_closed(second[0])
        first[1].write_eof()
        assert await first[0].read() == b"1"
        for streams in (first, second):
            streams[1].close()


async def test_programs_find_it_by_both_spellings() -> None:
    found = proxy_environment("http://127.0.0.1:7")
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        assert found[name] == found[name.upper()] == "http://127.0.0.1:7"
    assert "127.0.0.1" in found["no_proxy"].split(",")
