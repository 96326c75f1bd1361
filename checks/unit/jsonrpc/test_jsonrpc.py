"""The sockets between the hive's processes: framing, limits, refusals."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from checks.kits.api.events import raw
from checks.kits.patience import PATIENCE_S
from pyglue.api import agent, operator
from pyglue.api.common import PROTOCOL, HelloParams, HelloResult, NoParams, Role
from pyglue.api.events import Event, GapParams, SubscribeParams, SubscribeResult
from pyglue.api.messages import RecvParams, RecvResult, SendParams, SendResult
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import (
    Connection,
    Handlers,
    Server,
    SyncClient,
    connect,
    serve,
)
from pyglue.jsonrpc.wire import call_line
from pyglue.limits import AGENT_RPC

HELLO = HelloParams(protocol=PROTOCOL, client="test")
LIMITS = replace(AGENT_RPC, line=64 * 1024)
OUTSTANDING = LIMITS.outstanding


class Service:
    """A server whose recv parks until the test lets it go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.full = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.parked = 0

    def session(
        self, connection: Connection, hello: HelloParams
    ) -> tuple[HelloResult, Handlers]:
        handlers = Handlers()
        handlers.on(agent.SEND, self._send)
        handlers.on(agent.RECV, self._recv)
        handlers.on(agent.WHOAMI, self._broken)
        return HelloResult(protocol=PROTOCOL, role=Role.AGENT, server="t"), handlers

    async def _send(self, params: SendParams) -> SendResult:
        if params.to == "nobody":
            raise HiveError(
                ErrorCode.NOT_FOUND, "There is no such agent.", details={"known": ["a"]}
            )
        return SendResult(id=len(params.body), hop=0)

    async def _recv(self, params: RecvParams) -> RecvResult:
        self.parked += 1
        if self.parked == OUTSTANDING:
            self.full.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return RecvResult(messages=())

    async def _broken(self, params: NoParams) -> agent.WhoamiResult:
        raise RuntimeError("a secret of the host")


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def server(tmp_path: Path, service: Service) -> AsyncIterator[Server]:
    running = await serve(tmp_path / "s.sock", service.session, limits=LIMITS)
    yield running
    running.close()


async def test_call_answers_with_types(server: Server) -> None:
    connection = await connect(server.path, hello=HELLO)
    result = await connection.call(agent.SEND, SendParams(to="a", body="héllo"))
    assert result == SendResult(id=5, hop=0)
    assert isinstance(connection.hello, HelloResult)
    assert connection.hello.role is Role.AGENT
    connection.close()


async def test_refusal_keeps_code_sentence_and_details(server: Server) -> None:
    connection = await connect(server.path, hello=HELLO)
    with pytest.raises(HiveError) as caught:
        await connection.call(agent.SEND, SendParams(to="nobody", body="x"))
    assert caught.value.code is ErrorCode.NOT_FOUND
    assert caught.value.message == "There is no such agent."
    assert caught.value.details == {"known": ["a"]}
    connection.close()


async def test_internal_failure_says_nothing_of_the_host(server: Server) -> None:
    connection = await connect(server.path, hello=HELLO)
    with pytest.raises(HiveError) as caught:
        await connection.call(agent.WHOAMI, NoParams())
    assert caught.value.code is ErrorCode.INTERNAL
    assert "secret" not in caught.value.message
    connection.close()


async def test_other_protocol_is_refused(server: Server) -> None:
    with pytest.raises(HiveError) as caught:
        await connect(server.path, hello=HelloParams(protocol=99, client="test"))
    assert caught.value.code is ErrorCode.UNSUPPORTED_PROTOCOL


@pytest.mark.parametrize("body", [rb"caf\ud800", b"caf\xe9"])
async def test_text_that_is_none_is_named_and_the_connection_goes_on(
    server: Server, body: bytes
) -> None:
    reader, writer = await asyncio.open_unix_connection(server.path)
    begin = b'{"jsonrpc":"2.0","method":"send","params":{"to":"a","body":"'
    hello = {"protocol": PROTOCOL, "client": "t"}
    call = {"jsonrpc": "2.0", "id": 1, "method": "hello", "params": hello}
    writer.write(json.dumps(call).encode() + b"\n")
    await reader.readline()
    writer.write(begin + body + b'"},"id":2}\n' + begin + b'abc"},"id":3}\n')
    refused, sent = [json.loads(await reader.readline()) for _ in range(2)]
    assert refused["id"] == 2
    assert "surrogate pair" in refused["error"]["message"] or (
        "not UTF-8" in refused["error"]["message"]
    )
    assert (sent["id"], sent["result"]["id"]) == (3, 3)
    writer.close()


async def test_nothing_before_hello(server: Server) -> None:
    reader, writer = await asyncio.open_unix_connection(server.path)
    call = {"jsonrpc": "2.0", "id": 1, "method": "send", "params": {}}
    writer.write(json.dumps(call).encode() + b"\n")
    answer = json.loads(await reader.readline())
    assert answer["error"]["data"]["code"] == "unknown_method"
    writer.close()


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"to": "a"}, "body"),
        ({"to": "a", "body": 5}, "body"),
        ({"to": "a", "body": "x", "from": "operator"}, "from"),
        ({"to": "a", "body": "x", "priority": "urgent"}, "urgent"),
        ({"to": "a", "body": "x", "reply_to": 0}, "reply_to"),
    ],
)
async def test_bad_parameters_are_named(
    server: Server, params: dict[str, object], says: str
) -> None:
    reader, writer = await asyncio.open_unix_connection(server.path)
    hello = {"protocol": PROTOCOL, "client": "t"}
    for number, (method, values) in enumerate(
        (("hello", hello), ("send", params)), start=1
    ):
        call = {"jsonrpc": "2.0", "id": number, "method": method, "params": values}
        writer.write(json.dumps(call).encode() + b"\n")
        answer = json.loads(await reader.readline())
    assert answer["error"]["code"] == -32602
    assert says in answer["error"]["message"]
    writer.close()


@pytest.mark.parametrize("junk", [b"nonsense\n", b"[]\n", b'{"id":{}}\n', b"\xff\n"])
async def test_junk_ends_the_connection_with_a_sentence(
    server: Server, junk: bytes
) -> None:
    reader, writer = await asyncio.open_unix_connection(server.path)
    writer.write(junk)
    answer = json.loads(await reader.readline())
    assert answer["error"]["data"]["code"] == "bad_request"
    assert await reader.read() == b""
    writer.close()


async def test_a_line_that_is_too_long_ends_the_connection(server: Server) -> None:
    reader, writer = await asyncio.open_unix_connection(server.path)
    writer.write(b"x" * (LIMITS.line + 2))
    answer = json.loads(await reader.readline())
    assert answer["error"]["data"]["code"] == "too_large"
    assert await reader.read() == b""
    writer.close()


async def test_too_many_outstanding_are_refused(
    server: Server, service: Service
) -> None:
    connection = await connect(server.path, hello=HELLO)
    waiting = [
        asyncio.create_task(connection.call(agent.RECV, RecvParams(wait_seconds=100)))
        for _ in range(OUTSTANDING)
    ]
    await service.full.wait()
    with pytest.raises(HiveError) as caught:
        await connection.call(agent.SEND, SendParams(to="a", body="x"))
    assert caught.value.code is ErrorCode.TOO_MANY
    service.go.set()
    await asyncio.gather(*waiting)
    connection.close()


async def test_giving_up_cancels_on_the_other_side(
    server: Server, service: Service
) -> None:
    connection = await connect(server.path, hello=HELLO)
    with pytest.raises(HiveError) as caught:
        await connection.call(agent.RECV, RecvParams(wait_seconds=100), timeout=0.01)
    assert caught.value.code is ErrorCode.TIMEOUT
    async with asyncio.timeout(PATIENCE_S):
        await service.cancelled.wait()
    connection.close()


async def test_giving_up_holds_even_as_the_answer_comes(
    server: Server, service: Service
) -> None:
    connection = await connect(server.path, hello=HELLO)
    waiting = asyncio.create_task(
        connection.call(agent.RECV, RecvParams(wait_seconds=60), timeout=PATIENCE_S)
    )
    while not connection._waiting:
        await asyncio.sleep(0)
    (request,) = connection._waiting
    line = {"jsonrpc": "2.0", "id": request, "result": {"messages": []}}
    connection.data_received(json.dumps(line).encode() + b"\n")
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    connection.close()
    service.go.set()


async def test_a_lost_connection_fails_what_waits(
    server: Server, service: Service
) -> None:
    connection = await connect(server.path, hello=HELLO)
    call = asyncio.create_task(
        connection.call(agent.RECV, RecvParams(wait_seconds=100))
    )
    await connection.call(agent.SEND, SendParams(to="a", body="x"))
    server.close()
    with pytest.raises(HiveError) as caught:
        await call
    assert caught.value.code is ErrorCode.UNAVAILABLE


async def test_nobody_listening_is_said(tmp_path: Path) -> None:
    with pytest.raises(HiveError) as caught:
        await connect(tmp_path / "none.sock", hello=HELLO)
    assert caught.value.code is ErrorCode.UNAVAILABLE
    assert "Is the hive running?" in caught.value.message


async def test_paths_longer_than_a_socket_name_work(tmp_path: Path) -> None:
    room = tmp_path / ("d" * 100) / ("e" * 100)
    room.mkdir(parents=True)
    running = await serve(room / "s.sock", Service().session)
    connection = await connect(room / "s.sock", hello=HELLO)
    params = SendParams(to="a", body="x")
    assert (await connection.call(agent.SEND, params)).id == 1
    connection.close()
    running.close()


async def test_a_dead_socket_is_replaced_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    running = await serve(path, Service().session, mode=0o660)
    assert path.stat().st_mode & 0o777 == 0o660
    running.close()


async def test_sync_client_calls_and_follows_events(tmp_path: Path) -> None:
    def session(
        connection: Connection, hello: HelloParams
    ) -> tuple[HelloResult, Handlers]:
        async def subscribe(
            params: SubscribeParams,
        ) -> SubscribeResult:
            event = Event(seq=1, at=0.0, kind="a.b", agent=None, data=raw({}))
            connection.notify(operator.EVENT, event)
            connection.notify(operator.GAP, GapParams(seq=2, reason="slow"))
            return SubscribeResult(seq=2)

        handlers = Handlers()
        handlers.on(operator.SUBSCRIBE, subscribe)
        hello_result = HelloResult(
            protocol=PROTOCOL, role=Role.OPERATOR, server=str(hello.session)
        )
        return hello_result, handlers

    running = await serve(tmp_path / "s.sock", session)

    def use() -> list[object]:
        client = SyncClient(running.path, client="t", session="token")
        assert client.hello.server == "token"
        client.call(operator.SUBSCRIBE, SubscribeParams())
        notes = client.notes()
        seen: list[object] = [next(notes), next(notes)]
        threading.Timer(0, client.close).start()
        seen += list(notes)
        return seen

    seen = await asyncio.to_thread(use)
    assert [type(note) for note in seen] == [Event, GapParams]
    running.close()


async def test_who_connects_while_the_server_closes_is_dropped(tmp_path: Path) -> None:
    """It is accepted, but asyncio has not told its connection so yet."""
    path = tmp_path / "s.sock"
    server = await serve(path, Service().session)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(call_line(1, "hello", HELLO))
        while not server.connections:
            await asyncio.sleep(0)
        (connection,) = server.connections
        server.close()
        async with asyncio.timeout(PATIENCE_S):
            await connection.wait_closed()
    assert not server.connections
