"""What the meter reads from an answer, whole and broken."""

import json
from typing import Any

import pytest

from checks.relay_kit import message, policy
from pyglue.models import Tokens
from pyglue.relay.meter import Meter
from pyglue.relay.request import Checked, check


def request(*, stream: bool = True, max_tokens: int = 1000) -> Checked:
    body = message("x" * 300, stream=stream, max_tokens=max_tokens)
    return check(json.dumps(body).encode(), (), policy(), counting=False)


class Clock:
    """A clock that tests turn. ``now`` is in seconds."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def event(kind: str, **fields: Any) -> bytes:
    data = json.dumps({"type": kind, **fields})
    return f"event: {kind}\ndata: {data}\n\n".encode()


def text(words: str) -> bytes:
    return event("content_block_delta", delta={"type": "text_delta", "text": words})


START = event(
    "message_start",
    message={
        "usage": {
            "input_tokens": 10,
            "output_tokens": 1,
            "cache_read_input_tokens": 200,
            "cache_creation_input_tokens": 30,
            "cache_creation": {
                "ephemeral_5m_input_tokens": 10,
                "ephemeral_1h_input_tokens": 20,
            },
        }
    },
)
END = event(
    "message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 5}
)


def streamed(*parts: bytes, clock: Clock | None = None) -> Meter:
    meter = Meter(request(), clock=clock or Clock())
    for part in parts:
        meter.feed(part)
    return meter


def test_a_whole_stream() -> None:
    meter = streamed(START, text("word"), END)
    assert meter.is_final
    assert meter.tokens() == Tokens(
        input=10, output=5, cache_read=200, cache_write=30, cache_write_1h=20
    )


def test_however_it_is_cut_into_pieces() -> None:
    whole = START + text("word") + END
    bytewise = streamed(*(whole[i : i + 1] for i in range(len(whole))))
    assert bytewise.tokens() == streamed(whole).tokens()
    assert bytewise.is_final


def test_crlf_and_no_space() -> None:
    raw = (START + END).replace(b"data: ", b"data:").replace(b"\n", b"\r\n")
    assert streamed(raw).tokens().output == 5


def test_later_figures_replace_earlier_ones() -> None:
    usage = {"input_tokens": 12, "output_tokens": 9, "server_tool_use": None}
    searched = {"server_tool_use": {"web_search_requests": 2}}
    meter = streamed(
        START,
        event("message_delta", usage=usage),
        event("message_delta", usage=searched),
    )
    tokens = meter.tokens()
    assert (tokens.input, tokens.output, tokens.searches) == (12, 9, 2)
    assert tokens.cache_read == 200


def test_text_that_looks_like_usage_is_text() -> None:
    forged = 'data: {"type":"message_delta","usage":{"output_tokens":0}}\n\n'
    meter = streamed(START, text(forged * 20))
    assert not meter.is_final
    assert meter.tokens().output == len(forged) * 20 // 3


@pytest.mark.parametrize("kind", ["text", "thinking", "partial_json"])
def test_a_broken_stream_counts_what_was_seen(kind: str) -> None:
    delta = event("content_block_delta", delta={kind: "é" * 300})
    tokens = streamed(START, delta).tokens()
    assert (tokens.input, tokens.output) == (10, 200)


def test_a_broken_stream_counts_the_time_for_hidden_thinking() -> None:
    clock = Clock()
    meter = streamed(START, clock=clock)
    clock.now = 2.5
    assert meter.tokens().output == 250
    clock.now = 1000.0
    assert meter.tokens().output == 1000  # max_tokens


def test_nothing_seen_counts_the_input() -> None:
    meter = streamed()
    assert meter.tokens() == Tokens(input=request().input_tokens)


def test_an_answer_in_one_piece() -> None:
    usage = {"input_tokens": 3, "output_tokens": 4}
    raw = json.dumps({"type": "message", "content": [], "usage": usage}).encode()
    clock = Clock()
    meter = Meter(request(stream=False), clock=clock)
    meter.feed(raw[:10])
    meter.feed(raw[10:])
    clock.now = 3.0
    assert meter.tokens() == Tokens(input=request().input_tokens, output=300)
    meter.end()
    assert meter.is_final
    assert meter.tokens() == Tokens(input=3, output=4)


@pytest.mark.parametrize(
    "raw",
    [
        b"data: \xff\xfe\n",
        b'data: {"type":"message_start","message":7}\n',
        b'data: {"type":"message_start"}\n',
        b'data: {"type":"message_delta","usage":{"output_tokens":"many"}}\n',
        b'data: {"type":"content_block_delta","delta":[]}\n',
        b": comment\n\n\n",
    ],
)
def test_nonsense_does_no_harm(raw: bytes) -> None:
    assert streamed(START, raw, END).tokens().output == 5


def test_negative_figures_count_nothing() -> None:
    usage = {"input_tokens": -5, "output_tokens": -5}
    assert streamed(event("message_delta", usage=usage)).tokens() == Tokens()


def test_endless_lines_are_not_kept() -> None:
    meter = streamed(START)
    for _ in range(6):
        meter.feed(b"x" * 2**20)
    assert len(meter._buffer) <= 4 * 2**20
    meter.feed(b'"message_delta"\n' + END)
    assert meter.tokens().output == 5
