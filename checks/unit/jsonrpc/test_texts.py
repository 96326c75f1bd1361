"""Invalid text: lone surrogates are reported as such."""

import asyncio
from typing import Any, cast

import pytest
from werkzeug.datastructures import MultiDict

from pyglue import strict_json
from pyglue.api.common import Done
from pyglue.api.messages import BODY_LIMIT, SendParams
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc.wire import call_line, decode_envelope
from pyglue.mcp import wire as mcp
from pyglue.strict_json import JsonError
from pyglue.tools.agent import agent_tools
from pyglue.web.json.fields import Fields

HALVES = (r"\ud800", r"\udfff", r"\uD83D x", r"\ud83d\ud83d\ude00", r"\\\udc00")
WHOLE = (r"\ud83d\ude00", r"\\ud800", r"\\\\udfff", r"\u00e9\u0000")


def test_a_client_refuses_to_send_it() -> None:
    with pytest.raises(HiveError) as caught:
        call_line(1, "send", SendParams(to="bob", body="caf\udce9"))
    assert caught.value.code is ErrorCode.BAD_REQUEST
    assert "U+DCE9 at character 4 is half of a surrogate pair" in caught.value.message


@pytest.mark.parametrize("half", HALVES)
def test_the_receiver_names_it(half: str) -> None:
    line = f'{{"jsonrpc":"2.0","id":7,"method":"m","params":{{"a":"{half}"}}}}'.encode()
    with pytest.raises(JsonError) as caught:
        decode_envelope(line.replace(b'"method":"m"', f'"method":"{half}"'.encode()))
    assert "half of a surrogate pair" in caught.value.message
    with pytest.raises(mcp.RefusedError) as refused:
        mcp.decode(line)
    assert "half of a surrogate pair" in refused.value.message
    assert refused.value.id == 7


@pytest.mark.parametrize("whole", WHOLE)
def test_whole_characters_pass(whole: str) -> None:
    line = f'{{"jsonrpc":"2.0","id":7,"method":"m","params":{{"a":"{whole}"}}}}'
    found = mcp.decode(line.encode())
    assert found is not None
    assert found.id == 7


# --- too large, and NUL: one sentence, and one way, at every door ---------------------

LONG = "x" * (BODY_LIMIT + 1)
TOO_LONG = (
    f"body is longer than {BODY_LIMIT} characters. Shorten it, or put the text in a "
    "file and send its path."
)


def by_rpc(body: str) -> SendParams:
    line = call_line(1, "send", SendParams(to="bob", body=body))
    return strict_json.reader(SendParams, what="request")(
        bytes(decode_envelope(line).params)
    )


def by_http(body: str) -> SendParams:
    given = MultiDict({"to": "bob", "body": body})
    shape = Fields(SendParams, path=())
    return cast(SendParams, shape.read(given, {}, too_long=ErrorCode.TOO_LARGE))


def by_mcp(body: str) -> SendParams:
    asked: list[SendParams] = []

    class Caller:
        async def call(self, _method: object, params: SendParams, **_: object) -> Done:
            asked.append(params)
            return Done()

    (send,) = [tool for tool in agent_tools() if tool.name == "send"]

    async def run() -> None:
        await send.run(cast(Any, Caller()), {"to": "bob", "body": body})

    asyncio.run(run())
    return asked[0]


DOORS = {"rpc": by_rpc, "http": by_http, "mcp": by_mcp}


@pytest.mark.parametrize("door", DOORS)
def test_too_large_is_one_sentence(door: str) -> None:
    with pytest.raises(HiveError) as caught:
        DOORS[door](LONG)
    assert caught.value.code is ErrorCode.TOO_LARGE
    assert caught.value.message == TOO_LONG


@pytest.mark.parametrize("door", DOORS)
def test_nul_is_a_character_like_others(door: str) -> None:
    assert DOORS[door]("a\x00b").body == "a\x00b"
