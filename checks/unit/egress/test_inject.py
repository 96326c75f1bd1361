"""Requests that carry secrets: what goes out, what comes back, and what is reported."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from checks.kits.egress.bench import (
    Streams,
)
from checks.kits.egress.inject import TOKEN, At, injecting, within
from pyglue.api.egress import InjectParams
from pyglue.api.secrets import SecretParams

pytestmark = [pytest.mark.asyncio, pytest.mark.needs("openssl")]


@pytest_asyncio.fixture
async def at(tmp_path: Path) -> AsyncIterator[At]:
    async with injecting(tmp_path) as here:
        yield here


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


async def test_a_value_is_not_in_what_is_logged_of_it(at: At) -> None:
    """The answer to hive-egress shows names alone."""
    await at.use()
    params = InjectParams(agent="alice", host="forge.test", port=at.there.port)
    result = await at.outside.hub.uses.headers(params)
    assert TOKEN in result.headers[0].value and TOKEN not in repr(result)
