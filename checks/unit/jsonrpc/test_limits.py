"""Limits of one peer at a listener: each is reached, on real sockets.

The clock of a bucket is the test's, and fairness is counted in lines, so nothing here
depends on how fast the machine is.
"""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from checks.kits.jsonrpc.listener import LIMITS, Service, line, peer, until
from checks.kits.patience import PATIENCE_S
from pyglue.api.common import HelloParams
from pyglue.jsonrpc import Connection, Peer, Pool, Server, serve
from pyglue.limits import MIB, Bucket, RpcLimits

# --- connections ----------------------------------------------------------------------


@pytest.mark.parametrize("limits", [replace(LIMITS, connections=3)])
async def test_one_connection_too_many_is_told_so(server: Server) -> None:
    held = [await line(server) for _ in range(3)]
    await until(server, 3)
    refused = await line(server)
    answer = await refused.hear()
    assert "3 connections are already open here" in json.dumps(answer)
    assert await refused.gone()
    held[0].writer.close()
    await until(server, 2)
    await (await line(server)).hello()


async def test_all_agents_together_have_so_many_connections(
    tmp_path: Path, service: Service
) -> None:
    pool = Pool(connections=3, bytes_max=MIB)
    one, other = [
        await serve(tmp_path / name, service.session, limits=LIMITS, pool=pool)
        for name in ("a.sock", "b.sock")
    ]
    lines = [await line(one), await line(one), await line(other)]
    for greeted in lines:
        await greeted.hello()
    assert "already open here" in json.dumps(await (await line(other)).hear())
    one.close()
    await until(one, 0)
    assert pool.connections == 1
    await (await line(other)).hello()
    other.close()


@pytest.mark.parametrize("limits", [replace(LIMITS, hello_s=0.05)])
async def test_who_says_no_hello_is_dropped(server: Server) -> None:
    greeted = await line(server)
    await greeted.hello()
    silent = await line(server)
    assert await silent.gone()
    slow = await line(server)
    slow.writer.write(b'{"jsonrpc')
    assert await slow.gone()
    await greeted.say(("send", {"to": "a", "body": "x"}))
    assert "result" in await greeted.hear()  # an idle one that was greeted stays


async def test_connections_are_taken_no_faster_than_a_peer_may_work(
    tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = replace(LIMITS, bucket=Bucket(burst=12, rate=1e-6, accept=5.0))
    running = await serve(tmp_path / "s.sock", service.session, limits=slow)
    lines = [await line(running) for _ in range(6)]
    await until(running, 3)  # 15 units: no more are read of this peer
    assert running._wake is not None
    running._gate.charge(-100)  # time goes by
    running._resume()
    await until(running, len(lines))
    running.close()


async def test_without_descriptors_it_rests_and_says_so_once(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Full:
        def fileno(self) -> int:
            return sock.fileno()

        def close(self) -> None:
            sock.close()

        def accept(self) -> None:
            raise OSError(24, "Too many open files")

    sock = server._sock
    monkeypatch.setattr(server, "_sock", Full())
    for _ in range(3):
        server._accept()
        assert server._wake is not None
        server._resume()
    said = [record.message for record in caplog.records]
    assert said == ["s.sock cannot accept connections: Too many open files"]


# --- work -----------------------------------------------------------------------------


def clocked(limits: RpcLimits = LIMITS) -> tuple[Peer, list[float]]:
    now = [0.0]
    return Peer(limits, clock=lambda: now[0]), now


def test_a_bucket_lets_a_burst_through_then_its_rate() -> None:
    made, now = clocked(replace(LIMITS, bucket=Bucket(burst=10, rate=2)))
    made.charge(10)
    assert made.wait() == 0
    made.charge(6)
    assert made.wait() == pytest.approx(3.1)
    now[0] = 2.9
    assert made.wait() > 0
    now[0] = 3.0
    assert made.wait() == 0
    now[0] = 1000.0
    made.wait()
    made.charge(11)
    assert made.wait() > 0  # it saved up no more than the burst


def test_size_and_refusals_cost_more() -> None:
    made, _ = clocked(replace(LIMITS, bucket=Bucket(burst=64, rate=1)))
    made.charge(0, MIB)
    assert made.wait() == 0
    made.refuse()
    assert made.wait() == pytest.approx(10.1)
    assert made.refused == 1


@pytest.mark.parametrize(
    "limits", [replace(LIMITS, bucket=Bucket(burst=40, rate=1e-6))]
)
async def test_who_used_up_its_units_is_not_read_from(
    server: Server, service: Service
) -> None:
    noisy = await line(server)
    await noisy.hello()
    for _ in range(200):
        await noisy.say(("nonsense", {}))
    async with asyncio.timeout(PATIENCE_S):
        while peer(server).wait() == 0:
            await asyncio.sleep(0.001)
    (connection,) = server.connections
    transport = connection._transport
    assert transport is not None and not transport.is_reading()
    assert peer(server).refused < 10
    async with asyncio.timeout(PATIENCE_S):
        while peer(server).refused < 200:
            peer(server).charge(-1e6)  # time goes by
            connection._go_on()
            await asyncio.sleep(0.001)


async def test_a_flood_waits_its_turn(server: Server, service: Service) -> None:
    """However many lines one has sent, others come after a few of them."""
    noisy, quiet = await line(server), await line(server)
    await noisy.hello("noisy")
    await quiet.hello("quiet")
    flood = [
        connection for connection in server.connections if _is(connection, "noisy")
    ]
    call: dict[str, object]
    call = {"jsonrpc": "2.0", "method": "send", "params": {"to": "a", "body": "x"}}
    many = (json.dumps({**call, "id": one}).encode() + b"\n" for one in range(20_000))
    call["id"] = 1
    quiet.writer.write(json.dumps(call).encode() + b"\n")
    flood[0].data_received(b"".join(many))  # as if all of it came at once
    await quiet.hear()
    at = service.handled.index("quiet")
    assert at <= 4 * LIMITS.lines_at_once
    noisy.writer.close()


async def test_the_operator_is_answered_in_a_few_turns_of_the_loop(
    tmp_path: Path, service: Service
) -> None:
    """From connecting on, whatever two agents have sent on all their connections.

    A turn is bounded by the lines that it handles, so the deadline is one in lines.
    """
    turns_max, sent = 40, 2000
    loop, turns = asyncio.get_running_loop(), 0
    agents = [
        await serve(tmp_path / f"{name}.sock", service.session, limits=LIMITS)
        for name in ("alice", "bob")
    ]
    operators = await serve(tmp_path / "operator.sock", Service().session)
    floods = [await line(one) for one in agents for _ in range(LIMITS.connections)]
    for one in floods:
        await one.hello()
    call = {"jsonrpc": "2.0", "method": "send", "params": {"to": "a", "body": "x"}}
    many = (json.dumps({**call, "id": one}).encode() + b"\n" for one in range(sent))
    lines = b"".join(many)

    def turn() -> None:
        nonlocal turns
        turns += 1
        loop.call_soon(turn)

    for connection in [one for server in agents for one in server.connections]:
        loop.call_soon(connection.data_received, lines)
    loop.call_soon(turn)
    operator = await line(operators)
    await operator.hello("hive")
    await operator.say(("send", {"to": "a", "body": "stop"}))
    assert "result" in await operator.hear()
    handled = len(service.handled) + sum(peer(one).refused for one in agents)
    assert turns <= turns_max
    assert 0 < handled <= turns_max * len(floods) * LIMITS.lines_at_once
    assert handled < len(floods) * sent  # the flood was not over
    for server in (*agents, operators):
        server.close()


def _is(connection: Connection, client: str) -> bool:
    return (
        isinstance(connection.hello, HelloParams) and connection.hello.client == client
    )


@pytest.mark.parametrize("limits", [replace(LIMITS, outstanding=4, outstanding_all=6)])
async def test_calls_of_all_connections_count_together(
    server: Server, service: Service
) -> None:
    lines = [await line(server) for _ in range(2)]
    for one in lines:
        await one.hello()
        await one.say(*[("recv", {})] * 4)
    for _ in range(2):
        refused = await lines[1].hear()
        assert "6 requests are outstanding" in json.dumps(refused)
    service.go.set()
    for one, count in zip(lines, (4, 2), strict=True):
        assert ["result" in await one.hear() for _ in range(count)] == [True] * count
    async with asyncio.timeout(PATIENCE_S):
        while peer(server).running:
            await asyncio.sleep(0.001)
