"""A listener's memory for its peers, and whom it disconnects; on real sockets."""

import asyncio
import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from checks.kits.jsonrpc.listener import HELLO, LIMITS, Service, line, peer, until
from checks.kits.patience import PATIENCE_S
from pyglue.api import agent
from pyglue.api.common import PROTOCOL, HelloParams
from pyglue.api.messages import SendParams
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import Pool, Server, connect, serve
from pyglue.limits import MIB

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
    result = await connection.call(
        agent.SEND, SendParams(to="a", body="x"), timeout=PATIENCE_S
    )
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
