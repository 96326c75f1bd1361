"""The forwarder accepts requests with its key, and relays each with its response."""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from checks.kits.patience import PATIENCE_S
from pyglue.harness.link.forward import Forwarder
from pyglue.limits import ForwarderLimits

LIMITS = ForwarderLimits()


async def connected(forwarder: Forwarder) -> Any:
    port = int(forwarder.url.rpartition(":")[2])
    return await asyncio.open_connection("127.0.0.1", port)


def head(
    forwarder: Forwarder,
    first: str = "POST /v1/messages?beta=true HTTP/1.1",
    **changes: Any,
) -> bytes:
    """Return a head as the CLI sends it, changed in some headers."""
    named = {
        "Host": forwarder.url.removeprefix("http://"),
        "Content-Type": "application/json",
        "Content-Length": "2",
        "x-api-key": forwarder.key,
        "anthropic-beta": "effort-2025-11-24",
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    lines = [first, *(f"{n}: {v}" for n, v in named.items() if v is not None)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


class Model:
    """What listens on the model socket: keeps heads, answers with length and hash."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heads: list[bytes] = []
        self.gone = asyncio.Event()

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            got = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(got)
            length = got.lower().partition(b"content-length: ")[2].split(b"\r")[0]
            data = await reader.readexactly(int(length or 0))
            if data == b"wait":
                await reader.read()
                self.gone.set()
            told = f"{len(data)} {hashlib.sha256(data).hexdigest()}"
            writer.write(f"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{told}".encode())
            await writer.drain()
        writer.close()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["Model"]:
        async with await asyncio.start_unix_server(self.serve, self.path):
            yield self


@pytest.fixture
async def model(tmp_path: Path) -> AsyncIterator[Model]:
    async with Model(tmp_path / "model.sock").listening() as made:
        yield made


@pytest.fixture
async def forwarder(model: Model) -> AsyncIterator[Forwarder]:
    async with Forwarder(model.path) as made:
        yield made


async def asked(forwarder: Forwarder, raw: bytes) -> bytes:
    reader, writer = await connected(forwarder)
    answer = b""
    async with asyncio.timeout(PATIENCE_S):
        with contextlib.suppress(ConnectionError):
            writer.write(raw)
            await writer.drain()
            answer = await reader.read()
    writer.close()
    return bytes(answer)


async def refused(forwarder: Forwarder, model: Model, raw: bytes) -> int:
    answer = await asked(forwarder, raw)
    first, _, body = answer.partition(b"\r\n\r\n")
    assert json.loads(body)["type"] == "error"
    assert b"connection: close" in first and model.heads == []
    assert forwarder.key.encode() not in answer
    return int(first.split()[1])


# --- what goes on -------------------------------------------------------------------


async def test_carries_large_bodies_on_many_connections(
    forwarder: Forwarder, model: Model
) -> None:
    async def once(body: bytes) -> None:
        first = head(forwarder, Content_Length=str(len(body)))
        answer = await asked(forwarder, first + body)
        expected = f"{len(body)} {hashlib.sha256(body).hexdigest()}"
        assert answer.endswith(expected.encode())

    bodies = [bytes([n]) * (n * 40_000) for n in range(24)]
    await asyncio.gather(*(once(body) for body in bodies))


async def test_the_key_and_other_headers_stay_here(
    forwarder: Forwarder, model: Model
) -> None:
    raw = head(forwarder, cookie="c=1", Connection="keep-alive", Expect="100-continue")
    assert (await asked(forwarder, raw + b"{}")).startswith(b"HTTP/1.1 200")
    (passed,) = model.heads
    assert passed == (
        b"POST /v1/messages?beta=true HTTP/1.1\r\nhost: model\r\n"
        b"anthropic-beta: effort-2025-11-24\r\ncontent-length: 2\r\n"
        b"content-type: application/json\r\nconnection: close\r\n\r\n"
    )


async def test_a_key_may_come_as_a_bearer(forwarder: Forwarder, model: Model) -> None:
    bearer: dict[str, Any] = {
        "x_api_key": None,
        "Authorization": f"Bearer {forwarder.key}",
    }
    answer = await asked(forwarder, head(forwarder, **bearer) + b"{}")
    assert answer.startswith(b"HTTP/1.1 200")


async def test_one_connection_carries_one_request(
    forwarder: Forwarder, model: Model
) -> None:
    raw = head(forwarder) + b"{}"
    hidden = head(forwarder, "POST /v1/files HTTP/1.1") + b"{}"
    assert (await asked(forwarder, raw + hidden)).count(b"HTTP/1.1 200") == 1
    assert len(model.heads) == 1


async def test_a_client_that_leaves_is_gone_for_the_relay_too(
    forwarder: Forwarder, model: Model
) -> None:
    _, writer = await connected(forwarder)
    writer.write(head(forwarder, Content_Length="4") + b"wait")
    await writer.drain()
    while not model.heads:
        await asyncio.sleep(0.001)
    writer.close()
    await model.gone.wait()


# --- what is refused ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"x_api_key": None}, 401),
        ({"x_api_key": "placeholder"}, 401),
        ({"x_api_key": ""}, 401),
        ({"x_api_key": None, "Authorization": "Basic Zm9vOmJhcg=="}, 401),
        ({"Host": "evil.example"}, 403),
        ({"Host": None}, 403),
        ({"Host": "localhost:80"}, 403),
        ({"Host": "127.0.0.1"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content_Type": None}, 415),
        ({"Content_Length": None}, 400),
        ({"Content_Length": "+2"}, 400),
        ({"Content_Length": "2, 2"}, 400),
        ({"Transfer_Encoding": "chunked"}, 400),
        ({"Content_Length": None, "Transfer_Encoding": "gzip, chunked"}, 400),
        ({"x_y": "a\nhost: evil"}, 400),
        ({"x_y": "a\rb"}, 400),
        ({"x_y": "\x00"}, 400),
        ({"x_y": "a\r\n folded: b"}, 400),
        ({"x_y": "a\r\nHost: evil.example"}, 400),
        ({"x_y": "a\r\nContent-Length: 3"}, 400),
        ({"x_y": "a\r\nContent-Length : 3"}, 400),
    ],
)
async def test_heads_that_are_refused(
    forwarder: Forwarder, model: Model, changes: dict[str, Any], status: int
) -> None:
    raw = head(forwarder, **changes) + b"{}"
    assert await refused(forwarder, model, raw) == status


@pytest.mark.parametrize(
    ("first", "status"),
    [
        ("GET /v1/messages HTTP/1.1", 404),
        ("OPTIONS /v1/messages HTTP/1.1", 404),
        ("POST / HTTP/1.1", 404),
        ("POST /v1/files HTTP/1.1", 404),
        ("POST /v1/messages/../files HTTP/1.1", 404),
        ("POST http://x/v1/messages HTTP/1.1", 400),
        ("CONNECT evil:443 HTTP/1.1", 400),
        ("POST /v1/messages HTTP/1.0", 400),
        ("POST  /v1/messages HTTP/1.1", 400),
        ("POST /v1/mess\tages HTTP/1.1", 400),
        ("", 400),
    ],
)
async def test_requests_that_are_refused(
    forwarder: Forwarder, model: Model, first: str, status: int
) -> None:
    raw = head(forwarder, first) + b"{}"
    assert await refused(forwarder, model, raw) == status


async def test_a_head_that_is_too_long(forwarder: Forwarder, model: Model) -> None:
    long = head(forwarder, x_y="a" * LIMITS.head)
    reader, writer = await connected(forwarder)
    writer.write(long)
    assert (await reader.readline()).startswith(b"HTTP/1.1 431")
    writer.close()


async def test_every_start_has_a_key_of_its_own(tmp_path: Path) -> None:
    keys = {Forwarder(tmp_path / "x").key for _ in range(20)}
    assert len(keys) == 20 and all(len(key) > 50 for key in keys)
    assert len({key[-20:] for key in keys}) == 1


# --- limits -------------------------------------------------------------------------


async def test_strangers_make_room_and_time_out(model: Model) -> None:
    limits = ForwarderLimits(strangers=4, head_s=0.2)
    async with asyncio.timeout(PATIENCE_S), Forwarder(model.path, limits) as forwarder:
        idle = [await connected(forwarder) for _ in range(40)]
        answer = await asked(forwarder, head(forwarder) + b"{}")
        assert answer.startswith(b"HTTP/1.1 200")
        for reader, writer in idle:
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()


async def test_requests_at_a_time_are_limited(model: Model) -> None:
    limits = ForwarderLimits(connections=2)
    async with asyncio.timeout(PATIENCE_S), Forwarder(model.path, limits) as forwarder:
        held = [await connected(forwarder) for _ in range(2)]
        for _, writer in held:
            writer.write(head(forwarder, Content_Length="4") + b"wait")
        while len(model.heads) < 2:
            await asyncio.sleep(0.001)
        answer = await asked(forwarder, head(forwarder) + b"{}")
        assert answer.startswith(b"HTTP/1.1 429")
        for _, writer in held:
            writer.close()


# --- the model socket ---------------------------------------------------------------


async def test_closes_when_nobody_listens_and_works_once_somebody_does(
    tmp_path: Path,
) -> None:
    model = Model(tmp_path / "model.sock")
    async with asyncio.timeout(PATIENCE_S), Forwarder(model.path) as forwarder:
        assert await asked(forwarder, head(forwarder) + b"{}") == b""
        async with model.listening():
            answer = await asked(forwarder, head(forwarder) + b"{}")
            assert answer.startswith(b"HTTP/1.1 200")


async def test_leaving_ends_open_connections(model: Model) -> None:
    async with asyncio.timeout(PATIENCE_S):
        async with Forwarder(model.path) as forwarder:
            reader, writer = await connected(forwarder)
            writer.write(b"x")
            await writer.drain()
        with contextlib.suppress(ConnectionResetError):  # as good an end as any
            assert await reader.read() == b""
        writer.close()


async def test_long_socket_paths_work(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 80) / ("e" * 80)
    deep.mkdir(parents=True)
    near = Model(tmp_path / "near.sock")
    async with near.listening():
        near.path.rename(deep / "model.sock")
        async with Forwarder(deep / "model.sock") as forwarder:
            answer = await asked(forwarder, head(forwarder) + b"{}")
            assert answer.startswith(b"HTTP/1.1 200")
