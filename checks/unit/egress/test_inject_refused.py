"""Requests that carry secrets: what is refused, on the way out and at the host."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import force_setattr

from checks.kits.egress.bench import (
    Streams,
    connect_to,
    make_certificate,
    site,
)
from checks.kits.egress.inject import TOKEN, At, injecting
from checks.kits.patience import PATIENCE_S
from pyglue.api.egress import INJECT, InjectParams
from pyglue.config import OperatorLimits
from pyglue.errors import HiveError

pytestmark = [pytest.mark.asyncio, pytest.mark.needs("openssl")]


@pytest_asyncio.fixture
async def at(tmp_path: Path) -> AsyncIterator[At]:
    async with injecting(tmp_path) as here:
        yield here


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def standing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[At]:
    """Give a host and a secret to tests in which the host is never asked."""
    async with injecting(tmp_path_factory.mktemp("at")) as here:
        await here.use()
        yield here


# --- refused --------------------------------------------------------------------------
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("method", "path", "more"),
    [
        ("GET", "/", "Host: other.test\r\n"),
        ("GET", "https://other.test/", ""),
        ("GET", "https://forge.test/", ""),
        ("GET", "http://other.test/", ""),
        ("GET", "forge.test/", ""),
        ("OPTIONS", "*", ""),
        ("TRACE", "/", ""),
        ("track", "/", ""),
        ("CONNECT", "other.test:443", ""),
        ("GET", "/", "X: a\r\n b\r\n"),
        ("GET", "/", "X: a\r\n\tHost: other.test\r\n"),
        ("GET", "/", "X: a\nHost: other.test\r\n"),
        ("GET", "/", "X: a\rHost: other.test\r\n"),
        ("GET", "/", "X: a\0b\r\n"),
        ("GET", "/", "X : a\r\n"),
        ("GET", "/", "X\r\n"),
        ("POST", "/", "Content-Length: 0\r\nContent-Length: 3\r\n"),
        ("POST", "/", "Content-Length: 3\r\nContent-Length: 3\r\n"),
        ("POST", "/", "Content-Length: 3, 4\r\n"),
        ("POST", "/", "Content-Length: +3\r\n"),
        ("POST", "/", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"),
        ("POST", "/", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        ("POST", "/", "Transfer-Encoding: chunked, identity\r\n"),
        ("POST", "/", "Transfer-Encoding: xchunked\r\n"),
        ("GET", "/", "Upgrade: h2c\r\nConnection: upgrade\r\n"),
        ("GET", "/", "Upgrade: websocket\r\nConnection: Upgrade\r\n"),
        ("GET", "/", "HTTP2-Settings: x\r\n"),
        ("GET", "/", "Connection: close, Authorization\r\n"),
        ("GET", "/", "Connection: Content-Length\r\n"),
        ("GET", "/a b", ""),
        ("GET", "/", f"X: {'a' * 70_000}\r\n"),
    ],
)
async def test_a_request_that_could_be_anothers_is_refused(
    standing: At, method: str, path: str, more: str
) -> None:
    """Domain fronting, smuggling, and what would show the agent its own request."""
    standing.there.heads.clear()
    said = await standing.ask(standing.get(path, more, method) + b"abc")
    assert said.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 403 ")), said
    assert standing.there.heads == [] and TOKEN.encode() not in said


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nHost: other.test\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: forge.test:1\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\nHost: forge.test\n\n\r\n\r\n",
        b"\r\nGET / HTTP/1.1\r\nHost: forge.test\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello\r\n\r\n",
    ],
)
async def test_what_is_no_request_for_the_host_is_refused(
    standing: At, request_: bytes
) -> None:
    """The Host header names another one, or none; HTTP/2 that was not agreed on."""
    standing.there.heads.clear()
    said = await standing.ask(request_, protocols=("h2", "http/1.1"))
    assert said.startswith(b"HTTP/1.1 400 "), said
    assert standing.there.heads == []


async def test_a_broken_body_ends_the_connection(at: At) -> None:
    """The host gets no second request out of it."""

    async def wait(_head: bytes, streams: Streams) -> None:
        await streams[0].read()

    at.there.answer = wait
    await at.use()
    head = at.get(more="Transfer-Encoding: chunked\r\n", method="POST")
    said = await at.ask(head + b"3\r\nabcGET / HTTP/1.1\r\nHost: forge.test\r\n\r\n")
    assert said == b""
    assert len(at.there.heads) == 1


async def test_tls_for_another_name_is_refused(at: At) -> None:
    """Before the host gets a byte."""
    await at.use()
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        await at.ask(at.get(), name="other.test")
    used = await at.outside.reported(lambda one: one.refused is not None)
    assert "other.test" in str(used.refused)
    assert at.there.heads == []
    assert b"hello" in await at.ask(at.get(), name=None)  # who names none means it


async def test_only_tls_is_carried(at: At) -> None:
    """Not a plain request, and not what follows CONNECT without TLS."""
    await at.use()
    url = f"http://{at.target}/"
    said = await at.outside.say(
        f"GET {url} HTTP/1.1\r\nHost: {at.target}\r\n\r\n".encode()
    )
    assert said.startswith(b"HTTP/1.1 403 ") and b"require HTTPS" in said
    said = await at.outside.say(connect_to(at.target) + at.get())
    assert said.endswith(b"\x15\x03\x03\x00\x02\x02p") and TOKEN.encode() not in said
    assert at.there.heads == []


async def test_a_hello_that_comes_early_is_read(at: At) -> None:
    """Together with CONNECT: it is the same connection."""
    await at.use()
    context = ssl.create_default_context(cafile=str(at.authority))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    shake = context.wrap_bio(incoming, outgoing, server_hostname="forge.test")
    with pytest.raises(ssl.SSLWantReadError):
        shake.do_handshake()
    reader, writer = await at.outside.ask(connect_to(at.target) + outgoing.read())
    assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
    assert (await reader.readexactly(1)) == b"\x16"
    writer.close()


async def test_the_host_must_be_who_it_says(at: At, tmp_path: Path) -> None:
    """Its certificate is checked, its name as well; the agent is told which fails."""
    await at.use()
    strange = make_certificate(tmp_path, "strange.test", "forge.test")
    pair = make_certificate(tmp_path, "b.test")

    async def fails(port: int, why: bytes) -> None:
        target = f"forge.test:{port}"
        await at.outside.allow(target, secrets={"TOKEN": [{"host": target}]})
        said = await at.outside.connect(target)
        assert said.startswith(b"HTTP/1.1 502 ") and why in said, said

    for tls, why in ((strange, b"self-signed"), (pair, b"certificate")):
        async with site(tls=tls) as there:
            await fails(there.port, why)
            assert there.heads == []
    got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 no TLS here\r\n")
        got.set_result(await reader.read())
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        await fails(server.sockets[0].getsockname()[1], b"TLS handshake")
        async with asyncio.timeout(PATIENCE_S):
            assert TOKEN.encode() not in await got


async def test_an_address_is_checked_here_too(at: At) -> None:
    """A secret opens no way to private addresses."""
    await at.use()
    target = f"trap.test:{at.there.port}"
    at.outside.addresses["trap.test"] = [["127.0.0.1"]]
    await at.outside.allow(target, secrets={"TOKEN": [{"host": target}]})
    said = await at.outside.connect(target)
    assert said.startswith(b"HTTP/1.1 403 ") and b"not public" in said
    assert at.there.connections == 0


@pytest.mark.parametrize(
    "value",
    [
        *("abc-\r\nX-Evil: 1", "abc-\n-def", "abc-\r-def", " abc-def", "abc-def "),
        *("abc-\t-def", "äbc-def", "abc-\x7f-def"),
    ],
)
async def test_a_value_that_no_header_holds_is_refused(at: At, value: str) -> None:
    """The agent is told whose it is to set anew; nothing is sent."""
    await at.use()
    await at.set(value)
    for use in ({}, {"preset": "git"}):
        uses = [{"host": at.target, **use}]
        await at.outside.allow(at.target, secrets={"TOKEN": uses})
        said = await at.outside.connect(at.target)
        assert said.startswith(b"HTTP/1.1 503 ") and b"TOKEN cannot be sent" in said
        assert value.strip().encode() not in said
    assert at.there.connections == 0


async def test_a_value_that_is_too_long_is_refused(at: At) -> None:
    """Servers take no such header."""
    await at.use()
    await at.set("a" * 20_000)
    assert b"too long for a header" in await at.outside.connect(at.target)


async def test_what_the_limits_do_not_allow_is_not_sent(at: At) -> None:
    """Even if it was approved before; hived says no, whatever hive-egress asks."""
    await at.use()
    config: Any = at.outside.hub.uses.config
    allowed: dict[str, tuple[str, ...]] = {
        "TOKEN": ("github.com",),
        "OTHER": (at.target,),
    }
    force_setattr(config, "limits", OperatorLimits(secrets=allowed))
    said = await at.outside.connect(at.target)
    assert said.startswith(b"HTTP/1.1 503 ") and b"carries a secret" in said
    assert at.there.connections == 0
    await at.outside.allow(at.target, secrets={"TOKEN": [{"host": at.target}]})
    assert not at.authority.exists()


async def test_hived_gives_a_value_only_for_a_host_of_the_record(at: At) -> None:
    """hive-egress cannot ask for more than agents have."""
    await at.use()
    for agent, host in (("alice", "other.test"), ("bob", "forge.test")):
        params = InjectParams(agent=agent, host=host, port=at.there.port)
        link = at.outside.egress.link
        assert link.connection is not None
        with pytest.raises(HiveError, match="carries a secret"):
            await link.connection.call(INJECT, params, timeout=9)
