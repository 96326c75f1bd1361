"""Bytes between two sides: all of them, in order, with back-pressure."""

import asyncio
import hashlib
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from checks.kits.patience import PATIENCE_S
from pyglue.net.forwarding import Scratch, Side, join

pytestmark = pytest.mark.asyncio

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def transport(streams: Streams) -> asyncio.Transport:
    """Return what is below two streams."""
    found = streams[1].transport
    assert isinstance(found, asyncio.Transport)
    return found


async def made(scratch: Scratch) -> tuple[Side, Streams]:
    """Return a side, and the streams at its other end."""
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    _, side = await loop.create_unix_connection(partial(Side, scratch), sock=ours)
    return side, await asyncio.open_unix_connection(sock=theirs)


async def test_many_bytes_pass_through_shared_memory() -> None:
    """Of two connections at once, whose readers are slow in turns."""
    scratch = Scratch()

    async def one(seed: int) -> None:
        inside, near = await made(scratch)
        outside, far = await made(scratch)
        joined = asyncio.create_task(join(inside, outside))
        data = hashlib.shake_128(bytes((seed,))).digest(3_000_000)

        async def send() -> None:
            near[1].write(data)
            await near[1].drain()
            near[1].write_eof()

        sending = asyncio.create_task(send())
        got = b""
        while chunk := await far[0].read(50_000):
            got += chunk
            await asyncio.sleep(0)
        await sending
        assert got == data
        far[1].write(b"answer")
        far[1].write_eof()
        assert await near[0].read() == b"answer"
        await joined
        for side in (inside, outside):
            side.abort()
        for streams in (near, far):
            streams[1].close()

    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(one(1), one(2))


async def test_memory_that_is_still_to_be_written_is_not_received_into() -> None:
    """Since Python 3.12, asyncio keeps as it is what the kernel does not take."""

    class Keeps(asyncio.Transport):
        kept: list[Any]

        def __init__(self) -> None:
            super().__init__()
            self.kept = []

        def write(self, data: Any) -> None:
            self.kept.append(data)

        def get_write_buffer_size(self) -> int:
            return sum(map(len, self.kept))

    scratch = Scratch()
    source, sink = Side(scratch), Side(scratch)
    kept = Keeps()
    source.connection_made(Keeps())
    sink.connection_made(kept)
    source.lead(sink)
    for data in (b"first", b"other"):
        source.get_buffer(-1)[:5] = data
        source.buffer_updated(5)
    assert [bytes(one) for one in kept.kept] == [b"first", b"other"]


async def test_a_reader_is_not_sent_more_than_it_takes() -> None:
    """Whether it reads itself, or its sink does."""
    scratch = Scratch()
    inside, near = await made(scratch)
    outside, far = await made(scratch)
    transport(far).pause_reading()
    writer = near[1]
    writer.write(bytes(20_000_000))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await writer.drain()
    assert len(await inside.read(2**30)) < 1_000_000
    inside.lead(outside)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await writer.drain()
    assert writer.transport.get_write_buffer_size() > 15_000_000
    transport(far).resume_reading()
    async with asyncio.timeout(PATIENCE_S):
        while writer.transport.get_write_buffer_size():
            assert await far[0].read(2**20)
    for one in (near, far):
        transport(one).abort()
    for side in (inside, outside):
        side.abort()


@pytest.mark.parametrize("leads", [True, False])
async def test_a_lost_connection_closes_what_it_is_led_to(leads: bool) -> None:
    """Once that has what it was sent; who reads is told."""
    scratch = Scratch()
    inside, near = await made(scratch)
    outside, far = await made(scratch)
    transport(near).pause_reading()
    inside.write(b"never read, so that the end is a reset")
    if leads:
        joined = asyncio.create_task(join(inside, outside))
        near[1].write(b"the last words")
        async with asyncio.timeout(PATIENCE_S):
            assert await far[0].read(100) == b"the last words"
    transport(near).abort()
    async with asyncio.timeout(PATIENCE_S):
        if leads:
            assert await far[0].read() == b""
            await joined
            await outside.gone
        else:
            with pytest.raises(ConnectionError):
                await inside.read(100)
            with pytest.raises(ConnectionError):
                await inside.drain()
    outside.abort()
    far[1].close()


async def test_what_is_kept_again_is_read() -> None:
    """And no longer goes to the sink, nor ends it."""
    scratch = Scratch()
    inside, near = await made(scratch)
    outside, far = await made(scratch)
    counted: list[int] = []
    count: Callable[[int], None] = counted.append
    near[1].write(b"one")
    assert await inside.read(1) == b"o"
    inside.lead(outside, count)
    assert await far[0].readexactly(2) == b"ne"
    inside.keep()
    near[1].write(b"two")
    near[1].write_eof()
    assert await inside.read(100) == b"two" and await inside.read(100) == b""
    assert counted == [2]
    near[1].close()
    await inside.over
    outside.write(b"open")
    assert await far[0].readexactly(4) == b"open"
    for side in (inside, outside):
        side.abort()
    far[1].close()
