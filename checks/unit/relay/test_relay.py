"""The relay between an agent's socket and the model: what passes, what is refused."""

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from checks.kits.patience import BEYOND_S, PATIENCE_S
from checks.kits.relay.bench import (
    KEY,
    MODEL,
    PATH,
    Setup,
    connected,
    events,
    message,
    script,
    setup_in,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.limits import RelayLimits


@pytest.fixture
async def setup(tmp_path: Path) -> AsyncIterator[Setup]:
    async with setup_in(tmp_path) as made:
        yield made


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
    slow = script({"text": "one two three four", "chunk_sleep": BEYOND_S})
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


async def test_counting_costs_nothing_and_is_noted(setup: Setup) -> None:
    body = message(stream=True)  # which means nothing here
    status, text = await setup.post(body, "/v1/messages/count_tokens?beta=true")
    assert (status, list(json.loads(text))) == (200, ["input_tokens"])
    (asked,) = setup.hived.reserved
    assert 0 < asked.cost_usd < 0.001 and asked.output_tokens == 0
    settled = await setup.hived.until_settled(1)
    assert (settled.status, settled.cost_usd, settled.input_tokens) == (200, 0.0, 0)


async def test_what_is_counted_is_no_stream_whatever_was_asked(setup: Setup) -> None:
    path = "/v1/messages/count_tokens?beta=true"
    status, text = await setup.post(message(stream=True), path)
    assert (status, list(json.loads(text))) == (200, ["input_tokens"])


@pytest.mark.parametrize(
    "code", [ErrorCode.AGENT_NOT_RUNNING, ErrorCode.UNAVAILABLE, ErrorCode.OVER_BUDGET]
)
async def test_nothing_is_counted_for_an_agent_that_may_not_ask(
    setup: Setup, code: ErrorCode
) -> None:
    setup.hived.refuse = HiveError(code, "Not now.")
    error = await setup.refused(message(), "/v1/messages/count_tokens")
    assert error.endswith("Not now.")
    assert setup.model.counted == 0


async def test_head_is_answered_here(setup: Setup) -> None:
    async with setup.alice.head("/") as answer:
        assert answer.status == 200


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
    reader, writer = await connected(setup.hived.door("alice"))
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


async def test_a_key_twice_has_one_meaning_and_goes_up_once(setup: Setup) -> None:
    whole = json.dumps(message()).encode()
    opus = b',"model":"claude-opus-5-5"}'
    assert (await setup.refused(whole[:-1] + opus)).startswith("404")
    assert setup.model.bodies == []
    raw = opus.replace(b",", b"{").replace(b"}", b",") + whole[1:]
    assert (await setup.post(raw))[0] == 200
    (body,) = setup.model.bodies
    assert body["model"] == MODEL


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_request_that_is_too_large(setup: Setup, chunked: bool) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(RelayLimits().body // 2**20 + 1):
            yield b" " * 2**20

    data: Any = parts() if chunked else b" " * (RelayLimits().body + 1)
    with contextlib.suppress(aiohttp.ClientOSError):  # it may hang up while we send
        async with setup.alice.post(PATH, data=data) as answer:
            assert answer.status == 413
            assert "request_too_large" in await answer.text()
    assert setup.model.bodies == []


async def test_a_compressed_request_is_not_unpacked(setup: Setup) -> None:
    packed = gzip.compress(b" " * (RelayLimits().body + 1))
    error = await setup.refused(packed, content_encoding="gzip")
    assert error.startswith("400") and "content-encoding" in error
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
