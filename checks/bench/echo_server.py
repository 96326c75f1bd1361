"""A minimal JSON-line server, as a process: ``python -m checks.bench.echo_server``.

The reference for a message's way over a socket. Answers each line with the object it
holds; ends when its standard input does.
"""

import asyncio
import json
import sys
from pathlib import Path


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(json.dumps(json.loads(line)).encode() + b"\n")
        await writer.drain()
    writer.close()


async def _serve(path: Path) -> None:
    async with await asyncio.start_unix_server(_echo, path):
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
