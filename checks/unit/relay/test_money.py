"""What the relay allows an agent to do and spend: policy and accounting."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from checks.kits.patience import BEYOND_S, PATIENCE_S
from checks.kits.relay.bench import (
    MODEL,
    PATH,
    Setup,
    agent,
    message,
    policy,
    script,
    setup_in,
    until_served,
)
from pyglue.errors import ErrorCode, HiveError


@pytest.fixture
async def setup(tmp_path: Path) -> AsyncIterator[Setup]:
    async with setup_in(tmp_path) as made:
        yield made


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
    slow = message(script({"text": "one two", "chunk_sleep": BEYOND_S}))
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
    assert all(0.014 < params.cost_usd < 0.015 for params in asked)
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


async def test_leaving_as_money_is_set_aside_gives_it_back(setup: Setup) -> None:
    setup.hived.hold = asyncio.Event()
    asked = asyncio.create_task(setup.post(message()))
    await setup.hived.until(lambda: len(setup.hived.reserved) == 1)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    setup.hived.hold.set()
    settled = await setup.hived.until_settled(1)
    assert (settled.status, settled.cost_usd) == (499, 0.0)
    assert setup.model.bodies == []


async def test_near_the_limit_a_request_waits_for_the_others(setup: Setup) -> None:
    slow = message(script({"text": "one two", "sleep": 0.2, "output_tokens": 3}))
    first = asyncio.create_task(setup.post(slow))
    await setup.model.received(1)
    setup.hived.limit_usd = 0.01  # what is left does not pay for another like it
    second = asyncio.create_task(setup.post(message(max_tokens=2048)))
    await setup.hived.until(lambda: setup.hived.over_budget == 1)
    assert len(setup.model.bodies) == 1
    assert (await first)[0] == 200
    setup.hived.limit_usd = None
    assert (await second)[0] == 200
    assert setup.model.counted == 1
    assert len(setup.hived.settled) >= 1
