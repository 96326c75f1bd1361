"""Streamed model output: sent in full, rarely, and only to viewers."""

import asyncio
import json
from typing import Any

import pytest

from checks.kits.patience import PATIENCE_S
from pyglue.api.live_text import LIVE_TEXT_MAX, LiveTextParams, WatchedParams
from pyglue.harness.claude.writing import Writing


class Sent:
    """What was sent, and a way to wait for more of it."""

    def __init__(self) -> None:
        self.all: list[LiveTextParams] = []
        self._more = asyncio.Event()

    def take(self, params: LiveTextParams) -> None:
        self.all.append(params)
        self._more.set()

    @property
    def texts(self) -> list[str]:
        return [one.text for one in self.all]

    async def until(self, text: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while text not in self.texts:
                self._more.clear()
                await self._more.wait()


def line(kind: str, *, parent: str | None = None, **event: Any) -> bytes:
    said = {"type": "stream_event", "event": {"type": kind, **event}}
    return json.dumps({**said, "parent_tool_use_id": parent}).encode()


def begin(kind: str = "text") -> bytes:
    return line("content_block_start", index=0, content_block={"type": kind})


def words(text: str, **more: Any) -> bytes:
    delta = {"type": "text_delta", "text": text}
    return line("content_block_delta", index=0, delta=delta, **more)


END = line("content_block_stop", index=0)


def watched(*, every_s: float = 3600) -> tuple[Writing, Sent]:
    sent = Sent()
    writing = Writing(sent.take, every_s=every_s)
    writing.watch(WatchedParams(watched=True))
    return writing, sent


async def test_the_first_words_come_at_once_and_the_others_together() -> None:
    writing, sent = watched(every_s=0.01)
    writing.take(begin())
    for word in ("One ", "two ", "three."):
        writing.take(words(word))
    assert sent.texts == ["One "]
    await sent.until("One two three.")
    assert sent.texts == ["One ", "One two three."]
    writing.end()


async def test_nothing_is_sent_while_nobody_watches() -> None:
    sent = Sent()
    writing = Writing(sent.take, every_s=3600)
    writing.take(begin())
    writing.take(words("One "))
    assert sent.texts == []
    writing.watch(WatchedParams(watched=True))  # who comes later sees the beginning
    assert sent.texts == ["One "]
    writing.watch(WatchedParams(watched=False))
    writing.take(words("two"))
    writing.end()
    writing.take(begin())
    writing.take(words("Three"))
    assert sent.texts == ["One "]


async def test_a_block_that_is_whole_is_forgotten() -> None:
    writing, sent = watched()
    for one in (begin(), words("One "), words("two"), END, begin(), words("Next")):
        writing.take(one)
    assert sent.texts == ["One ", "Next"]


async def test_thinking_is_named_and_other_blocks_are_left_out() -> None:
    writing, sent = watched()
    delta = {"type": "thinking_delta", "thinking": "Hm."}
    for one in (begin("thinking"), line("content_block_delta", delta=delta), END):
        writing.take(one)
    assert [(one.kind, one.text) for one in sent.all] == [("thinking", "Hm.")]
    partial = {"type": "input_json_delta", "partial_json": "{"}
    for one in (begin("tool_use"), line("content_block_delta", delta=partial), END):
        writing.take(one)
    assert len(sent.all) == 1


async def test_a_long_text_is_sent_up_to_a_limit() -> None:
    writing, sent = watched(every_s=0.01)
    writing.take(begin())
    for _ in range(3):
        writing.take(words("x" * (LIVE_TEXT_MAX // 2 + 1)))
    await sent.until("x" * LIVE_TEXT_MAX)
    writing.end()


@pytest.mark.parametrize(
    "other",
    [
        b"{}",
        b'{"event": 5}',
        b"no json",
        line("content_block_delta", delta={"type": "text_delta", "text": 5}),
        words("of a subagent", parent="toolu_1"),
    ],
)
async def test_what_it_cannot_read_is_left_out(other: bytes) -> None:
    writing, sent = watched()
    writing.take(begin())
    writing.take(other)
    writing.take(words("Mine"))
    assert sent.texts == ["Mine"]
