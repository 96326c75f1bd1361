"""Requests that carry secrets: what goes out, what comes back, what is refused.

``forge.test`` and ``other.test`` are the same real TLS server on loopback; its
certificate is the only one that hive-egress trusts here.
"""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import force_setattr

from checks.kits.egress.bench import (
    Outside,
    Site,
    Streams,
    connect_to,
    egressing,
    make_certificate,
    site,
)
from checks.kits.patience import PATIENCE_S
from pyglue.api.egress import INJECT, InjectParams
from pyglue.api.secrets import SecretParams, SecretSetParams
from pyglue.config import OperatorLimits
from pyglue.errors import HiveError

pytestmark = [pytest.mark.asyncio, pytest.mark.needs("openssl")]

TOKEN = "ghp_the-token-of-the-operator+/="
NAMES = {"forge.test": "127.0.0.1", "other.test": "127.0.0.1"}


@dataclass
class At:
    """A host, and an agent whose requests to it carry a secret."""

    outside: Outside
    there: Site
    own: Path
    """The host's own certificate."""

    @property
    def target(self) -> str:
        """The host as it is connected to."""
        return f"forge.test:{self.there.port}"

    @property
    def authority(self) -> Path:
        """What the agent's programs are told to trust."""
        return self.outside.socket.with_name("ca.pem")

    async def use(self, **use: str) -> None:
        """Let requests to the host carry the secret, and set it."""
        uses = [{"host": self.target, **use}]
        await self.outside.allow(
            self.target, f"other.test:{self.there.port}", secrets={"TOKEN": uses}
        )
        await self.set(TOKEN)

    async def set(self, value: str) -> None:
        """Set the secret's value, as the operator does."""
        secrets = self.outside.hub.uses.secrets
        await secrets.set(SecretSetParams(name="TOKEN", value=value), "operator")

    async def ask(
        self,
        request: bytes,
        *,
        name: str | None = "forge.test",
        protocols: tuple[str, ...] = (),
    ) -> bytes:
        """Send bytes within TLS; return all that comes back."""
        return await within(
            self.outside, self.target, request, self.authority, name, protocols
        )

    def get(self, path: str = "/", more: str = "", method: str = "GET") -> bytes:
        """Return a request."""
        host = f"Host: {self.target}\r\n"
        return f"{method} {path} HTTP/1.1\r\n{host}{more}\r\n".encode()


async def within(
    outside: Outside,
    target: str,
    request: bytes,
    cafile: Path,
    name: str | None,
    protocols: tuple[str, ...] = (),
) -> bytes:
    """Send bytes within TLS through a tunnel; return all that comes back."""
    reader, writer = await outside.ask(connect_to(target))
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0]:
        writer.close()
        return head + await reader.read()
    context = ssl.create_default_context(cafile=str(cafile))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.check_hostname = name is not None
    if protocols:
        context.set_alpn_protocols(list(protocols))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    shake = context.wrap_bio(incoming, outgoing, server_hostname=name)
    found, sent = b"", False
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    if not sent:
                        shake.do_handshake()
                        assert shake.selected_alpn_protocol() in (None, "http/1.1")
                        shake.write(request)
                        sent = True
                    while data := shake.read(65536):
                        found += data
                    return found
                except ssl.SSLWantReadError:
                    writer.write(outgoing.read())
                    data = await reader.read(65536)
                    if not data:
                        return found
                    incoming.write(data)
                except ssl.SSLZeroReturnError:
                    return found
    finally:
        writer.close()


@pytest_asyncio.fixture
async def at(tmp_path: Path) -> AsyncIterator[At]:
    """hive-egress with hived's real side, and a host with TLS."""
    (tmp_path / "kit").mkdir()
    pair = make_certificate(tmp_path, "forge.test", "other.test")
    async with (
        egressing(tmp_path, names=NAMES, authorities=pair[0]) as outside,
        site(tls=pair) as there,
    ):
        yield At(outside, there, pair[0])


# --- carried --------------------------------------------------------------------------


async def test_a_request_carries_it(at: At) -> None:
    """In place of whatever the agent sent there; with its path and other headers."""
    await at.use()
    more = "Authorization: Bearer mine\r\nauthorization: again\r\nX-Mine: 1\r\n"
    said = await at.ask(at.get("/a?b=c", more + "Accept-Encoding: gzip\r\n"))
    assert said.startswith(b"HTTP/1.1 200 ") and said.endswith(b"\r\n\r\nhello\n")
    (head,) = at.there.heads
    lines = head.decode().lower().split("\r\n")
    assert lines[0] == "get /a?b=c http/1.1"
    assert lines[1] == f"host: {at.target}"
    assert lines.count(f"authorization: bearer {TOKEN}".lower()) == 1
    assert sum("authorization" in line for line in lines) == 1
    assert "x-mine: 1" in lines and "accept-encoding: identity" in lines


async def test_git_takes_it_as_a_password(at: At) -> None:
    """The preset writes what forges want of Git over HTTPS."""
    await at.use(preset="git")
    await at.ask(at.get("/p.git/info/refs"))
    want = base64.b64encode(f"x-access-token:{TOKEN}".encode())
    assert b"authorization: Basic " + want in at.there.heads[0]


async def test_another_header_and_format(at: At) -> None:
    """As GitLab's API has it; one with an underscore is the same to many servers."""
    await at.use(header="PRIVATE-TOKEN", format="{}")
    await at.ask(at.get(more="private_token: mine\r\nAuthorization: mine\r\n"))
    head = at.there.heads[0].lower()
    assert f"private-token: {TOKEN}\r\n".lower().encode() in head
    assert b"private_token" not in head and b"authorization: mine" in head


async def test_a_body_is_carried(at: At) -> None:
    """Whether its length is told or it comes in chunks, whose trailers stay behind."""

    async def echo(head: bytes, streams: Streams) -> None:
        if b"chunked" in head.lower():
            got = await streams[0].readuntil(b"0\r\n\r\n")
        else:
            got = await streams[0].readexactly(5)
        length = f"content-length: {len(got)}\r\n\r\n".encode()
        streams[1].write(b"HTTP/1.1 200 OK\r\n" + length + got)
        await streams[1].drain()

    at.there.answer = echo
    await at.use()
    chunked = at.get(more="Transfer-Encoding: chunked\r\n", method="POST")
    said = await at.ask(chunked + b"3\r\nabc\r\n2\r\nde\r\n0\r\nX-After: 1\r\n\r\n")
    assert said.endswith(b"\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    said = await at.ask(at.get(more="Content-Length: 5\r\n", method="POST") + b"abcde")
    assert said.endswith(b"\r\n\r\nabcde")


async def test_a_connection_carries_one_request(at: At) -> None:
    """What follows needs another one: nothing can be taken for another's answer."""
    await at.use()
    said = await at.ask(at.get("/first") + at.get("/second"))
    assert b"connection: close" in said.lower() and said.count(b"HTTP/1.1") == 1
    assert len(at.there.heads) == 1


async def test_a_new_value_holds_from_the_next_connection_on(at: At) -> None:
    """Nothing has to be restarted; a removed one is missed at once."""
    await at.use()
    await at.ask(at.get())
    await at.set("another-token")
    await at.ask(at.get())
    assert b"Bearer another-token\r\n" in at.there.heads[1]
    secrets = at.outside.hub.uses.secrets
    await secrets.remove(SecretParams(name="TOKEN"), "operator")
    said = await at.ask(at.get())
    assert b"TOKEN is not set: run `hive secret set TOKEN`." in said
    assert len(at.there.heads) == 2
    used = await at.outside.reported(lambda one: one.refused is not None)
    assert "hive secret set TOKEN" in str(used.refused)
    audited = [what for _, what, _ in at.outside.kit.audited()]
    assert audited == ["secret_set", "secret_used", "secret_rotated", "secret_removed"]


async def test_a_redirect_is_the_agents_own_next_request(at: At) -> None:
    """It is passed on, not followed; to another host nothing is carried."""

    async def redirect(_head: bytes, streams: Streams) -> None:
        to = f"location: https://other.test:{at.there.port}/\r\ncontent-length: 0\r\n"
        streams[1].write(f"HTTP/1.1 302 Found\r\n{to}\r\n".encode())
        await streams[1].drain()

    await at.use()
    at.there.answer = redirect
    said = await at.ask(at.get())
    assert b" 302 " in said and f"https://other.test:{at.there.port}/".encode() in said
    assert len(at.there.heads) == 1
    other = f"other.test:{at.there.port}"
    cafile = at.own
    request = f"GET / HTTP/1.1\r\nHost: {other}\r\n\r\n".encode()
    await within(at.outside, other, request, cafile, "other.test")
    assert TOKEN.encode() not in at.there.heads[1]
    assert b"authorization" not in at.there.heads[1].lower()


async def test_what_the_host_repeats_is_hidden(at: At) -> None:
    """In headers and bodies, plain and encoded, also where it comes in two pieces."""
    basic = base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()

    async def echo(head: bytes, streams: Streams) -> None:
        half = len(TOKEN) // 2
        body = f"{head.decode()}{TOKEN}{basic}"
        length = f"content-length: {len(body) + len(TOKEN)}\r\nx-you: {TOKEN}\r\n\r\n"
        streams[1].write(
            f"HTTP/1.1 200 {TOKEN}\r\n{length}{body}{TOKEN[:half]}".encode()
        )
        await streams[1].drain()
        streams[1].write(TOKEN[half:].encode())
        await streams[1].drain()

    at.there.answer = echo
    await at.use()
    said = (await at.ask(at.get())).decode()
    assert TOKEN not in said and basic.rstrip("=") not in said
    assert f"x-you: {'*' * len(TOKEN)}\r\n" in said
    assert said.endswith("*" * len(TOKEN))


async def test_what_is_refused_is_reported(at: At) -> None:
    """As a connection, without a word of the request."""
    await at.use()
    await at.ask(at.get("/secret-path", method="TRACE"))
    used = await at.outside.reported(lambda one: one.refused is not None)
    assert "TRACE" in str(used.refused) and "secret-path" not in str(used.refused)
    await at.outside.kit.store.write(lambda _tx: None)  # what was queued is published
    events = [one for one in at.outside.kit.events if one.kind == "host.contacted"]
    assert events and all(TOKEN.encode() not in bytes(one.data) for one in events)


# --- refused --------------------------------------------------------------------------


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
    at: At, method: str, path: str, more: str
) -> None:
    """Domain fronting, smuggling, and what would show the agent its own request."""
    await at.use()
    said = await at.ask(at.get(path, more, method) + b"abc")
    assert said.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 403 ")), said
    assert at.there.heads == [] and TOKEN.encode() not in said


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
    at: At, request_: bytes
) -> None:
    """The Host header names another one, or none; HTTP/2 that was not agreed on."""
    await at.use()
    said = await at.ask(request_, protocols=("h2", "http/1.1"))
    assert said.startswith(b"HTTP/1.1 400 "), said
    assert at.there.heads == []


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


# --- who trusts what ------------------------------------------------------------------


async def test_only_an_agent_with_secrets_is_told_of_the_authority(at: At) -> None:
    """And its key is nowhere; another start of hive-egress has another one."""
    await at.use()
    text = at.authority.read_text()
    assert text == at.outside.egress.link.authority and "PRIVATE" not in text
    assert oct(at.authority.stat().st_mode & 0o777) == "0o644"
    await at.outside.allow(at.target)
    assert not at.authority.exists()
    cafile = at.own
    said = await within(at.outside, at.target, at.get(), cafile, "forge.test")
    assert said.endswith(b"hello\n")  # the host's own certificate again


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


async def test_a_value_is_not_in_what_is_logged_of_it(at: At) -> None:
    """The answer to hive-egress shows names alone."""
    await at.use()
    params = InjectParams(agent="alice", host="forge.test", port=at.there.port)
    result = await at.outside.hub.uses.headers(params)
    assert TOKEN in result.headers[0].value and TOKEN not in repr(result)
