"""Plain HTTP in a tunnel: every request must be for the tunnel's host."""

import asyncio
import http.client
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from checks.kits.egress.bench import Outside, Site, Streams, connect_to, egressing, site
from checks.kits.patience import PATIENCE_S
from pyglue.egress import tunnel
from pyglue.harness.link.tunnel import Tunnel

pytestmark = pytest.mark.asyncio

NAMES = {"forge.test": "127.0.0.1", "other.test": "127.0.0.1"}
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello\n"


@pytest_asyncio.fixture
async def outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Outside]:
    """hive-egress, to which every port is one of HTTP."""
    monkeypatch.setattr(tunnel, "HTTP_PORTS", range(65536))
    (tmp_path / "kit").mkdir()
    async with egressing(tmp_path, names=NAMES) as made:
        yield made


@pytest_asyncio.fixture
async def there(outside: Outside) -> AsyncIterator[Site]:
    """A host that answers request after request, and that alice may reach."""

    async def keeps(head: bytes, streams: Streams) -> None:
        reader, writer = streams
        while True:
            if b"content-length: 3" in head.lower():
                assert await reader.readexactly(3) == b"abc"
            writer.write(OK)
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            made.heads.append(head)

    async with site(keeps) as made:
        await outside.allow(f"forge.test:{made.port}")
        yield made


async def opened(outside: Outside, there: Site, data: bytes = b"") -> Streams:
    """Open a tunnel to the host, and send something with it."""
    streams = await outside.ask(connect_to(f"forge.test:{there.port}") + data)
    async with asyncio.timeout(PATIENCE_S):
        assert b" 200 " in await streams[0].readuntil(b"\r\n\r\n")
    return streams


def get(
    there: Site, path: str = "/", more: str = "", host: str = "forge.test"
) -> bytes:
    """Return a request."""
    port = there.port
    return f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{more}\r\n".encode()


async def rest(streams: Streams) -> bytes:
    """Return all that comes until the end."""
    async with asyncio.timeout(PATIENCE_S):
        found = await streams[0].read()
    streams[1].close()
    return found


# --- carried --------------------------------------------------------------------------


async def test_a_tunnel_carries_request_after_request(
    outside: Outside, there: Site
) -> None:
    """Over one connection to the host, whether they come one by one or all at once."""
    streams = await opened(outside, there)
    reader, writer = streams
    async with asyncio.timeout(PATIENCE_S):
        writer.write(get(there, "/1", "X-Mine: 1\r\n"))
        assert (await reader.readuntil(b"hello\n")).startswith(b"HTTP/1.1 200 ")
        writer.write(get(there, f"http://forge.test:{there.port}/2?a"))
        first = await reader.readuntil(b"hello\n")
        assert b"connection" not in first.lower()
        post = get(there, "/3", "Content-Length: 3\r\n").replace(b"GET", b"POST")
        writer.write(post + b"abc" + get(there, "/4") + get(there, "/5")[:20])
        await reader.readuntil(b"hello\n")
        await reader.readuntil(b"hello\n")
        writer.write(get(there, "/5", "Connection: close\r\n")[20:])
    assert (await rest(streams)).endswith(b"hello\n")
    paths = [head.split()[1] for head in there.heads]
    assert paths == [b"/1", b"/2?a", b"/3", b"/4", b"/5"]
    assert there.connections == 1
    assert b"x-mine: 1" in there.heads[0].lower()
    used = await outside.reported(lambda one: one.received > 0)
    assert (used.connections, used.refused) == (1, None)


async def test_a_client_of_its_own_is_served(outside: Outside, there: Site) -> None:
    """Through the harness's port, as Python's http.client asks for it."""

    def ask(port: int) -> list[bytes]:
        made = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        made.set_tunnel("forge.test", there.port)
        found = []
        for path in ("/a", "/b"):
            made.request("GET", path)
            found.append(made.getresponse().read())
        made.close()
        return found

    async with Tunnel(outside.socket) as port:
        proxy = port.environment["HTTP_PROXY"].rpartition(":")[2]
        assert await asyncio.to_thread(ask, int(proxy)) == [b"hello\n"] * 2
    assert there.connections == 1


async def test_a_host_that_ends_its_connection_ends_the_tunnel(
    outside: Outside, tmp_path: Path
) -> None:
    """The agent is told, if the host says so; a body without a length has an end."""

    async def until_end(head: bytes, streams: Streams) -> None:
        if b"/told" in head:
            streams[1].write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello\n")
        else:
            streams[1].write(OK)
        await streams[1].drain()

    async with site(until_end) as there:
        await outside.allow(f"forge.test:{there.port}")
        told = await rest(await opened(outside, there, get(there, "/told")))
        assert b"connection: close" in told.lower() and b"hello\n" in told
        assert told.endswith(b"0\r\n\r\n")
        assert (await rest(await opened(outside, there, get(there)))).endswith(OK[-6:])


async def test_a_websocket_is_carried(outside: Outside) -> None:
    """Once the host has agreed to it, its bytes pass as they are."""

    async def switch(head: bytes, streams: Streams) -> None:
        assert b"upgrade: websocket" in head.lower()
        streams[1].write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\nhi"
        )
        streams[1].write(await streams[0].readexactly(4))
        await streams[1].drain()

    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n"
    async with site(switch) as there:
        await outside.allow(f"forge.test:{there.port}")
        streams = await opened(outside, there, get(there, "/ws", upgrade))
        async with asyncio.timeout(PATIENCE_S):
            head = await streams[0].readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101 ")
            assert b"upgrade: websocket" in head.lower()
            assert b"sec-websocket-accept: x" in head.lower()
            assert await streams[0].readexactly(2) == b"hi"
            streams[1].write(b"\x81\x02ab")
        assert await rest(streams) == b"\x81\x02ab"


async def test_another_protocol_is_not_asked_for(outside: Outside, there: Site) -> None:
    """HTTP/2 could name any host; the request goes on without the question."""
    upgrade = "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    upgrade += "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
    streams = await opened(outside, there, get(there, "/", upgrade))
    async with asyncio.timeout(PATIENCE_S):
        await streams[0].readuntil(b"hello\n")
    streams[1].close()
    assert b"upgrade" not in there.heads[0].lower()
    assert b"http2" not in there.heads[0].lower()


async def test_a_protocol_that_is_no_http_passes(outside: Outside) -> None:
    """Bytes that no server of HTTP takes for a request, whoever begins."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"welcome")
        writer.write(await reader.readexactly(3))
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        await outside.allow(f"forge.test:{port}")
        streams = await outside.ask(connect_to(f"forge.test:{port}"))
        async with asyncio.timeout(PATIENCE_S):
            assert b" 200 " in await streams[0].readuntil(b"\r\n\r\n")
            assert await streams[0].readexactly(7) == b"welcome"
            streams[1].write(b"\0\1\2")
        assert await rest(streams) == b"\0\1\2"


# --- refused --------------------------------------------------------------------------


def ask(first: str, host: str = "Host: forge.test\r\n") -> bytes:
    """Return a request by its first line and its Host."""
    return f"{first}\r\n{host}\r\n".encode()


REFUSED = {
    "another host": ask("GET / HTTP/1.1", "Host: other.test\r\n"),
    "another port": ask("GET / HTTP/1.1", "Host: forge.test:81\r\n"),
    "two hosts": ask("GET / HTTP/1.1", "Host: forge.test\r\nHost: other.test\r\n"),
    "no host": ask("GET / HTTP/1.1", ""),
    "an address": ask("GET / HTTP/1.1", "Host: 127.0.0.1\r\n"),
    "a URI of another host": ask("GET http://other.test/ HTTP/1.1"),
    "an https URI": ask("GET https://forge.test/ HTTP/1.1"),
    "a tunnel": ask("CONNECT other.test:80 HTTP/1.1"),
    "a tunnel with a path": ask("CONNECT / HTTP/1.1"),
    "no path": ask("GET other.test HTTP/1.1"),
    "every path": ask("GET * HTTP/1.1"),
    "two ends": ask("POST / HTTP/1.1")[:-2]
    + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
    "two lengths": ask("POST / HTTP/1.1")[:-2]
    + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "bare LF": b"GET / HTTP/1.1\nHost: other.test\n\n",
    "an empty first line": b"\r\n" + ask("GET / HTTP/1.1", "Host: other.test\r\n"),
    "space in front": b" " + ask("GET / HTTP/1.1", "Host: other.test\r\n"),
    "space of Unicode in front": b"\xa0"
    + ask("GET / HTTP/1.1", "Host: other.test\r\n"),
    "a folded line": ask("GET / HTTP/1.1", "Host:\r\n other.test\r\n"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "text": b"SSH-2.0-x\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "a long head": b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000,
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("later", [False, True])
async def test_a_request_for_another_host_is_refused(
    outside: Outside, there: Site, name: str, later: bool
) -> None:
    """Or one that could be: before a byte of it is sent, the first and each later."""
    streams = await opened(outside, there)
    if later:
        streams[1].write(get(there))
        async with asyncio.timeout(PATIENCE_S):
            await streams[0].readuntil(b"hello\n")
    with_port = f":{there.port}".encode()
    data = REFUSED[name].replace(
        b"Host: forge.test\r\n", b"Host: forge.test%b\r\n" % with_port
    )
    streams[1].write(data)
    said = await rest(streams)
    assert said.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 403 ")), said
    assert len(there.heads) == later
    used = await outside.reported(lambda one: one.refused is not None)
    assert used.host == "forge.test"


async def test_what_comes_with_a_good_request_is_judged_too(
    outside: Outside, there: Site
) -> None:
    """A second request behind a body, for another virtual host of the same server."""
    post = get(there, "/1", "Content-Length: 3\r\n").replace(b"GET", b"POST")
    second = get(there, "/2", host="other.test")
    said = await rest(await opened(outside, there, post + b"abc" + second))
    assert said.count(b"HTTP/1.1 200 ") == 1 and b"names another host" in said
    assert [head.split()[1] for head in there.heads] == [b"/1"]


async def test_a_host_that_does_not_change_protocols_gets_requests_only(
    outside: Outside, there: Site
) -> None:
    """What follows a refused WebSocket is a request, and is for this host."""
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n"
    second = get(there, "/2", host="other.test")
    said = await rest(await opened(outside, there, get(there, "/1", upgrade) + second))
    assert said.count(b"HTTP/1.1 200 ") == 1 and b" 400 " in said
    assert len(there.heads) == 1


async def test_a_host_that_speaks_first_does_not_open_the_tunnel(
    outside: Outside,
) -> None:
    """The agent's requests are judged all the same."""
    got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello\n")
        got.set_result(await reader.read())
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        await outside.allow(f"forge.test:{port}")
        streams = await outside.ask(connect_to(f"forge.test:{port}"))
        async with asyncio.timeout(PATIENCE_S):
            await streams[0].readuntil(b"hello\n")
        streams[1].write(ask("GET / HTTP/1.1", "Host: other.test\r\n"))
        assert (await rest(streams)).startswith(b"HTTP/1.1 400 ")
        async with asyncio.timeout(PATIENCE_S):
            assert await got == b""


async def test_only_port_80_is_of_http() -> None:
    """Elsewhere a tunnel may carry any protocol, and SMTP begins with letters."""
    assert set(tunnel.HTTP_PORTS) == {80}


async def test_an_agent_that_leaves_is_not_waited_for(
    outside: Outside, there: Site
) -> None:
    """Between two requests, and in the middle of one."""
    for data in (get(there), get(there)[:10], b""):
        reader, writer = await opened(outside, there, data)
        if data.endswith(b"\r\n\r\n"):
            async with asyncio.timeout(PATIENCE_S):
                await reader.readuntil(b"hello\n")
        writer.write_eof()
        assert await rest((reader, writer)) == b""
