"""A model that answers with bytes, and what is made of its refusals."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp

from checks.kits.relay.bench import (
    PATH,
    message,
)


# --- the model's side ---------------------------------------------------------------
@contextlib.asynccontextmanager
async def answering(raw: bytes) -> AsyncIterator[str]:
    """Answer every connection with ``raw`` and hang up."""

    async def answer(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.read(65536)
        writer.write(raw)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def error_of(alice: aiohttp.ClientSession) -> str:
    async with alice.post(PATH, json=message()) as answer:
        error = (await answer.json())["error"]
        return f"{answer.status} {error['type']}: {error['message']}"
