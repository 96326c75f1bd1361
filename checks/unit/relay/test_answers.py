"""Answers of the model's side: what is passed on, masked, or broken off."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.kits.relay.answering import answering, error_of
from checks.kits.relay.bench import (
    KEY,
    LIMITS,
    PATH,
    message,
    with_upstream,
)
from pyglue.redaction.response_mask import Mask
from pyglue.relay.upstream import HIDDEN


async def test_a_key_that_the_models_side_repeats_stays_hidden(
    tmp_path: Path,
) -> None:
    body = f'{{"error": {{"message": "invalid x-api-key {KEY}"}}}}'.encode()
    raw = (
        f"HTTP/1.1 401 X\r\nContent-Type: application/json\r\nRequest-Id: {KEY}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    async with (
        answering(raw) as url,
        with_upstream(tmp_path, url) as (_hived, alice),
        alice.post(PATH, json=message()) as answer,
    ):
        seen = f"{answer.headers} {await answer.text()}"
        assert answer.status == 401
    assert KEY not in seen and "invalid x-api-key (API key)" in seen


@contextlib.asynccontextmanager
async def answering_in_pieces(
    pieces: tuple[bytes, ...], kind: str
) -> AsyncIterator[tuple[str, asyncio.Semaphore]]:
    """Answer with 200 and a piece for each release of the semaphore."""
    go = asyncio.Semaphore(0)

    async def answer(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.read(65536)
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode())
        for piece in pieces:
            await go.acquire()
            writer.write(piece)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", go


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_key_within_an_answer_stays_hidden_also_in_two_pieces(
    tmp_path: Path, is_streamed: bool
) -> None:
    kind = "text/event-stream" if is_streamed else "application/json"
    pieces = (b"one\n\n", f"two {KEY[:9]}".encode(), f"{KEY[9:]}\n\n".encode())
    async with (
        answering_in_pieces((*pieces, KEY[:5].encode()), kind) as (url, go),
        with_upstream(tmp_path, url) as (_hived, alice),
    ):
        go.release()
        body = message(stream=is_streamed)
        async with alice.post(PATH, json=body) as answer:
            assert await answer.content.readany() == b"one\n\n"  # nothing is delayed
            go.release()
            assert await answer.content.readany() == b"two "
            go.release()
            assert await answer.content.readany() == b"(API key)\n\n"
            go.release()
            assert await answer.content.read() == KEY[:5].encode()


@given(st.lists(st.binary(max_size=9) | st.sampled_from([b"aab", b"aa", b"b"])))
def test_a_mask_passes_on_all_but_the_key(pieces: list[bytes]) -> None:
    mask = Mask({b"aab": HIDDEN})
    passed = b"".join(map(mask.feed, pieces)) + mask.end()
    assert passed == b"".join(pieces).replace(b"aab", HIDDEN)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "lost"),
        (b"garbage\r\n\r\n", "failed"),
        (b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\n\r\n", "redirect"),
        (b"HTTP/1.1 307 X\r\nlocation: http://127.0.0.1:9/\r\n\r\n", "redirect"),
        (b"HTTP/1.1 204 X\r\n\r\n", "status 204"),
    ],
)
async def test_a_model_that_answers_nonsense(
    tmp_path: Path, raw: bytes, why: str
) -> None:
    async with answering(raw) as url, with_upstream(tmp_path, url) as (hived, alice):
        error = await error_of(alice)
        assert error.startswith("502 api_error") and why in error
        (reserved,), settled = hived.reserved, await hived.until_settled(1)
        # Nobody knows what a request used that went up and got no answer.
        assert settled.cost_usd == (0.0 if why == "redirect" else reserved.cost_usd)


JSON = b"content-type: application/json\r\n"

HTML = b"content-type: text/html\r\n"

SSE = b"content-type: text/event-stream\r\n"


def http(status: bytes, headers: bytes, body: bytes) -> bytes:
    length = b"content-length: %d\r\n" % len(body)
    return b"HTTP/1.1 " + status + b" X\r\n" + headers + length + b"\r\n" + body


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (
            http(b"200", HTML, b"<script>"),
            "text/event-stream",
        ),
        (http(b"200", JSON, b"{}"), "text/event-stream"),
        (http(b"404", HTML, b"<script>"), "application/json"),
        (http(b"500", b"", b"x"), "application/json"),
        (http(b"400", JSON, b" " * (LIMITS.error + 1)), "more than"),
        (http(b"200", b"x: " + b"y" * 20_000 + b"\r\n" + SSE, b""), "failed"),
        (http(b"201", JSON, b"{}"), "status 201"),
    ],
)
async def test_answers_of_another_form_are_not_passed_on(
    tmp_path: Path, raw: bytes, why: str
) -> None:
    async with answering(raw) as url, with_upstream(tmp_path, url) as (hived, alice):
        error = await error_of(alice)
        assert why in error and "script" not in error
        await hived.until_settled(1)


async def test_headers_of_the_model_are_few_and_plain(tmp_path: Path) -> None:
    limits = b"".join(b"anthropic-ratelimit-%d: 1\r\n" % n for n in range(60))
    odd = b"request-id: \xe9\r\nset-cookie: a=b\r\nlocation: http://x\r\n"
    raw = http(b"400", JSON + odd + limits, b"{}")
    async with (
        answering(raw) as url,
        with_upstream(tmp_path, url) as (_, alice),
        alice.post(PATH, json=message()) as answer,
    ):
        assert answer.status == 400
        names = {name.lower() for name in answer.headers}
        assert not names & {"request-id", "set-cookie", "location"}
        assert sum(name.startswith("anthropic") for name in names) == 32


@pytest.mark.parametrize(
    "line", [b"x" * (LIMITS.line + 1), (b"x" * 1023 + b"\n") * 68 * 2**10]
)
async def test_endless_answers_are_broken_off_and_count_as_reserved(
    tmp_path: Path, line: bytes
) -> None:
    raw = http(b"200", SSE, line)
    async with answering(raw) as url, with_upstream(tmp_path, url) as (hived, alice):
        with pytest.raises(aiohttp.ClientError):
            async with alice.post(PATH, json=message()) as answer:
                await answer.read()
        settled = await hived.until_settled(1)
        assert settled.cost_usd == hived.reserved[0].cost_usd
