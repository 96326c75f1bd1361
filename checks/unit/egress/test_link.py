"""hive-egress and hived: pausing, changed policies, restarts, and what is reported."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from checks.kits.egress import (
    Outside,
    Streams,
    connect_to,
    egressing,
    hub_of,
    site,
)
from checks.kits.patience import PATIENCE_S
from pyglue.api.common import PROTOCOL, HelloParams
from pyglue.api.control import PauseParams
from pyglue.api.egress import RECORDS_MAX
from pyglue.config import Ids
from pyglue.egress.traffic import OTHERS, Traffic
from pyglue.errors import HiveError
from pyglue.hosts import Host
from pyglue.jsonrpc import Handlers, connect
from pyglue.limits import EgressLimits

pytestmark = pytest.mark.asyncio

NAMES = {"forge.test": "127.0.0.1"}


async def wait(_head: bytes, streams: Streams) -> None:
    """Answer nothing until the other side leaves."""
    await streams[0].read()


@pytest_asyncio.fixture
async def outside(tmp_path: Path) -> AsyncIterator[Outside]:
    """hive-egress; ``forge.test`` is on loopback."""
    (tmp_path / "kit").mkdir()
    async with egressing(tmp_path, names=NAMES, connections=3) as made:
        yield made


async def tunnel(outside: Outside, port: int) -> Streams:
    """Open a tunnel."""
    streams = await outside.ask(connect_to(f"forge.test:{port}"))
    async with asyncio.timeout(PATIENCE_S):
        assert b" 200 " in await streams[0].readuntil(b"\r\n\r\n")
    return streams


async def ends(streams: Streams) -> None:
    """Wait until a connection is cut."""
    async with asyncio.timeout(PATIENCE_S):
        with contextlib.suppress(ConnectionError):
            assert await streams[0].read() == b""
    streams[1].close()


@pytest.mark.parametrize("everyone", [True, False])
async def test_a_pause_cuts_it_off_until_the_agent_is_resumed(
    outside: Outside, everyone: bool
) -> None:
    """As it cuts the model off."""
    controls = outside.kit.controls
    async with site(wait) as there:
        await outside.allow(f"forge.test:{there.port}")
        open_one = await tunnel(outside, there.port)
        if everyone:
            await controls.pause_all("fire", "op")
        else:
            pause = PauseParams(agent="alice", cancel=True)
            await controls.pause(pause, "op")
        await ends(open_one)
        said = await outside.say(connect_to(f"forge.test:{there.port}"))
        assert said.startswith(b"HTTP/1.1 503 "), said
        assert b"paused" in said


async def test_a_host_that_is_taken_away_is_refused(outside: Outside) -> None:
    """From the next connection on; without any host there is no socket."""
    async with site() as there:
        await outside.allow(f"forge.test:{there.port}", "other.test")
        (await tunnel(outside, there.port))[1].close()
        await outside.allow("other.test")
        assert b" 403 " in await outside.connect(f"forge.test:{there.port}")
        open_one = await outside.ask(b"")
        outside.hub.add(outside.agent, outside.kit.registry.get("alice").policy())
        outside.hub.remove("alice")
        await ends(open_one)
        assert not outside.socket.exists()


async def test_connections_wait_for_their_turn(outside: Outside) -> None:
    """No more at once than an agent may have; the next comes when one ends."""
    async with site(wait) as there:
        await outside.allow(f"forge.test:{there.port}")
        held = [await tunnel(outside, there.port) for _ in range(3)]
        late = await outside.ask(connect_to(f"forge.test:{there.port}"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await late[0].read(1)
        held[0][1].close()
        async with asyncio.timeout(PATIENCE_S):
            assert b" 200 " in await late[0].readuntil(b"\r\n\r\n")
        for streams in (*held[1:], late):
            streams[1].close()


@pytest.mark.parametrize("limit", ["idle_s", "head_s"])
async def test_who_says_nothing_is_disconnected(tmp_path: Path, limit: str) -> None:
    """Before a request, and in a tunnel in which nothing passes."""
    (tmp_path / "kit").mkdir()
    numbers: dict[str, Any] = {limit: 0.1}
    async with (
        egressing(tmp_path, names=NAMES, **numbers) as outside,
        site(wait) as there,
    ):
        await outside.allow(f"forge.test:{there.port}")
        if limit == "idle_s":
            await ends(await tunnel(outside, there.port))
        else:
            await ends(await outside.ask(b"CONNECT forge.test:1 HTTP/1.1\r\n"))


async def test_without_hived_nothing_new_is_connected(outside: Outside) -> None:
    """Nobody could pause it; what is connected goes on, and it comes back."""
    async with site(wait) as there:
        target = f"forge.test:{there.port}"
        await outside.allow(target)
        held = await tunnel(outside, there.port)
        outside.hub.close()
        async with asyncio.timeout(PATIENCE_S):
            while b" 503 " not in (said := await outside.connect(target)):
                pass
        assert b"hived is not connected" in said
        outside.hub = hub_of(outside.kit, outside.hub.config)
        await outside.hub.open()
        await outside.allow(target)
        (await tunnel(outside, there.port))[1].close()
        held[1].write(b"x" * 10 + b"\r\n\r\n")
        await held[1].drain()
        assert not held[0].at_eof()
        held[1].close()


async def test_another_user_is_not_hive_egress(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hello is refused, whoever it claims to be."""
    ids = Ids(agent=101, web=102, relay=103, egress=105)
    config = msgspec.structs.replace(outside.hub.config, ids=ids)
    monkeypatch.setattr(outside.hub, "config", config)
    monkeypatch.setattr(outside.hub, "_daemon", outside.hub.daemon())
    monkeypatch.setattr(os, "geteuid", lambda: 1)
    hello = HelloParams(protocol=PROTOCOL, client="hive-egress")
    with pytest.raises(HiveError, match="not hive-egress"):
        await connect(outside.hub.config.layout.egress_socket, Handlers(), hello=hello)


async def test_repeated_connections_are_one_report_and_many_hosts_are_bounded() -> None:
    """However an agent tries, hived gets so many records in a time."""
    traffic = Traffic(EgressLimits(hosts=5, fold_s=3600.0))
    for number in range(100):
        traffic.connected("alice", Host(f"h{number}.test", 443), "No.")
        traffic.connected("alice", Host("h0.test", 443), "No.")
    traffic.passed("alice", Host("x.test", 443), sent=1, received=2)
    first = traffic.take()
    assert len(first) == 7 < RECORDS_MAX
    assert first[0].host == "h0.test" and first[0].connections == 101
    assert sum(one.connections for one in first) == 200
    assert [one.host for one in first].count(OTHERS) == 2
    traffic.connected("alice", Host("h0.test", 443), "No.")
    assert traffic.take() == ()  # until it is due again
    traffic.give_back(first)
    assert traffic.take() == ()
