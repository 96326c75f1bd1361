"""The relay where its two ends fail, come and go."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from checks.kits.patience import BEYOND_S, PATIENCE_S
from checks.kits.relay.answering import answering, error_of
from checks.kits.relay.bench import (
    PATH,
    Setup,
    agent,
    message,
    policy,
    script,
    setup_in,
    until_served,
    with_upstream,
)
from pyglue.config import HiveConfig, RelayConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.relay.app import Relay


@pytest.fixture
async def setup(tmp_path: Path) -> AsyncIterator[Setup]:
    async with setup_in(tmp_path) as made:
        yield made


async def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with with_upstream(tmp_path, f"http://127.0.0.1:{port}") as (hived, alice):
        error = await error_of(alice)
        assert error.startswith("502 api_error") and "refused" in error
        settled = await hived.until_settled(1)
        assert (settled.status, settled.cost_usd) == (502, 0.0)


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
