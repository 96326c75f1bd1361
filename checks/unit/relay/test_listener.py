"""A listener retired by hived's restart: its connections are answered or closed."""

import asyncio
import socket
from pathlib import Path

from aiohttp import web

from checks.kits.patience import PATIENCE_S
from checks.kits.relay.bench import connected
from pyglue.jsonrpc import bind_unix
from pyglue.relay.listener import open_listener

ASK = b"GET / HTTP/1.1\r\nHost: model\r\n\r\n"


async def test_a_retired_door_hangs_up_on_who_keeps_alive_and_answers_who_asked(
    tmp_path: Path,
) -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def answer(request: web.BaseRequest) -> web.Response:
        if request.path == "/slow":
            asked.set()
            await go.wait()
        return web.Response(text="well")

    path = tmp_path / "model.sock"
    door = open_listener(
        bind_unix(path, mode=0o600, gid=None, kind=socket.SOCK_STREAM), answer
    )
    async with asyncio.timeout(PATIENCE_S):
        idle = await connected(path)
        idle[1].write(ASK)
        assert (await idle[0].readuntil(b"well")).startswith(b"HTTP/1.1 200")
        busy = await connected(path)
        busy[1].write(ASK.replace(b"/ ", b"/slow ", 1))
        await asked.wait()
        door.retire()
        assert await idle[0].read() == b""
        go.set()
        assert (await busy[0].read()).endswith(b"well")
    for _, writer in (idle, busy):
        writer.close()
    await door.shut()
