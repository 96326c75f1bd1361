"""What one peer may take of a listener: each limit is reached, on real sockets.

The clock of a bucket is the test's, and fairness is counted in lines, so nothing here
depends on how fast the machine is.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from checks.kits.patience import PATIENCE_S
from pyglue.api import agent
from pyglue.api.common import PROTOCOL, HelloParams, HelloResult, NoParams, Role
from pyglue.api.messages import RecvParams, RecvResult, SendParams, SendResult
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import Connection, Handlers, Peer, Pool, Server, connect, serve
from pyglue.limits import AGENT_RPC, MIB, Bucket, RpcLimits

HELLO = HelloParams(protocol=PROTOCOL, client="test")
FREE = Bucket(burst=1e9, rate=1e9)
LIMITS = replace(AGENT_RPC, bucket=FREE, hello_s=PATIENCE_S)
BIG = "x" * MIB


class Service:
    """Counts what is handled, answers large, or waits until it may answer."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.handled: list[str] = []

    def session(
        self, connection: Connection, hello: HelloParams
    ) -> tuple[HelloResult, Handlers]:
        who = hello.client

        async def send(_params: SendParams) -> SendResult:
            self.handled.append(who)
            return SendResult(id=1, hop=0)

        async def recv(_params: RecvParams) -> RecvResult:
            await self.go.wait()
            return RecvResult(messages=())

        async def large(_params: NoParams) -> agent.WhoamiResult:
            self.handled.append(who)
            return agent.WhoamiResult(
                name="a",
                role=Role.AGENT,
                model="",
                manifest_sha256="",
                allowed_recipients=None,
                waiting=0,
                deployed_commit=None,
                description=BIG,
            )

        handlers = Handlers()
        handlers.on(agent.SEND, send)
        handlers.on(agent.RECV, recv)
        handlers.on(agent.WHOAMI, large)
        return HelloResult(protocol=PROTOCOL, role=Role.AGENT, server="t"), handlers


class Line:
    """A raw client: it writes what it likes and reads when it likes."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, *calls: tuple[str, object]) -> None:
        for number, (method, params) in enumerate(calls, start=1):
            call = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            self.writer.write(json.dumps(call).encode() + b"\n")
        await asyncio.sleep(0)

    async def hear(self) -> dict[str, object]:
        async with asyncio.timeout(PATIENCE_S):
            answer: dict[str, object] = json.loads(await self.reader.readline())
            return answer

    async def gone(self) -> bool:
        """Whether the other end closed, whatever it said before."""
        async with asyncio.timeout(PATIENCE_S):
            with suppress(ConnectionError):
                while await self.reader.read(65536):
                    pass
        return True

    async def hello(self, client: str = "noisy") -> None:
        await self.say(("hello", {"protocol": PROTOCOL, "client": client}))
        assert "result" in await self.hear()


async def line(server: Server) -> Line:
    return Line(*await asyncio.open_unix_connection(server.path, limit=64 * MIB))


async def until(server: Server, count: int) -> None:
    """Return when so many connections are open."""
    async with asyncio.timeout(PATIENCE_S):
        while len(server.connections) != count:
            await asyncio.sleep(0.001)


@pytest.fixture
def limits() -> RpcLimits:
    return LIMITS


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def server(
    tmp_path: Path, service: Service, limits: RpcLimits
) -> AsyncIterator[Server]:
    running = await serve(tmp_path / "s.sock", service.session, limits=limits)
    yield running
    running.close()


def peer(server: Server) -> Peer:
    (found,) = server._peers.values()
    return found


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


# --- memory ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "limits", [replace(LIMITS, outstanding=1000, outstanding_all=1000)]
)
async def test_who_reads_no_answers_is_not_read_from(
    server: Server, service: Service
) -> None:
    noisy = await line(server)
    await noisy.hello()
    for _ in range(100):
        await noisy.say(*[("whoami", {})] * 3)
    (connection,) = server.connections
    async with asyncio.timeout(PATIENCE_S):
        while connection._writable is None:
            await asyncio.sleep(0.001)
    await asyncio.sleep(0)
    assert connection._transport is not None
    assert not connection._transport.is_reading()
    handled = len(service.handled)
    assert handled <= 2 + LIMITS.lines_at_once
    assert connection.held() <= LIMITS.write_max
    await noisy.hear()  # it reads: and so is it


@pytest.mark.parametrize(
    "limits",
    [
        replace(LIMITS, write_max=3 * MIB),
        replace(LIMITS, bytes_all=3 * MIB),
    ],
)
async def test_who_holds_too_much_is_dropped(server: Server, service: Service) -> None:
    noisy, other = await line(server), await line(server)
    await noisy.hello()
    await other.hello()
    await noisy.say(*[("whoami", {})] * 30)
    await until(server, 1)
    assert peer(server).dropped == 1
    assert await noisy.gone()
    await other.say(("send", {"to": "a", "body": "x"}))
    assert "result" in await other.hear()


async def test_of_all_agents_the_one_that_holds_most_is_dropped(
    tmp_path: Path, service: Service
) -> None:
    pool = Pool(connections=100, bytes_max=6 * MIB)
    noisy, quiet = [
        await serve(tmp_path / name, service.session, limits=LIMITS, pool=pool)
        for name in ("noisy.sock", "quiet.sock")
    ]
    greedy, modest = await line(noisy), await line(quiet)
    await greedy.hello()
    await modest.hello()
    await modest.say(*[("whoami", {})] * 3)
    await asyncio.sleep(0)
    await greedy.say(*[("whoami", {})] * 30)
    await until(noisy, 0)
    assert len(quiet.connections) == 1
    for _ in range(3):
        assert "result" in await modest.hear()
    assert pool.bytes <= 6 * MIB
    noisy.close()
    quiet.close()


@pytest.mark.parametrize("limits", [replace(LIMITS, close_s=0.05)])
async def test_who_does_not_read_its_refusal_is_dropped(
    server: Server, service: Service
) -> None:
    noisy = await line(server)
    await noisy.hello()
    await noisy.say(*[("whoami", {})] * 3)
    async with asyncio.timeout(PATIENCE_S):
        while len(service.handled) < 3:
            await asyncio.sleep(0.001)
    noisy.writer.write_eof()  # half closed, with answers that it never reads
    await until(server, 0)


async def test_a_line_in_single_bytes_is_read_in_time(server: Server) -> None:
    one = await line(server)
    await one.hello()
    call = {"jsonrpc": "2.0", "id": 9, "method": "send"}
    text = json.dumps({**call, "params": {"to": "a", "body": "y" * 500}}) + "\n"
    for byte in text.encode():
        one.writer.write(bytes([byte]))
        await asyncio.sleep(0)
    assert (await one.hear())["id"] == 9


@pytest.mark.parametrize(
    "limits", [replace(LIMITS, outstanding=1000, outstanding_all=1000)]
)
async def test_what_is_said_before_it_closes_is_handled(
    server: Server, service: Service
) -> None:
    """A client may write much, close, and go: none of it is lost."""
    made = socket.socket(socket.AF_UNIX)
    made.connect(str(server.path))
    hello = {"protocol": PROTOCOL, "client": "t"}
    lines = [{"jsonrpc": "2.0", "id": 0, "method": "hello", "params": hello}]
    made.sendall(json.dumps(lines[0]).encode() + b"\n")
    await asyncio.get_running_loop().sock_recv(_nonblocking(made), 65536)
    for number in range(1, 200):
        call = {"jsonrpc": "2.0", "id": number, "method": "send"}
        text = json.dumps({**call, "params": {"to": "a", "body": "x"}})
        made.send(text.encode() + b"\n")
    made.shutdown(socket.SHUT_WR)
    async with asyncio.timeout(PATIENCE_S):
        while len(service.handled) < 199:
            await asyncio.sleep(0.001)
    made.close()


def _nonblocking(sock: socket.socket) -> socket.socket:
    sock.setblocking(False)
    return sock


async def test_a_client_reads_on_whatever_it_has_not_sent(
    server: Server, service: Service
) -> None:
    """hived is trusted: two ends that both wait for the other to read would hang."""
    connection = await connect(server.path, hello=HELLO)
    connection.pause_writing()
    result = await connection.call(agent.SEND, SendParams(to="a", body="x"), timeout=60)
    assert result.id == 1
    connection.close()


async def test_parameters_that_are_not_utf8_are_refused(server: Server) -> None:
    params = b'{"to":"\xff","body":"x"}'
    other = await line(server)
    await other.hello()
    for name in (b"$/cancel", b"unknown"):
        other.writer.write(b'{"method":"' + name + b'","params":' + params + b"}\n")
    other.writer.write(b'{"id":7,"method":"send","params":' + params + b"}\n")
    answer = await other.hear()
    assert answer["id"] == 7
    assert "Invalid request: " in str(answer["error"])
    await other.say(("whoami", {}))
    assert "result" in await other.hear()


async def test_a_refused_hello_may_be_said_again(server: Server) -> None:
    one = await line(server)
    await one.say(("send", {}))
    assert "unknown_method" in json.dumps(await one.hear())
    await one.hello()
    with pytest.raises(HiveError) as caught:
        await connect(server.path, hello=HelloParams(protocol=1, client="x"))
    assert caught.value.code is ErrorCode.UNSUPPORTED_PROTOCOL


@pytest.mark.parametrize("limits", [replace(LIMITS, connections=1)])
async def test_a_client_hears_why_it_was_turned_away(server: Server) -> None:
    await (await line(server)).hello()
    with pytest.raises(HiveError, match="already open here") as caught:
        await connect(server.path, hello=HELLO)
    assert caught.value.code is ErrorCode.TOO_MANY
