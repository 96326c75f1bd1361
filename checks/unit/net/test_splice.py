"""Many bytes moved by the kernel: all of them, in order, and no leftovers."""

import asyncio
import contextlib
import hashlib
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from checks.kits.patience import PATIENCE_S
from pyglue.net.forwarding import Scratch, Side, join
from pyglue.net.splice import Splices

pytestmark = pytest.mark.asyncio

MANY = 3 * 2**20
"""Bytes after which the kernel surely moves the next ones."""


@dataclass
class Way:
    """Two joined sides, and a program at the other end of each."""

    inside: Side
    outside: Side
    near: socket.socket
    far: socket.socket
    splices: Splices
    inodes: frozenset[int]
    """Of our ends of the sockets."""
    counted: int = 0

    @property
    def descriptors(self) -> int:
        """Our descriptors of the sockets: two, and two more while a splice runs."""
        found = 0
        for entry in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):  # of this very list
                found += entry.stat().st_ino in self.inodes
        return found

    def count(self, size: int) -> None:
        self.counted += size

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.near, data)

    async def receive(self, size: int) -> bytes:
        """Return exactly this many bytes, fewer only at the end."""
        loop, got = asyncio.get_running_loop(), bytearray()
        async with asyncio.timeout(PATIENCE_S):
            while len(got) < size:
                more = await loop.sock_recv(self.far, size - len(got))
                if not more:
                    break
                got += more
        return bytes(got)

    async def pass_on(self, data: bytes) -> None:
        """Send bytes, and see them arrive."""
        sending = asyncio.create_task(self.send(data))
        assert await self.receive(len(data)) == data
        await sending


@pytest.fixture
async def way() -> AsyncIterator[Way]:
    scratch = Scratch()
    scratch.splices = Splices(quiet_s=PATIENCE_S)
    made = await joined(scratch)
    yield made
    for side in (made.inside, made.outside):
        side.abort()
        await side.gone
    made.near.close()
    made.far.close()
    await asyncio.sleep(0)
    assert not scratch.splices.running


async def joined(scratch: Scratch) -> Way:
    loop = asyncio.get_running_loop()
    ends, inodes = [], []
    for _ in range(2):
        ours, theirs = socket.socketpair()
        inodes.append(os.fstat(ours.fileno()).st_ino)
        theirs.setblocking(False)
        _, side = await loop.create_unix_connection(partial(Side, scratch), sock=ours)
        ends.append((side, theirs))
    (inside, near), (outside, far) = ends
    way = Way(inside, outside, near, far, scratch.splices, frozenset(inodes))
    inside.lead(outside, way.count)
    outside.lead(inside)
    return way


def some(size: int) -> bytes:
    return hashlib.shake_128(b"seed").digest(size)


async def test_the_kernel_moves_what_comes_after_much(way: Way) -> None:
    data = some(MANY)
    await way.pass_on(data[:100])
    assert not way.splices.running
    await way.pass_on(data)
    assert way.splices.running
    await way.pass_on(data)
    assert way.counted == 2 * len(data) + 100
    way.near.shutdown(socket.SHUT_WR)
    assert await way.receive(1) == b""
    assert not way.splices.running
    way.far.send(b"the other direction goes on")
    loop = asyncio.get_running_loop()
    assert await loop.sock_recv(way.near, 100) == b"the other direction goes on"


async def test_what_is_written_in_between_comes_after(way: Way) -> None:
    """Also what the kernel holds when nobody has read for a while."""
    await way.pass_on(some(MANY))
    sending = asyncio.create_task(way.send(some(MANY)))
    async with asyncio.timeout(PATIENCE_S):
        while way.counted == MANY:
            await asyncio.sleep(0)
    way.outside.write(b"a word in between")
    way.inside.keep()
    counted = way.counted - MANY
    assert counted < MANY
    got = await way.receive(counted + 17)
    assert got == some(MANY)[:counted] + b"a word in between"
    rest = b""
    while counted + len(rest) < MANY:
        rest += await way.inside.read(MANY)
    assert rest == some(MANY)[counted:]
    await sending


async def test_closing_leaves_out_nothing_that_was_counted(way: Way) -> None:
    await way.pass_on(some(MANY))
    sending = asyncio.create_task(way.send(some(MANY)))
    async with asyncio.timeout(PATIENCE_S):
        while way.counted == MANY:
            await asyncio.sleep(0)
    way.inside.keep()
    way.outside.close()
    assert await way.receive(2**30) == some(MANY)[: way.counted - MANY]
    sending.cancel()


async def test_a_reader_that_leaves_ends_the_writer(way: Way) -> None:
    await way.pass_on(some(MANY))
    assert way.descriptors == 4
    way.far.close()
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(ConnectionError):
            while True:
                await way.send(some(100_000))
        await asyncio.wait({way.inside.gone, way.outside.gone})
    assert not way.splices.running
    assert way.descriptors == 0


async def test_an_end_comes_after_what_the_kernel_held(way: Way) -> None:
    await way.pass_on(some(MANY))
    assert way.descriptors == 4
    sending = asyncio.create_task(way.send(some(MANY)))
    sending.add_done_callback(lambda _: way.near.shutdown(socket.SHUT_WR))
    assert await way.receive(2**30) == some(MANY)
    assert not way.splices.running
    assert way.descriptors == 2


async def test_silence_gives_its_descriptors_back() -> None:
    scratch = Scratch()
    scratch.splices = Splices(quiet_s=0.01)
    way = await joined(scratch)
    await way.pass_on(some(MANY))
    async with asyncio.timeout(PATIENCE_S):
        while way.splices.running:
            await asyncio.sleep(0)
    assert way.descriptors == 2
    await way.pass_on(b"and it goes on")
    for one in (way.inside, way.outside):
        one.abort()
    way.near.close()
    way.far.close()


@pytest.mark.parametrize("splices", [Splices(most=0), Splices()])
async def test_without_room_or_descriptors_all_goes_on(
    splices: Splices, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> tuple[int, int]:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pipe2", none)
    scratch = Scratch()
    scratch.splices = splices
    way = await joined(scratch)
    await way.pass_on(some(MANY))
    assert not splices.running
    assert way.descriptors == 2
    for one in (way.inside, way.outside):
        one.abort()
    way.near.close()
    way.far.close()


async def test_join_ends_after_both_directions() -> None:
    scratch = Scratch()
    way = await joined(scratch)
    both = asyncio.create_task(join(way.inside, way.outside, way.count))
    await way.pass_on(some(MANY))
    way.near.shutdown(socket.SHUT_WR)
    assert await way.receive(1) == b""
    assert not both.done()
    way.far.close()
    async with asyncio.timeout(PATIENCE_S):
        await both
    for one in (way.inside, way.outside):
        one.abort()
    way.near.close()
