"""The relay when either end fails or restarts, and as a program of its own."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.kits.patience import BEYOND_S, PATIENCE_S
from checks.kits.relay.bench import (
    KEY,
    LIMITS,
    PATH,
    Setup,
    agent,
    config,
    message,
    policy,
    script,
    setup_in,
    until_served,
    with_upstream,
)
from checks.kits.relay.hived import FakeHived
from pyglue.config import HiveConfig, RelayConfig, dump
from pyglue.demo.scripted_model import ScriptedModel
from pyglue.errors import ErrorCode, HiveError
from pyglue.redaction.response_mask import Mask
from pyglue.relay.app import Relay
from pyglue.relay.upstream import HIDDEN


@pytest.fixture
async def setup(tmp_path: Path) -> AsyncIterator[Setup]:
    async with setup_in(tmp_path) as made:
        yield made


# --- the model's side ---------------------------------------------------------------
@contextlib.asynccontextmanager
async def answering(raw: bytes) -> AsyncIterator[str]:
    """Answer every connection with ``raw`` and hang up."""

    async def answer(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.read(65536)
        writer.write(raw)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def error_of(alice: aiohttp.ClientSession) -> str:
    async with alice.post(PATH, json=message()) as answer:
        error = (await answer.json())["error"]
        return f"{answer.status} {error['type']}: {error['message']}"


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


async def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with with_upstream(tmp_path, f"http://127.0.0.1:{port}") as (hived, alice):
        error = await error_of(alice)
        assert error.startswith("502 api_error") and "refused" in error
        settled = await hived.until_settled(1)
        assert (settled.status, settled.cost_usd) == (502, 0.0)


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


async def test_a_certificate_that_is_not_trusted(tmp_path: Path) -> None:
    async with answering(b"not TLS") as url:
        https = url.replace("http:", "https:")
        async with with_upstream(tmp_path, https) as (_, alice):
            error = await error_of(alice)
            assert error.startswith("502 api_error") and "TLS" in error


@pytest.mark.parametrize(
    "url",
    ["http://example.com", "ftp://127.0.0.1", "api.anthropic.com", "https://", ""],
)
async def test_the_key_goes_to_no_such_address(tmp_path: Path, url: str) -> None:
    made = HiveConfig(
        state_dir=str(tmp_path),
        runtime_dir=str(tmp_path),
        relay=RelayConfig(upstream_url=url),
    )
    with pytest.raises(HiveError) as caught:
        Relay(made)
    assert caught.value.code is ErrorCode.CONFIG_INVALID


@pytest.mark.parametrize("text", [None, "", "two keys", "k\n\nk", "é"])
async def test_without_a_key_nothing_goes_up(setup: Setup, text: str | None) -> None:
    key = Path(str(setup.config.relay.api_key_file))
    if text is None:
        key.unlink()
    else:
        key.write_text(text)
    error = await setup.refused(message())
    assert error.startswith("401 authentication_error")
    assert "é" not in error and "two keys" not in error
    assert (await setup.hived.until_settled(1)).cost_usd == 0.0
    assert setup.model.bodies == []


async def test_a_new_key_holds_at_once(setup: Setup) -> None:
    Path(str(setup.config.relay.api_key_file)).write_text("another")
    await setup.post(message())
    (sent,) = setup.model.headers
    assert {n.lower(): v for n, v in sent.items()}["x-api-key"] == "another"


# --- hived comes and goes -----------------------------------------------------------
async def test_hived_restarts(setup: Setup) -> None:
    slow = message(
        script({"text": "one two", "chunk_sleep": BEYOND_S, "input_tokens": 5})
    )
    async with setup.alice.post(PATH, json=slow) as answer:
        await answer.content.readany()
        setup.hived.stop()
        # The old door still stands, and says what is the matter.
        async with asyncio.timeout(PATIENCE_S):
            while True:
                error = await setup.refused(message())
                assert error.startswith("503 overloaded_error")
                if "hived is not connected" in error:
                    break
        await setup.hived.start()
        setup.hived.add(policy())
        async with agent(setup.hived.door("alice")) as anew:
            await until_served(anew)
            async with anew.post(PATH, json=message()) as other:
                assert other.status == 200
        assert not answer.closed  # an answer that had begun goes on
    async with asyncio.timeout(PATIENCE_S):
        await setup.hived.until(
            lambda: any(one.input_tokens == 5 for one in setup.hived.settled)
        )


async def test_who_is_halted_is_cut_off_and_asks_nothing(setup: Setup) -> None:
    slow = message(
        script({"text": "one two", "chunk_sleep": BEYOND_S, "input_tokens": 5})
    )
    async with setup.alice.post(PATH, json=slow) as answer:
        await answer.content.readany()
        setup.hived.change(policy(halted="operator paused the hive."))
        with pytest.raises(aiohttp.ClientError):
            await answer.read()
    assert (await setup.hived.until_settled(1)).input_tokens == 5
    counted = message()
    del counted["max_tokens"], counted["stream"]
    for body, path in ((message(), PATH), (counted, "/v1/messages/count_tokens")):
        status, text = await setup.post(body, path)
        assert (status, "operator paused the hive." in text) == (503, True)
    assert len(setup.hived.reserved) == 1
    setup.hived.change(policy())
    await until_served(setup.alice)  # by the same socket
    status, _ = await setup.post(message())
    assert status == 200


async def test_what_ended_while_hived_was_away_is_settled_later(setup: Setup) -> None:
    slow = message(
        script({"text": "one two", "chunk_sleep": BEYOND_S, "input_tokens": 5})
    )
    async with setup.alice.post(PATH, json=slow) as answer:
        await answer.content.readany()
        setup.hived.stop()
        async with asyncio.timeout(PATIENCE_S):
            while not (await setup.refused(message())).startswith("503"):
                pass
    await asyncio.gather(*(setup.post(message()) for _ in range(3)))  # it hung up
    await setup.hived.start()
    setup.hived.add(policy())
    settled = await setup.hived.until_settled(1)
    assert (settled.input_tokens, settled.reservation) == (5, 1)


async def test_an_agent_that_went_while_hived_was_away(setup: Setup) -> None:
    setup.hived.stop()
    setup.hived.policies.clear()
    await setup.hived.start()
    async with asyncio.timeout(PATIENCE_S):
        with contextlib.suppress(aiohttp.ClientError):
            while True:
                await setup.post(message())


# --- the program --------------------------------------------------------------------
async def test_the_program_serves_logs_no_body_and_ends(tmp_path: Path) -> None:
    model = ScriptedModel()
    await model.start()
    deep = tmp_path / ("d" * 60) / ("e" * 60)  # too long for a socket's path
    deep.mkdir(parents=True)
    made = config(deep, model.address)
    (deep / "config.json").write_bytes(dump(made))
    hived = FakeHived(made)
    await hived.start()
    hived.add(policy())
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "pyglue.relay.main",
        "--config",
        str(deep / "config.json"),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        directory = os.open(hived.door("alice").parent, os.O_PATH)
        door = Path(f"/proc/self/fd/{directory}/model.sock")
        async with agent(door) as alice:
            await until_served(alice)
            for body in (message("a secret"), message("a secret", files=["a secret"])):
                async with alice.post(PATH, json=body) as answer:
                    await answer.read()
            held = message(script({"text": "one two", "chunk_sleep": BEYOND_S}))
            async with alice.post(PATH, json=held) as answer:
                await answer.content.readany()
                program.send_signal(signal.SIGTERM)
                async with asyncio.timeout(PATIENCE_S):
                    assert await program.wait() == 0
        os.close(directory)
        assert program.stderr is not None
        log = (await program.stderr.read()).decode()
        assert "connected to hived" in log and "field_refused" in log
        assert "a secret" not in log and KEY not in log and "Traceback" not in log
    finally:
        if program.returncode is None:
            program.kill()
        hived.stop()
        await model.stop()


async def test_the_program_says_what_is_wrong(tmp_path: Path) -> None:
    made = config(tmp_path, "http://example.com")
    (tmp_path / "config.json").write_bytes(dump(made))
    for name in ("config.json", "missing.json"):
        program = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "pyglue.relay.main",
            "--config",
            str(tmp_path / name),
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await program.communicate()
        assert program.returncode == 1
        assert said.startswith(b"hive-relay: ") and said.count(b"\n") == 1
