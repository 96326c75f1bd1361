"""hive-egress and hived: pauses, changed policies, restarts, and reports."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from checks.kits.egress.bench import (
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
from pyglue.api.egress import RECORDS_MAX, EgressPolicy, HostRecord, ReportParams
from pyglue.config import Ids, Quotas
from pyglue.egress.traffic import OTHERS, Traffic
from pyglue.errors import HiveError
from pyglue.jsonrpc import Handlers, connect
from pyglue.limits import MIB, EgressLimits
from pyglue.net.hosts import Host
from pyglue.store.quotas import DAY_S

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


async def pours(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send two MiB, and wait until the other side leaves."""
    with contextlib.suppress(ConnectionError):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(bytes(2 * MIB))
        await writer.drain()
        await reader.read()
    writer.close()


async def test_a_used_up_quota_cuts_and_refuses_until_the_next_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a connection that does not end by itself, and after a restart of hived."""
    (tmp_path / "kit").mkdir()
    server = await asyncio.start_server(pours, "127.0.0.1", 0)
    target = f"forge.test:{server.sockets[0].getsockname()[1]}"
    quota = Quotas(egress_mib_per_day=1)
    async with egressing(tmp_path, names=NAMES, quotas=quota) as outside, server:
        await outside.allow(target)
        streams = await outside.ask(connect_to(target) + b"\r\n\r\n")
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(ConnectionError):
                await streams[0].read()  # all of it, until it is cut
        streams[1].close()

        said = await outside.say(connect_to(target))
        assert said.startswith(b"HTTP/1.1 429 "), said
        assert b"alice has reached its limit of 1 MiB of traffic with hosts" in said
        used = await outside.reported(lambda one: one.refused is not None)
        assert "its limit of 1 MiB" in str(used.refused) and used.connections == 1

        outside.hub.close()
        outside.hub = hub_of(outside.kit, outside.hub.config)
        await outside.hub.open()
        await outside.allow(target)
        assert b" 429 " in await outside.connect(target)

        monkeypatch.setattr(time, "time", partial(later, time.time))
        assert b" 200 " in await outside.connect(target)


def later(now: Callable[[], float]) -> float:
    """Return the time of tomorrow."""
    return now() + DAY_S


async def test_below_the_quota_nothing_is_refused(tmp_path: Path) -> None:
    """Every agent has its own; without one, nothing is counted."""
    (tmp_path / "kit").mkdir()
    async with egressing(tmp_path, quotas=Quotas(egress_mib_per_day=1)) as outside:
        hub, agents = outside.hub, outside.kit.registry
        bob = await outside.kit.agent("bob", hosts=["forge.test"])

        async def moves(agent: str, amount: int) -> None:
            record = HostRecord(agent=agent, host="x.test", port=443, received=amount)
            await hub._report(ReportParams(records=(record,)))

        await moves("alice", MIB - 1)
        assert hub.policy(outside.agent, outside.agent.policy()).used_up is None
        await moves("alice", 1)
        assert hub.policy(outside.agent, outside.agent.policy()).used_up is not None
        await moves("bob", MIB - 1)
        assert hub.policy(bob, agents.get("bob").policy()).used_up is None
        hub.config = msgspec.structs.replace(
            hub.config, quotas=Quotas(egress_mib_per_day=None)
        )
        await moves("bob", 10 * MIB)
        assert hub.policy(bob, agents.get("bob").policy()).used_up is None


async def test_a_report_sends_a_policy_only_if_it_changes_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of an agent that is gone by now, whose bytes count for nobody."""
    (tmp_path / "kit").mkdir()
    async with egressing(tmp_path, quotas=Quotas(egress_mib_per_day=1)) as outside:
        await outside.allow("forge.test")
        sent: list[EgressPolicy] = []
        (connection,) = outside.hub._connections
        monkeypatch.setattr(connection, "notify", lambda _, note: sent.append(note))

        async def moves(agent: str, amount: int) -> None:
            record = HostRecord(agent=agent, host="x.test", port=443, received=amount)
            await outside.hub._report(ReportParams(records=(record,)))

        for _ in range(3):
            await moves("alice", 1)
        await moves("gone", 2 * MIB)
        await moves("alice", MIB)
        assert [one.used_up is not None for one in sent] == [True]
        rows = await outside.kit.store.read(
            lambda reader: reader.execute("SELECT agent FROM quota").fetchall()
        )
        assert rows == [("alice",)]


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
