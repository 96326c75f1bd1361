"""Standard input and output in the event loop, line by line.

A client gets its answers however slowly it reads them: unread answers hold back its
next lines, not the process.
"""

import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator
from typing import BinaryIO, Final

LINE_MAX: Final = 16 * 1024 * 1024
"""Longest line from a client, in bytes."""


class Output(asyncio.BaseProtocol):
    """Writes to standard output; use ``Output.open()``."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._file: BinaryIO | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    @classmethod
    async def open(cls) -> "Output":
        """Return the process's standard output."""
        output = cls()
        file = sys.stdout.buffer
        if _is_file(file):
            output._file = file
        else:
            loop = asyncio.get_running_loop()
            output._transport, _ = await loop.connect_write_pipe(lambda: output, file)
        return output

    def write(self, line: bytes) -> None:
        """Write a line; ignored if the client is gone."""
        if self._file is not None:
            self._file.write(line)
            self._file.flush()
        elif self._transport is not None and not self._transport.is_closing():
            self._transport.write(line)

    async def drained(self) -> None:
        """Wait until the client has caught up reading."""
        await self._writable.wait()

    async def close(self) -> None:
        """Wait until everything is written, or the client is gone."""
        if self._transport is not None:
            self._transport.set_write_buffer_limits(high=0)
            await self._writable.wait()

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The client caught up."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The client is gone."""
        self._writable.set()


async def lines() -> AsyncIterator[bytes | None]:
    """Yield each line of standard input until its end; None for one too long."""
    reader = asyncio.StreamReader(limit=LINE_MAX)
    file = sys.stdin.buffer
    if _is_file(file):
        reader.feed_data(file.read())
        reader.feed_eof()
    else:
        loop = asyncio.get_running_loop()
        protocol = asyncio.StreamReaderProtocol(reader)
        await loop.connect_read_pipe(lambda: protocol, file)
    too_long = False
    while True:
        try:
            line = await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError as error:
            await reader.readexactly(error.consumed)
            too_long = True
            continue
        except asyncio.IncompleteReadError as error:
            if error.partial.strip():
                yield None if too_long else error.partial
            return
        if too_long:
            yield None
        elif line.strip():
            yield line
        too_long = False


def _is_file(file: BinaryIO) -> bool:
    return stat.S_ISREG(os.fstat(file.fileno()).st_mode)
