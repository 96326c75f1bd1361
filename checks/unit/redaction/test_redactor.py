"""Values of secrets in agents' output: found in every encoding, however it is split."""

import base64
import json
import textwrap
from typing import Final
from urllib.parse import quote, quote_plus

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyglue.api import agent, manager, terminal
from pyglue.api.common import Method, Note
from pyglue.errors import HiveError
from pyglue.manifest.exposed_secrets import VALUE_MAX, check_value, unfit
from pyglue.redaction.redactor import _BYTES, Redactor

VALUE: Final = 'ghp_3f9c1b7a5d/+é"x\\y z'
SHOWN: Final = "[secret TOKEN]"

VALUES: Final = st.text(
    st.characters(min_codepoint=0x20, exclude_categories=["Cs"]),
    min_size=12,
    max_size=60,
).filter(
    lambda value: (
        unfit(value) is None and len(set(value)) > 5 and value.splitlines() == [value]
    )
)
"""Of one line: of several, a long one is hidden by itself."""


def knowing(value: str = VALUE) -> Redactor:
    redactor = Redactor()
    redactor.learn("TOKEN", value)
    return redactor


def event(text: object) -> bytes:
    params = {"turn": 1, "kind": "log", "data": {"text": text}}
    note = {"jsonrpc": "2.0", "method": "turn_event", "params": params}
    return msgspec.json.encode(note)


def inside(text: str, before: int) -> str:
    """Return a value's base64 with other bytes around it, at one of three places."""
    return base64.b64encode(b"x" * before + text.encode() + b"yz").decode()


@pytest.mark.parametrize(
    "form",
    [
        VALUE,
        json.dumps(VALUE)[1:-1],
        json.dumps(VALUE, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(VALUE)),
        quote(VALUE),
        quote(VALUE, safe=""),
        quote_plus(VALUE),
        quote(VALUE, safe="").lower().replace("%c3%a9", "%c3%a9"),
        VALUE.encode().hex(),
        VALUE.encode().hex().upper(),
        *(inside(VALUE, before) for before in range(4)),
        base64.urlsafe_b64encode(b"\xff\xff" + VALUE.encode()).decode(),
    ],
)
def test_every_form_is_hidden(form: str) -> None:
    redactor = knowing(VALUE.lower() if form == form.lower() else VALUE)
    for text in (form, f"a {form} b {form}"):
        line = redactor.line(event(text))
        assert SHOWN in msgspec.json.decode(line)["params"]["data"]["text"]
        assert SHOWN in redactor.text(text)
        if text.isprintable():
            assert SHOWN.encode() in redactor.stream().feed(text.encode() + b"\n")


@given(value=VALUES, before=st.integers(0, 5), around=st.text(max_size=20))
def test_no_form_of_any_value_is_left(value: str, before: int, around: str) -> None:
    redactor = knowing(value)
    spread = base64.b64encode(b"." * before + value.encode()).decode()
    texts = (value, json.dumps(value), quote(value, safe=""), value.encode().hex())
    for form in (*texts, spread, json.dumps({"a": json.dumps([value])})):
        line = redactor.line(event(f"{around}{form}{around}"))
        text = msgspec.json.decode(line)["params"]["data"]["text"]
        assert SHOWN in text
        assert value not in text.replace(SHOWN, "").replace(around, "")


@given(data=st.data(), value=VALUES)
def test_a_stream_hides_it_however_it_is_split(data: st.DataObject, value: str) -> None:
    text = f"before {value} {inside(value, 1)} after".encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    flushed = data.draw(st.booleans())
    stream, out = knowing(value).stream(), b""
    for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        out += stream.feed(text[begin:end])
        if flushed:
            out += stream.flush()
    out += stream.end()
    assert value.encode() not in out
    if not flushed:
        assert out.count(SHOWN.encode()) == 2
        assert out.startswith(b"before ") and out.endswith(b" after")
    assert b"after" in out


@given(st.lists(st.binary(max_size=30), max_size=8), st.booleans())
def test_a_stream_loses_nothing_else(pieces: list[bytes], flushed: bool) -> None:
    stream, out = knowing().stream(), b""
    for piece in pieces:
        out += stream.feed(piece)
        out += stream.flush() if flushed else b""
    assert out + stream.end() == b"".join(pieces)


def test_what_is_typed_is_seen_soon() -> None:
    stream = knowing().stream()
    assert stream.feed(b"ghp") == b"" and stream.waits
    assert stream.flush() == b"ghp" and not stream.waits
    assert stream.feed(b"x") == b"x"
    assert stream.feed(VALUE.encode()[:3]) + stream.flush() == b"ghp"
    assert stream.feed(VALUE.encode()[3:]) == SHOWN.encode()


def test_lines_of_base64_and_of_a_key_are_hidden() -> None:
    key = "-----BEGIN KEY-----\n" + "\n".join(
        base64.b64encode(bytes(range(n, n + 48))).decode() for n in range(0, 144, 48)
    )
    redactor = knowing(key)
    numbered = "\n".join(f"{n}\t{one}" for n, one in enumerate(key.splitlines()))
    assert redactor.text(numbered).count(SHOWN) == 3
    assert "BEGIN" in redactor.text(numbered)
    wrapped = base64.encodebytes(b"ab" + key.encode()).decode()
    line = redactor.line(event(wrapped))
    assert len(msgspec.json.decode(line)["params"]["data"]["text"]) < 60


def test_a_value_that_was_cut_off_is_hidden() -> None:
    redactor = knowing("ghp_" + "a1b2c3d4e5" * 4)
    assert redactor.text("see ghp_a1b2c3d4e5a1b2c3…") == f"see {SHOWN}…"
    assert redactor.text("see ghp_a1…") == "see ghp_a1…"


def test_a_text_that_goes_on_is_left_to_who_passes_it_on() -> None:
    said = {"turn": 1, "kind": "text", "text": VALUE}
    note = {"jsonrpc": "2.0", "method": "live_text", "params": said}
    line = knowing().line(msgspec.json.encode(note))
    assert msgspec.json.decode(line)["params"] == said


@given(value=VALUES)
@example(value=".00000001234")
def test_of_a_text_that_goes_on_no_beginning_is_shown(value: str) -> None:
    redactor = knowing(value)
    for end in range(1, len(value)):
        shown = redactor.unfinished(f"It is {value[:end]}")
        assert "It is ".startswith(shown)
    stop = "!" if value.startswith(".") else "."  # else it may begin the value again
    assert redactor.unfinished(f"It is {value}{stop}") == f"It is {SHOWN}{stop}"


def test_a_wrapped_beginning_is_not_shown_either() -> None:
    value = VALUE * 5
    redactor = knowing(value)
    wrapped = textwrap.fill(base64.b64encode(value.encode()).decode(), 76)
    for end in range(1, len(wrapped)):
        shown = redactor.unfinished(f"Here: {wrapped[:end]}")
        assert shown == "Here: ", end


def test_a_line_without_a_value_is_the_same_object() -> None:
    line = event("nothing")
    assert knowing().line(line) is line
    assert Redactor().line(line) is line


def test_the_protocol_stays_as_it_is() -> None:
    redactor = knowing()
    call = {"jsonrpc": "2.0", "id": 7, "method": "send", "params": {"body": VALUE}}
    found = msgspec.json.decode(redactor.line(msgspec.json.encode(call)))
    assert found == {**call, "params": {"body": SHOWN}}
    nested = {"input": {VALUE: [1, None, 2.5, {"deep": VALUE}]}}
    found = msgspec.json.decode(redactor.line(event(nested)))
    expected = {"input": {SHOWN: [1, None, 2.5, {"deep": SHOWN}]}}
    assert found["params"]["data"]["text"] == expected
    deep: object = VALUE
    for _ in range(200):
        deep = [deep]
    assert VALUE.encode() not in redactor.line(event(deep))
    assert redactor.line(b'{"x": ' + VALUE.encode()) == b'{"x": ' + VALUE.encode()


def test_bytes_are_no_text() -> None:
    """A pack or a terminal's output must stay base64; the latter passes a stream."""
    redactor = knowing()
    for name, field in _BYTES.items():
        call = {
            "id": 1,
            "method": name,
            "params": {field: inside(VALUE, 1), "x": VALUE},
        }
        found = msgspec.json.decode(redactor.line(msgspec.json.encode(call)))
        assert found["params"] == {field: inside(VALUE, 1), "x": SHOWN}


def test_every_call_of_agents_with_bytes_is_known() -> None:
    found = {
        one.name: field.encode_name
        for module in (agent, manager, terminal)
        for one in vars(module).values()
        if isinstance(one, Method | Note)
        for field in msgspec.structs.fields(one.params)
        if "bytes" in str(field.type)
    }
    down = {"terminal_input", "terminal_data"}
    assert {name: found[name] for name in found if name not in down} == _BYTES


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("short", "it has 5 bytes, and needs at least 8"),
        ("thinking", "it is a plain word or number"),
        ("123456789012", "it is a plain word or number"),
        ("x" * (VALUE_MAX + 1), "it has more than 8192 bytes"),
    ],
)
def test_a_value_that_cannot_be_hidden_is_not_looked_for(value: str, why: str) -> None:
    with pytest.raises(HiveError, match=why):
        check_value("TOKEN", value)
    assert knowing(value).text(value) == value


def test_of_two_that_begin_alike_the_longer_one_is_hidden_whole() -> None:
    redactor = Redactor()
    redactor.learn("A", "abcd-1234")
    redactor.learn("B", "abcd-1234-efgh")
    assert redactor.text("abcd-1234-efgh abcd-1234") == "[secret B] [secret A]"
