"""The meter on complete and broken responses."""

import json
from typing import Any

import pytest

from checks.kits.relay.bench import message, policy
from pyglue.errors import ErrorCode, HiveError
from pyglue.limits import MIB, RelayLimits
from pyglue.models.catalogue import Tokens
from pyglue.relay.meter import Meter
from pyglue.relay.request import Checked, check

LIMITS = RelayLimits()


def request(*, stream: bool = True, max_tokens: int = 1000) -> Checked:
    body = message("x" * 300, stream=stream, max_tokens=max_tokens)
    raw = json.dumps(body).encode()
    return check(raw, (), policy(), counting=False, limits=LIMITS)


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


def streamed(*parts: bytes) -> Meter:
    meter = Meter(request(), LIMITS)
    for part in parts:
        meter.feed(part)
    return meter


def test_a_whole_stream() -> None:
    meter = streamed(START, text("word"), END)
    assert meter.is_complete
    assert meter.tokens() == Tokens(
        input=10, output=5, cache_read=200, cache_write=30, cache_write_1h=20
    )


def test_however_it_is_cut_into_pieces() -> None:
    whole = START + text("word") + END
    bytewise = streamed(*(whole[i : i + 1] for i in range(len(whole))))
    assert bytewise.tokens() == streamed(whole).tokens()
    assert bytewise.is_complete


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
    meter = streamed(START, text(forged * 20), text("message_delta"))
    assert not meter.is_complete
    assert meter.tokens().output == 1000


def test_an_answer_that_is_cut_off_counts_all_that_was_asked_for() -> None:
    tokens = streamed(START, text("é" * 300)).tokens()
    assert (tokens.input, tokens.cache_read, tokens.output) == (10, 200, 1000)
    late = event("message_delta", delta={}, usage={"input_tokens": 3})
    assert streamed(START, late).tokens().output == 1000


def test_nothing_told_counts_what_was_reserved() -> None:
    reserved = request().bound.tokens(1000)
    assert streamed().tokens() == reserved
    assert streamed(END).tokens() == reserved
    assert streamed(event("message_start", message={})).tokens() == reserved


def test_an_answer_in_one_piece() -> None:
    usage = {"input_tokens": 3, "output_tokens": 4}
    raw = json.dumps({"type": "message", "content": [], "usage": usage}).encode()
    meter = Meter(request(stream=False), LIMITS)
    meter.feed(raw[:10])
    meter.feed(raw[10:])
    assert meter.tokens() == request(stream=False).bound.tokens(1000)
    meter.end()
    assert meter.is_complete
    assert meter.tokens() == Tokens(input=3, output=4)


def test_what_is_no_usage_does_no_harm() -> None:
    raw = b": comment\n\n\n" + b'data: {"type":"content_block_delta","delta":[]}\n'
    assert streamed(START, raw, END).tokens().output == 5


ODD = ["-1", "1.5", "5.0", "1e3", "true", '"5"', "NaN", str(2**63), str(2**64), "[]"]


@pytest.mark.parametrize("figure", ODD)
@pytest.mark.parametrize(
    "name",
    [
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "server_tool_use",
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_odd_figures_count_what_was_reserved(
    figure: str, name: str, *, stream: bool
) -> None:
    usage = {"input_tokens": 1, "output_tokens": 1, name: "ODD"}
    raw = json.dumps({"type": "message_delta", "usage": usage})
    odd = raw.replace('"ODD"', figure).encode()
    meter = Meter(request(stream=stream), LIMITS)
    meter.feed(START + b"data: " + odd + b"\n\n" + END if stream else odd)
    meter.end()
    assert not meter.is_complete
    assert meter.tokens() == request(stream=stream).bound.tokens(1000)


@pytest.mark.parametrize(
    "raw",
    [
        b'data: {"type":"message_start","message":7}\n',
        b'data: {"type":"message_start","message":{"usage":[]}}\n',
        b'data: {"type":"message_delta","usage":\xff}\n',
    ],
)
def test_nonsense_counts_what_was_reserved(raw: bytes) -> None:
    assert streamed(START, raw, END).tokens() == request().bound.tokens(1000)


def test_long_lines_and_answers_end_the_answer() -> None:
    meter = streamed(START)
    with pytest.raises(HiveError) as caught:
        for _ in range(LIMITS.line // MIB + 1):
            meter.feed(b"x" * MIB)
    assert caught.value.code is ErrorCode.UPSTREAM_FAILED
    meter = streamed(START)
    with pytest.raises(HiveError):
        for _ in range(LIMITS.answer // MIB + 1):
            meter.feed(b"x" * (MIB - 1) + b"\n")
