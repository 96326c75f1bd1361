"""Text that is no text: what holds half of a surrogate pair is named as that."""

import pytest

from pyglue.api.messages import SendParams
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc.wire import call_line, decode_envelope
from pyglue.mcp import wire as mcp
from pyglue.strict_json import JsonError

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
