"""What hive-egress relays and refuses, over an agent's real socket."""

import asyncio
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio

from checks.kits.egress.bench import (
    Outside,
    Streams,
    connect_to,
    egressing,
    make_certificate,
    site,
)
from checks.kits.patience import PATIENCE_S
from pyglue.egress import dial
from pyglue.egress.hello import without_names

pytestmark = pytest.mark.asyncio

NAMES = {"forge.test": "127.0.0.1", "other.test": "127.0.0.1"}


@pytest_asyncio.fixture
async def outside(tmp_path: Path) -> AsyncIterator[Outside]:
    """hive-egress; ``forge.test`` and ``other.test`` are on loopback."""
    (tmp_path / "kit").mkdir()
    async with egressing(tmp_path, names=NAMES) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def listed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Outside]:
    """hive-egress that has listed both, for tests in which nothing is carried."""
    room = tmp_path_factory.mktemp("egress")
    (room / "kit").mkdir()
    async with egressing(room, names=NAMES) as made:
        await made.allow("forge.test", "other.test")
        yield made


# --- carried --------------------------------------------------------------------------


async def test_a_plain_request_is_carried(outside: Outside) -> None:
    """With its path and headers, without those of the proxy, and with one host."""
    async with site() as there:
        await outside.allow(f"forge.test:{there.port}")
        url = f"http://forge.test:{there.port}/a?b=c"
        said = await outside.say(
            f"GET {url} HTTP/1.1\r\nHost: forge.test:{there.port}\r\nX-Mine: 1\r\n"
            "Connection: X-Hop\r\nX-Hop: 1\r\nProxy-Authorization: Basic eA==\r\n\r\n"
            f"GET http://forge.test:{there.port}/second HTTP/1.1\r\n"
            f"Host: forge.test:{there.port}\r\n\r\n".encode()
        )
    assert said.startswith(b"HTTP/1.1 200 ") and said.endswith(b"\r\n\r\nhello\n")
    assert b"connection: close" in said.lower()
    (head,) = there.heads  # the second request needs a connection of its own
    assert head.startswith(b"GET /a?b=c HTTP/1.1\r\n")
    assert b"x-mine: 1" in head.lower() and b"x-hop" not in head.lower()
    assert b"proxy" not in head.lower()
    assert head.lower().count(b"\r\nhost:") == 1


async def test_a_body_is_carried_both_ways(outside: Outside) -> None:
    """In chunks, as it comes."""

    async def echo(_head: bytes, streams: Streams) -> None:
        got = await streams[0].readuntil(b"0\r\n\r\n")
        streams[1].write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + got)
        await streams[1].drain()

    async with site(echo) as there:
        await outside.allow(f"forge.test:{there.port}")
        said = await outside.say(
            f"POST http://forge.test:{there.port}/ HTTP/1.1\r\n"
            f"Host: forge.test:{there.port}\r\nTransfer-Encoding: chunked\r\n\r\n"
            "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n".encode()
        )
    body = said.partition(b"\r\n\r\n")[2]
    assert body.replace(b"\r\n", b"").replace(b"3", b"").replace(b"2", b"") == b"abcde0"


async def test_a_tunnel_is_carried_and_reported(outside: Outside) -> None:
    """Its bytes are counted; hived has an event of it, without path or body."""
    async with site() as there:
        await outside.allow(f"forge.test:{there.port}")
        reader, writer = await outside.ask(connect_to(f"forge.test:{there.port}"))
        assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"GET /secret-path HTTP/1.1\r\n\r\n")
        assert (await reader.read()).endswith(b"hello\n")
        writer.close()
        used = await outside.reported(lambda one: one.received > 0)
    assert (used.host, used.port, used.refused) == ("forge.test", there.port, None)
    assert used.connections == 1
    assert used.sent == len(b"GET /secret-path HTTP/1.1\r\n\r\n")
    totals = outside.hub.totals("alice")
    assert totals is not None and (totals.connected, totals.refused) == (1, 0)
    await outside.kit.store.write(lambda _tx: None)  # what was queued is published
    events = [one for one in outside.kit.events if one.kind == "host.contacted"]
    assert events and all(b"secret" not in bytes(one.data) for one in events)


async def test_who_speaks_first_does_not_matter(outside: Outside) -> None:
    """A server may greet before it was sent anything, as SSH and SMTP do."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await outside.allow(f"forge.test:{port}")
    reader, writer = await outside.ask(connect_to(f"forge.test:{port}"))
    assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
    assert await reader.readline() == b"220 hello\r\n"
    writer.write_eof()  # half closed: the server's end is still to come
    assert await reader.read() == b""
    writer.close()
    server.close()


async def handshake(outside: Outside, port: int, name: str | None, cafile: Path) -> str:
    """Shake hands over TLS through a tunnel to forge.test; return what was answered."""
    reader, writer = await outside.ask(connect_to(f"forge.test:{port}"))
    assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
    context = ssl.create_default_context(cafile=str(cafile))
    if name is None:
        context.check_hostname = False
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    shake = context.wrap_bio(incoming, outgoing, server_hostname=name)

    async def step(what: Any) -> Any:
        while True:
            try:
                return what()
            except ssl.SSLWantReadError:
                for byte in (sent := outgoing.read())[:5]:
                    writer.write(bytes((byte,)))  # a hello may come in pieces
                    await writer.drain()
                writer.write(sent[5:])
                incoming.write(await reader.read(65536) or b"")
                if reader.at_eof():
                    incoming.write_eof()

    try:
        async with asyncio.timeout(PATIENCE_S):
            await step(shake.do_handshake)
            shake.write(b"GET / HTTP/1.1\r\n\r\n")
            return str((await step(lambda: shake.read(65536))).decode())
    finally:
        writer.close()


@pytest.mark.needs("openssl")
async def test_tls_is_carried_for_its_own_name(
    outside: Outside, tmp_path: Path
) -> None:
    """And the certificate that the agent sees is the host's own."""
    pair = make_certificate(tmp_path, "forge.test", "other.test")
    async with site(tls=pair) as there:
        await outside.allow(f"forge.test:{there.port}")
        for name in ("forge.test", "FORGE.test", None):
            said = await handshake(outside, there.port, name, pair[0])
            assert said.endswith("hello\n")


# --- refused --------------------------------------------------------------------------


@pytest.mark.needs("openssl")
async def test_tls_for_another_name_is_refused(
    outside: Outside, tmp_path: Path
) -> None:
    """Before a byte of it reaches the host."""
    pair = make_certificate(tmp_path, "forge.test", "other.test")
    async with site(tls=pair) as there:
        await outside.allow(f"forge.test:{there.port}")
        with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
            await handshake(outside, there.port, "other.test", pair[0])
        used = await outside.reported(lambda one: one.refused is not None)
        assert "other.test" in str(used.refused)
        assert there.heads == []


async def test_what_only_begins_like_tls_is_refused(outside: Outside) -> None:
    """Nothing is sent on that cannot be read."""
    async with site() as there:
        await outside.allow(f"forge.test:{there.port}")
        reader, writer = await outside.ask(
            connect_to(f"forge.test:{there.port}") + b"\x16\x03\x01\x00\x05hello"
        )
        assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
        assert (await reader.read())[:1] == b"\x15"
        writer.close()
        assert there.heads == []


async def test_a_name_that_is_not_ascii_is_refused_without_a_word_in_the_log(
    outside: Outside, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Python's ssl prints such a name; other errors are still printed."""
    monkeypatch.setattr(sys, "unraisablehook", without_names)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    shake = context.wrap_bio(incoming, outgoing, server_hostname="planted.test")
    with pytest.raises(ssl.SSLWantReadError):
        shake.do_handshake()
    sent = outgoing.read().replace(b"planted.test", b"plante\xff.test")
    async with site() as there:
        await outside.allow(f"forge.test:{there.port}")
        reader, writer = await outside.ask(
            connect_to(f"forge.test:{there.port}") + sent
        )
        assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
        assert (await reader.read())[:1] == b"\x15"
        writer.close()
        assert there.heads == []
    assert capfd.readouterr().err == ""
    try:
        raise RuntimeError("its own")
    except RuntimeError as error:
        found = SimpleNamespace(
            exc_type=type(error),
            exc_value=error,
            exc_traceback=None,
            err_msg=None,
            object=None,
        )
    with monkeypatch.context() as patch:
        seen: list[Any] = []
        patch.setattr(sys, "__unraisablehook__", seen.append)
        without_names(found)
    assert seen == [found]


async def refused(outside: Outside, target: str, *, plain: bool = False) -> str:
    """Ask for a host; return the sentence of the refusal."""
    data = connect_to(target)
    if plain:
        data = f"GET http://{target}/ HTTP/1.1\r\nHost: {target}\r\n\r\n".encode()
    said = await outside.say(data)
    assert said.startswith(b"HTTP/1.1 403 "), said
    return said.partition(b"\r\n\r\n")[2].decode()


@pytest.mark.parametrize("plain", [False, True])
async def test_another_host_or_port_is_refused(outside: Outside, plain: bool) -> None:
    """With what to ask for; hived is told."""
    async with site() as there:
        await outside.allow("forge.test", "*.example.org")
        for target, entry in (
            ("other.test:443", "other.test"),
            (f"forge.test:{there.port}", f"forge.test:{there.port}"),
            ("example.org:443", "example.org"),
            ("127.0.0.1:443", "127.0.0.1"),
            (f"127.0.0.1:{there.port}", f"127.0.0.1:{there.port}"),
            ("[::1]:443", "[::1]"),
        ):
            said = await refused(outside, target, plain=plain)
            assert f'add "{entry}" to hyperhive.network.allow' in said
        used = await outside.reported(lambda one: one.host == "other.test")
        assert used.refused is not None and used.entry == "other.test"
        assert there.connections == 0 and outside.lookups == []


@pytest.mark.parametrize(
    "answer",
    [
        *(["127.0.0.1"], ["169.254.169.254"], ["::ffff:10.0.0.1"], ["10.0.0.1"]),
        *(["::1"], ["fd00::1"], ["64:ff9b::7f00:1"], ["2002:7f00:1::"], ["::"]),
        *(["1.1.1.1", "127.0.0.1"], ["2606:4700::1111", "fe80::1"]),
    ],
)
async def test_a_name_with_an_address_that_is_not_public_is_refused(
    outside: Outside, answer: list[str]
) -> None:
    """Even if it has public ones, too."""
    async with site() as there:
        await outside.allow(f"trap.test:{there.port}")
        outside.addresses["trap.test"] = [answer]
        said = await refused(outside, f"trap.test:{there.port}")
        assert "not public" in said
        assert there.connections == 0


async def test_a_listed_address_that_is_not_public_is_refused(outside: Outside) -> None:
    """hived refuses such an entry; hive-egress does not rely on it."""
    async with site() as there:
        await outside.allow(f"127.0.0.1:{there.port}", f"[::1]:{there.port}")
        for host in ("127.0.0.1", "[::1]"):
            assert "not public" in await refused(outside, f"{host}:{there.port}")
        assert there.connections == 0


async def test_the_hosts_own_addresses_are_refused(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever they are: the hive's own processes listen there."""
    monkeypatch.setattr(dial, "is_public", lambda _address: True)
    async with site() as there:
        await outside.allow(f"mine.test:{there.port}")
        outside.addresses["mine.test"] = [["127.0.0.1"]]
        assert "this machine's own" in await refused(outside, f"mine.test:{there.port}")
        assert there.connections == 0


async def test_a_name_is_looked_up_once(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What changes after the check is not seen: the checked address is connected to."""
    tried: list[Any] = []

    async def start(infos: list[Any], **_: Any) -> socket.socket:
        tried.extend(info[4] for info in infos)
        raise OSError(113, "No route to host")

    monkeypatch.setattr(dial, "start_connection", start)
    await outside.allow("rebind.test")
    outside.addresses["rebind.test"] = [
        ["93.184.216.34", "2606:4700::1"],
        ["127.0.0.1"],
    ]
    said = await outside.connect("rebind.test:443")
    assert said.startswith(b"HTTP/1.1 502 ")
    assert outside.lookups == ["rebind.test"]
    assert tried == [("93.184.216.34", 443), ("2606:4700::1", 443)]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: forge.test\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http://forge.test/ HTTP/1.1\r\nHost: other.test\r\n\r\n",
        b"GET http://forge.test/ HTTP/1.1\r\nHost: forge.test:81\r\n\r\n",
        b"GET http://forge.test/ HTTP/1.1\r\nHost: forge.test\r\nHost: a.test\r\n\r\n",
        b"GET http://forge.test/ HTTP/1.1\r\n\r\n",
        b"GET http://u:p@forge.test/ HTTP/1.1\r\nHost: forge.test\r\n\r\n",
        b"GET http://other.test#@forge.test/ HTTP/1.1\r\nHost: forge.test\r\n\r\n",
        b"GET http://other.test\\@forge.test/ HTTP/1.1\r\nHost: forge.test\r\n\r\n",
        b"GET https://forge.test/ HTTP/1.1\r\nHost: forge.test\r\n\r\n",
        b"GET ftp://forge.test/ HTTP/1.1\r\nHost: forge.test\r\n\r\n",
        b"GET http://0x7f.1/ HTTP/1.1\r\nHost: 0x7f.1\r\n\r\n",
        b"CONNECT forge.test:443 HTTP/1.1\r\nHost: other.test:443\r\n\r\n",
        b"CONNECT forge.test:443 HTTP/1.1\r\nHost: forge.test:80\r\n\r\n",
        b"CONNECT forge.test HTTP/1.1\r\nHost: forge.test\r\n\r\n",
        b"CONNECT 2130706433:443 HTTP/1.1\r\nHost: 2130706433:443\r\n\r\n",
        connect_to("forge.test:443")[:-2] + b"Content-Length: 3\r\n\r\nabc",
        b"\x16\x03\x01\x00\x05hello\r\n\r\n",
        b"GET http://forge.test/\r\n\r\n",
        b"GET http://forge.test/ HTTP/1.1\r\nHost: forge.test\r\nX: a\nb\r\n\r\n",
        b"GET http://forge.test/ HTTP/1.1\r\nHost: forge.test\r\nX y: a\r\n\r\n",
        b"PUT http://forge.test/ HTTP/1.1\r\nHost: forge.test\r\n%b\r\n\r\n"
        % b"Content-Length: 3\r\nTransfer-Encoding: chunked",
        b"X" * 100_000,
    ],
)
async def test_what_names_no_host_or_two_is_refused(
    listed: Outside, data: bytes
) -> None:
    """A request for one host with the name of another, above all."""
    said = await listed.say(data)
    assert said.startswith(b"HTTP/1.1 400 "), said
    assert said.partition(b"\r\n\r\n")[2].strip()


async def test_a_host_that_does_not_answer_is_no_refusal(outside: Outside) -> None:
    """It says what failed."""
    await outside.allow("forge.test:1", "nowhere.test")
    said = await outside.say(connect_to("forge.test:1"))
    assert said.startswith(b"HTTP/1.1 502 ") and b"Cannot connect" in said
    said = await outside.say(connect_to("nowhere.test:443"))
    assert said.startswith(b"HTTP/1.1 502 ") and b"has no address" in said
