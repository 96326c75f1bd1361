"""Listening sockets on their way from hived to a daemon, with real sockets."""

import asyncio
import logging
import os
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from checks.kits.patience import PATIENCE_S
from pyglue.handover.give import Giver
from pyglue.handover.share import connections_each
from pyglue.handover.take import take
from pyglue.jsonrpc import bind_unix
from pyglue.limits import RELAY_CHANNELS


@dataclass
class Taker:
    """A daemon that takes sockets; the one called ``bad`` it cannot serve."""

    path: Path
    got: asyncio.Queue[tuple[str, socket.socket]] = field(default_factory=asyncio.Queue)

    async def serve(self, agent: str, listener: socket.socket) -> None:
        if agent == "bad":
            raise OSError("no room for it")
        await self.got.put((agent, listener))

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Taker"]:
        task = asyncio.create_task(take(self.path, self.serve))
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            while not self.got.empty():
                self.got.get_nowait()[1].close()

    async def next(self, agent: str) -> socket.socket:
        """Return the socket that comes next, which must be this agent's."""
        async with asyncio.timeout(PATIENCE_S):
            name, listener = await self.got.get()
        assert name == agent
        return listener


@pytest.fixture
async def giver(tmp_path: Path) -> AsyncIterator[Giver]:
    giver = Giver(path=tmp_path / "fds.sock", mode=0o600, gid=None)
    giver.open()
    yield giver
    giver.close()


async def reached(path: Path, listener: socket.socket) -> None:
    """Show that who connects to ``path`` is accepted on ``listener``."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)
        await loop.sock_connect(client, str(path))
        accepted, _ = await loop.sock_accept(listener)
        with accepted:
            await loop.sock_sendall(client, b"hello")
            assert await loop.sock_recv(accepted, 10) == b"hello"


async def test_each_taker_gets_each_socket_also_later_ones(
    giver: Giver, tmp_path: Path
) -> None:
    giver.add("alice", tmp_path / "alice.sock", gid=None)
    async with Taker(giver.path).running() as one, Taker(giver.path).running() as two:
        for taker in (one, two):
            with await taker.next("alice") as listener:
                assert not os.get_inheritable(listener.fileno())
                await reached(tmp_path / "alice.sock", listener)
        giver.add("bob", tmp_path / "bob.sock", gid=None)
        for taker in (one, two):
            with await taker.next("bob") as listener:
                await reached(tmp_path / "bob.sock", listener)


async def test_who_connects_while_no_daemon_runs_is_accepted_by_the_next(
    giver: Giver, tmp_path: Path
) -> None:
    giver.add("alice", tmp_path / "alice.sock", gid=None)
    loop = asyncio.get_running_loop()
    async with Taker(giver.path).running() as first:
        (await first.next("alice")).close()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "alice.sock"))
        client.sendall(b"early")
        async with Taker(giver.path).running() as second:
            with await second.next("alice") as listener:
                accepted, _ = await loop.sock_accept(listener)
                with accepted:
                    assert await loop.sock_recv(accepted, 10) == b"early"


async def test_a_removed_agents_socket_is_not_handed_over(
    giver: Giver, tmp_path: Path
) -> None:
    for name in ("alice", "bob"):
        giver.add(name, tmp_path / f"{name}.sock", gid=None)
    giver.remove("alice")
    assert not giver.has("alice") and giver.has("bob")
    async with Taker(giver.path).running() as taker:
        (await taker.next("bob")).close()
        assert taker.got.empty()
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(ConnectionRefusedError):
        client.connect(str(tmp_path / "alice.sock"))


async def test_one_taker_too_many_is_disconnected(giver: Giver, tmp_path: Path) -> None:
    giver.add("alice", tmp_path / "alice.sock", gid=None)
    takers = [Taker(giver.path) for _ in range(RELAY_CHANNELS)]
    tasks = [asyncio.create_task(take(taker.path, taker.serve)) for taker in takers]
    for taker in takers:
        (await taker.next("alice")).close()
    surplus = Taker(giver.path)
    await take(surplus.path, surplus.serve)  # it returns: hived has closed the channel
    assert surplus.got.empty()
    # A place that is free again is anybody's.
    tasks[0].cancel()
    await asyncio.gather(tasks[0], return_exceptions=True)
    async with Taker(giver.path).running() as next_one:
        (await next_one.next("alice")).close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_one_that_cannot_be_served_does_not_stop_the_next(
    giver: Giver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("bad", "bob"):
        giver.add(name, tmp_path / f"{name}.sock", gid=None)
    with caplog.at_level(logging.WARNING):
        async with Taker(giver.path).running() as taker:
            (await taker.next("bob")).close()
    assert "cannot serve the socket of bad: no room for it" in caplog.text


@pytest.mark.parametrize(
    ("datagram", "count"),
    [
        (b"{}", 1),
        (b"no JSON", 1),
        (b'{"agent":"%b"}' % (b"a" * 65), 1),
        (b'{"agent":"bob"}', 0),
        (b'{"agent":"bob"}', 2),
    ],
)
async def test_another_datagram_is_dropped_with_its_descriptors(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    datagram: bytes,
    count: int,
) -> None:
    path = tmp_path / "fds.sock"
    loop = asyncio.get_running_loop()
    server = bind_unix(path, mode=0o600, gid=None, kind=socket.SOCK_SEQPACKET)
    with server, socket.socket(socket.AF_UNIX) as right:
        async with Taker(path).running() as taker:
            channel, _ = await loop.sock_accept(server)
            with channel:
                ours, theirs = os.pipe()
                socket.send_fds(channel, [datagram], [theirs] * count)
                os.close(theirs)
                socket.send_fds(channel, [b'{"agent":"alice"}'], [right.fileno()])
                (await taker.next("alice")).close()
                assert taker.got.empty()
                assert os.read(ours, 1) == b""  # nobody has the other end
                os.close(ours)
    assert "Invalid datagram from hived" in caplog.text


async def test_without_hived_there_is_nothing_to_take(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    taker = Taker(tmp_path / "missing.sock")
    await take(taker.path, taker.serve)
    assert "could not get sockets from hived" in caplog.text


def test_connections_are_shared_by_all_agents() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert connections_each(0, most=3, reserved=0) == 3
    assert connections_each(1, most=soft, reserved=0) == soft // 3
    assert connections_each(10, most=soft, reserved=soft - 300) == 10
    # However many agents there are, and however few descriptors: each has two.
    assert connections_each(soft, most=100, reserved=0) == 2
    assert connections_each(1, most=100, reserved=2 * soft) == 2
