"""Clients that are slow or gone: the relay waits for none of them for ever."""

import asyncio
import contextlib
import json
from pathlib import Path

import pytest

from checks.kits.patience import PATIENCE_S
from checks.kits.relay.bench import PATH, connected, message, script, setup_in
from pyglue.limits import RelayLimits

HEAD = b"POST /v1/messages?beta=true HTTP/1.1\r\nhost: m\r\n"


@pytest.mark.parametrize("sent", [b"", HEAD, HEAD + b"x-"])
async def test_a_connection_without_a_head_is_closed(
    tmp_path: Path, sent: bytes
) -> None:
    async with setup_in(tmp_path, RelayLimits(header_s=0.2)) as setup:
        reader, writer = await connected(setup.hived.door("alice"))
        writer.write(sent)
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()


async def test_a_connection_that_asks_nothing_more_is_closed(tmp_path: Path) -> None:
    async with setup_in(tmp_path, RelayLimits(idle_s=0.2)) as setup:
        reader, writer = await connected(setup.hived.door("alice"))
        writer.write(b"HEAD / HTTP/1.1\r\nhost: m\r\n\r\n" * 2 + HEAD)
        async with asyncio.timeout(PATIENCE_S):
            assert (await reader.read()).count(b"HTTP/1.1 200") == 2
        writer.close()


async def test_a_body_that_does_not_come_is_refused(tmp_path: Path) -> None:
    async with setup_in(tmp_path, RelayLimits(body_s=0.2)) as setup:
        reader, writer = await connected(setup.hived.door("alice"))
        writer.write(HEAD + b"content-length: 100\r\n\r\n{")
        async with asyncio.timeout(PATIENCE_S):
            assert (await reader.readline()).startswith(b"HTTP/1.1 400")
        writer.close()


async def test_who_does_not_read_an_answer_is_cut_off_and_pays(tmp_path: Path) -> None:
    limits = RelayLimits(unread_s=0.2, drain_s=0.2)
    async with setup_in(tmp_path, limits) as setup:
        step = {"text": "word" * 2_000_000, "input_tokens": 7}
        body = json.dumps(message(script(step))).encode()
        reader, writer = await connected(setup.hived.door("alice"))
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(HEAD + f"content-length: {len(body)}\r\n\r\n".encode() + body)
        settled = await setup.hived.until_settled(1)
        assert settled.status == 200 and settled.cost_usd > 0
        writer.close()
        del reader


async def test_an_answer_is_read_on_for_its_usage_when_the_client_left(
    tmp_path: Path,
) -> None:
    async with setup_in(tmp_path, RelayLimits()) as setup:
        step = {"text": "word " * 200, "chunk_sleep": 0.001, "output_tokens": 77}
        async with setup.alice.post(PATH, json=message(script(step))) as answer:
            await answer.content.readany()
            answer.close()
        settled = await setup.hived.until_settled(1)
        assert (settled.status, settled.output_tokens) == (200, 77)
