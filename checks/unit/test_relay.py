"""The relay between an agent's socket and the model: what passes, what is counted."""

import asyncio
import contextlib
import gzip
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from checks.relay_kit import (
    KEY,
    MODEL,
    PATIENCE_S,
    FakeHived,
    agent,
    config,
    events,
    message,
    policy,
    relaying,
    script,
)
from pyglue.config import HiveConfig, RelayConfig, dump
from pyglue.demo.scripted_model import ScriptedModel
from pyglue.errors import ErrorCode, HiveError
from pyglue.relay.app import Relay
from pyglue.relay.request import BODY_LIMIT

PATH = "/v1/messages?beta=true"


@dataclass
class Setup:
    """Everything that a test needs."""

    hived: FakeHived
    model: ScriptedModel
    alice: aiohttp.ClientSession
    config: HiveConfig

    async def post(
        self,
        body: Any,
        path: str = PATH,
        **headers: str,
    ) -> tuple[int, str]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.alice.post(path, data=data, headers=named) as answer:
            return answer.status, await answer.text()

    async def refused(self, body: Any, path: str = PATH, **headers: str) -> str:
        """Post, expect an error in the API's form, return its type and text."""
        status, text = await self.post(body, path, **headers)
        error = json.loads(text)
        assert error["type"] == "error"
        assert set(error["error"]) == {"type", "message"}
        return f"{status} {error['error']['type']}: {error['error']['message']}"


@pytest.fixture
async def setup(tmp_path: Path) -> AsyncIterator[Setup]:
    model = ScriptedModel()
    await model.start()
    made = config(tmp_path, model.address)
    hived = FakeHived(made)
    await hived.start()
    hived.add(policy())
    try:
        async with relaying(made), agent(hived.door("alice")) as alice:
            await until_served(alice)
            yield Setup(hived, model, alice, made)
    finally:
        hived.stop()
        await model.stop()


async def until_served(session: aiohttp.ClientSession) -> None:
    """Return when requests are no longer told to come back later."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            body = message(model="nobody's")
            async with session.post(PATH, json=body) as answer:
                if answer.status == 404:
                    return


# --- what passes --------------------------------------------------------------------


async def test_a_request_goes_up_anew_and_its_answer_comes_back(setup: Setup) -> None:
    body = message("hi", model="sonnet")
    status, text = await setup.post(
        body,
        anthropic_beta="effort-2025-11-24",
        x_api_key="theirs",
        authorization="Bearer theirs",
        cookie="theirs=1",
        x_app="theirs",
        anthropic_version="1999-01-01",
        host="theirs",
        user_agent="theirs",
        anthropic_dangerous_direct_browser_access="theirs",
    )
    assert status == 200
    kinds = [event["type"] for event in events(text)]
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop"
    assert setup.model.bodies == [{**body, "model": MODEL}]
    (sent,) = setup.model.headers
    sent = {name.lower(): value for name, value in sent.items()}
    assert sent.pop("content-length").isdigit()
    assert sent.pop("host") in setup.model.address
    assert sent == {
        "accept": "application/json",
        "accept-encoding": "identity",
        "anthropic-beta": "effort-2025-11-24",
        "anthropic-version": "2023-06-01",
        "content-type": "application/json",
        "user-agent": "hyperhive-relay",
        "x-api-key": KEY,
    }


async def test_an_answer_comes_as_it_is_made(setup: Setup) -> None:
    slow = script({"text": "one two three four", "chunk_sleep": 60})
    async with setup.alice.post(PATH, json=message(slow)) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        seen = b""
        async with asyncio.timeout(PATIENCE_S):
            while b"one " not in seen:
                seen += await answer.content.readany()
        assert b"message_stop" not in seen


async def test_only_harmless_headers_come_back(setup: Setup) -> None:
    step = {
        "text": "x",
        "headers": {
            "set-cookie": "a=b",
            "x-secret": "1",
            "request-id": "req_1",
            "retry-after": "3",
            "anthropic-ratelimit-tokens-remaining": "7",
            "anthropic-organization-id": "org",
        },
    }
    async with setup.alice.post(PATH, json=message(script(step))) as answer:
        names = {name.lower() for name in answer.headers}
    assert names - {"date", "server", "transfer-encoding", "connection"} == {
        "content-type",
        "request-id",
        "retry-after",
        "anthropic-ratelimit-tokens-remaining",
    }


async def test_counting_costs_nothing(setup: Setup) -> None:
    body = message()
    del body["max_tokens"], body["stream"]
    status, text = await setup.post(body, "/v1/messages/count_tokens?beta=true")
    assert (status, list(json.loads(text))) == (200, ["input_tokens"])
    assert setup.hived.reserved == []


async def test_head_is_answered_here(setup: Setup) -> None:
    async with setup.alice.head("/") as answer:
        assert answer.status == 200


async def test_a_compressed_request_is_read(setup: Setup) -> None:
    packed = gzip.compress(json.dumps(message()).encode())
    status, _ = await setup.post(packed, content_encoding="gzip")
    assert status == 200


async def test_errors_of_the_model_pass(setup: Setup) -> None:
    step = {"status": 429, "message": "slow down", "headers": {"retry-after": "9"}}
    async with setup.alice.post(PATH, json=message(script(step))) as answer:
        assert (answer.status, answer.headers["retry-after"]) == (429, "9")
        assert (await answer.json())["error"]["message"] == "slow down"
    settled = await setup.hived.until_settled(1)
    assert (settled.status, settled.cost_usd) == (429, 0.0)


# --- refusals: nothing goes up ------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/v1/models"),
        ("GET", "/v1/messages"),
        ("PUT", "/v1/messages"),
        ("POST", "/"),
        ("POST", "/v1/messages/"),
        ("POST", "/v1/messages/batches"),
        ("POST", "/v1/files"),
        ("POST", "/v1/messages?beta=false"),
        ("POST", "/v1/messages?beta=true&x=1"),
        ("POST", "//v1/messages"),
        ("POST", "/v1/../v1/messages"),
        ("POST", "/v1/messages%3Fbeta=true"),
        ("HEAD", "/v1/messages"),
        ("DELETE", "/v1/sessions/1"),
    ],
)
async def test_other_paths(setup: Setup, method: str, path: str) -> None:
    reader, writer = await asyncio.open_unix_connection(setup.hived.door("alice"))
    body = json.dumps(message())
    head = f"{method} {path} HTTP/1.1\r\nhost: m\r\nconnection: close\r\n"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 404")
    assert b"not_found_error" in answer or method == "HEAD"
    assert setup.model.bodies == []


@pytest.mark.parametrize(
    ("body", "headers", "error"),
    [
        ({"mcp_servers": []}, {}, "400 invalid_request_error"),
        ({"tools": [{"type": "web_fetch_20250910"}]}, {}, "400 invalid_request_error"),
        ({"model": "claude-opus-5-5"}, {}, "404 not_found_error: model:"),
        ({}, {"anthropic_beta": "files-api-2025-04-14"}, "400 invalid_request_error"),
    ],
)
async def test_what_is_not_let_through(
    setup: Setup, body: dict[str, Any], headers: dict[str, str], error: str
) -> None:
    assert (await setup.refused(message(**body), **headers)).startswith(error)
    counted = "/v1/messages/count_tokens"
    assert (await setup.refused(message(**body), counted, **headers)).startswith(error)
    assert setup.model.bodies == [] and setup.hived.reserved == []


async def test_a_request_with_a_key_twice(setup: Setup) -> None:
    raw = json.dumps(message()).encode()[:-1] + b',"model":"claude-opus-5-5"}'
    assert "twice" in await setup.refused(raw)
    assert setup.model.bodies == []


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_request_that_is_too_large(setup: Setup, chunked: bool) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(BODY_LIMIT // 2**20 + 1):
            yield b" " * 2**20

    data: Any = parts() if chunked else b" " * (BODY_LIMIT + 1)
    with contextlib.suppress(aiohttp.ClientOSError):  # it may hang up while we send
        async with setup.alice.post(PATH, data=data) as answer:
            assert answer.status == 413
            assert "request_too_large" in await answer.text()
    assert setup.model.bodies == []


async def test_a_bomb_that_unpacks_too_large(setup: Setup) -> None:
    bomb = gzip.compress(b" " * (BODY_LIMIT + 1))
    with contextlib.suppress(aiohttp.ClientOSError):
        status, _ = await setup.post(bomb, content_encoding="gzip")
        assert status == 413
    assert setup.model.bodies == []


async def test_too_many_requests_at_once(setup: Setup) -> None:
    held = [
        asyncio.create_task(setup.post(message(script({"text": "x", "sleep": 60}))))
        for _ in range(16)
    ]
    await setup.model.received(16)
    assert (await setup.refused(message())).startswith("429 rate_limit_error")
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)


# --- policies -----------------------------------------------------------------------


async def test_a_new_policy_holds_from_the_next_request_on(setup: Setup) -> None:
    opus = message(model="opus")
    assert (await setup.refused(opus)).startswith("404")
    setup.hived.change(policy(models=("claude-opus-5-5",)))
    async with asyncio.timeout(PATIENCE_S):
        while (await setup.post(opus))[0] != 200:
            pass
    assert (await setup.refused(message())).startswith("404")


async def test_each_socket_has_its_own_policy(setup: Setup) -> None:
    setup.hived.add(policy(agent="bob", models=("claude-opus-5-5",)))
    async with agent(setup.hived.door("bob")) as bob:
        await until_served(bob)
        async with bob.post(PATH, json=message(model="opus")) as answer:
            assert answer.status == 200
        assert (await setup.refused(message(model="opus"))).startswith("404")
    assert [params.agent for params in setup.hived.reserved] == ["bob"]


async def test_a_detached_agent_is_cut_off(setup: Setup) -> None:
    slow = message(script({"text": "one two", "chunk_sleep": 60}))
    async with setup.alice.post(PATH, json=slow) as answer:
        await answer.content.readany()
        setup.hived.detach("alice")
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(aiohttp.ClientError):
                while await answer.content.readany():
                    pass
    settled = await setup.hived.until_settled(1)
    assert settled.cost_usd > 0
    with pytest.raises(aiohttp.ClientError):
        await setup.post(message())


async def test_datagrams_that_are_not_right_do_no_harm(setup: Setup) -> None:
    channel = setup.hived.channel
    with socket.socket() as one, socket.socket() as two:
        socket.send_fds(channel, [b"{}"], [one.fileno()])
        socket.send_fds(channel, [b'{"agent":"x"}'], [])
        socket.send_fds(channel, [b'{"agent":"x"}'], [one.fileno(), two.fileno()])
        socket.send_fds(channel, [b'{"agent":"x"}'], [one.fileno()])  # not listening
    setup.hived.add(policy(agent="bob"))
    async with agent(setup.hived.door("bob")) as bob:
        await until_served(bob)
    assert (await setup.post(message()))[0] == 200


# --- money --------------------------------------------------------------------------


async def test_reserved_before_and_settled_after(setup: Setup) -> None:
    step = {"text": "x", "input_tokens": 7, "output_tokens": 20, "cache_read": 1000}
    for streamed in (True, False):
        await setup.post(message(script(step), stream=streamed))
    first = await setup.hived.until_settled(1)
    second = await setup.hived.until_settled(2)
    asked = setup.hived.reserved
    assert [params.model for params in asked] == [MODEL, MODEL]
    assert all(0.01 < params.cost_usd < 0.011 for params in asked)
    for settled in (first, second):
        assert settled.status == 200
        used = (settled.input_tokens, settled.output_tokens, settled.cache_read_tokens)
        assert used == (7, 20, 1000)
        assert settled.cost_usd == pytest.approx((7 * 2 + 20 * 10 + 1000 * 0.1) / 1e6)
    assert {first.reservation, second.reservation} == {1, 2}


async def test_over_budget_is_told_and_nothing_goes_up(setup: Setup) -> None:
    setup.hived.limit_usd = 0.001
    assert (await setup.refused(message())).startswith("402 billing_error: alice has")
    assert setup.model.bodies == []


async def test_near_the_limit_the_answer_may_only_be_shorter(setup: Setup) -> None:
    setup.hived.limit_usd = 0.1
    assert (await setup.post(message(max_tokens=100_000)))[0] == 200
    (body,), (asked,) = setup.model.bodies, setup.hived.reserved
    assert 9000 < body["max_tokens"] < 10_000
    assert asked.cost_usd <= 0.1


@pytest.mark.parametrize("code", [ErrorCode.AGENT_NOT_RUNNING, ErrorCode.UNAVAILABLE])
async def test_without_a_reservation_nothing_goes_up(
    setup: Setup, code: ErrorCode
) -> None:
    setup.hived.refuse = HiveError(code, "Not now.")
    assert (await setup.refused(message())) == "503 overloaded_error: Not now."
    async with setup.alice.post(PATH, json=message()) as answer:
        assert answer.headers["retry-after"] == "5"
    assert setup.model.bodies == []


async def test_a_stream_that_breaks_is_seen_broken_and_counted(setup: Setup) -> None:
    step = {"text": "word " * 300, "cut": True, "input_tokens": 11}
    with pytest.raises(aiohttp.ClientError):
        await setup.post(message(script(step)))
    settled = await setup.hived.until_settled(1)
    assert (settled.status, settled.input_tokens) == (200, 11)
    assert 500 <= settled.output_tokens <= 1000  # 1500 bytes of text were seen


async def test_an_agent_that_hangs_up_pays(setup: Setup) -> None:
    step = {"text": "word " * 300 + "end", "chunk_sleep": 0.001}
    async with setup.alice.post(PATH, json=message(script(step))) as answer:
        await answer.content.readany()
        answer.close()
    settled = await setup.hived.until_settled(1)
    assert settled.status == 200
    assert settled.input_tokens > 0 and settled.cost_usd > 0


@pytest.mark.parametrize("streamed", [True, False])
async def test_hanging_up_before_the_answer_is_not_free(
    setup: Setup, streamed: bool
) -> None:
    body = message(script({"text": "x", "sleep": 60}), stream=streamed)
    asked = asyncio.create_task(setup.post(body))
    await setup.model.received(1)
    asked.cancel()
    settled = await setup.hived.until_settled(1)
    assert settled.status == 499
    assert settled.input_tokens >= len(json.dumps(body)) // 3
    assert settled.cost_usd > 0


# --- the model's side ---------------------------------------------------------------


@contextlib.asynccontextmanager
async def with_upstream(
    room: Path, upstream: str
) -> AsyncIterator[tuple[FakeHived, aiohttp.ClientSession]]:
    hived = FakeHived(config(room, upstream))
    await hived.start()
    hived.add(policy())
    try:
        async with relaying(hived.config), agent(hived.door("alice")) as alice:
            await until_served(alice)
            yield hived, alice
    finally:
        hived.stop()


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
    ],
)
async def test_a_model_that_answers_nonsense(
    tmp_path: Path, raw: bytes, why: str
) -> None:
    async with answering(raw) as url, with_upstream(tmp_path, url) as (hived, alice):
        error = await error_of(alice)
        assert error.startswith("502 api_error") and why in error
        assert (await hived.until_settled(1)).cost_usd == 0.0


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
    slow = message(script({"text": "one two", "chunk_sleep": 60, "input_tokens": 5}))
    async with setup.alice.post(PATH, json=slow) as answer:
        await answer.content.readany()
        setup.hived.stop()
        # The old door still stands, and says what is the matter.
        async with asyncio.timeout(PATIENCE_S):
            while True:
                error = await setup.refused(message())
                if error.startswith("503 overloaded_error"):
                    break
        assert "hived is not there" in error
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


async def test_what_ended_while_hived_was_away_is_settled_later(setup: Setup) -> None:
    slow = message(script({"text": "one two", "chunk_sleep": 60, "input_tokens": 5}))
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
            held = message(script({"text": "one two", "chunk_sleep": 60}))
            async with alice.post(PATH, json=held) as answer:
                await answer.content.readany()
                program.send_signal(signal.SIGTERM)
                async with asyncio.timeout(2.0):
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
