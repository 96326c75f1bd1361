"""The JSON reader: one error for everything invalid, and strictness on request."""

import gc
from enum import StrEnum
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from pyglue import strict_json
from pyglue.errors import ErrorCode, HiveError
from pyglue.strict_json import Fault, JsonError
from pyglue.strict_json.depth import DEPTH_MAX, is_deep

INVALID: dict[str, tuple[bytes, Fault]] = {
    "nothing": (b"", Fault.SYNTAX),
    "cut off": (b'{"a":', Fault.SYNTAX),
    "not UTF-8": (b'{"a":"\xff"}', Fault.SYNTAX),
    "half a pair": (b'{"a":"\\ud800"}', Fault.SYNTAX),
    "not a number": (b'{"a":NaN}', Fault.SYNTAX),
    "two values": (b'{"a":"b"} {}', Fault.SYNTAX),
    "another type": (b'{"a":1}', Fault.SHAPE),
    "no object": (b"[]", Fault.SHAPE),
    "a field that is missing": (b"{}", Fault.SHAPE),
    "an unknown field": (b'{"a":"b","c":1}', Fault.SHAPE),
}


class One(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    a: str


@pytest.mark.parametrize("unique", [True, False])
@pytest.mark.parametrize("name", INVALID)
def test_whatever_is_wrong_is_one_error(name: str, unique: bool) -> None:
    data, fault = INVALID[name]
    with pytest.raises(JsonError) as caught:
        strict_json.read(
            data, One, what="note", code=ErrorCode.CONFIG_INVALID, unique=unique
        )
    assert isinstance(caught.value, HiveError)
    assert caught.value.code is ErrorCode.CONFIG_INVALID
    assert caught.value.fault is fault
    assert caught.value.message.startswith("Invalid note: ")
    assert caught.value.message.endswith(".")


@pytest.mark.parametrize("name", INVALID)
def test_a_prepared_reader_refuses_the_same(name: str) -> None:
    read = strict_json.reader(One, what="note")
    data, fault = INVALID[name]
    with pytest.raises(JsonError) as caught:
        read(data)
    assert (caught.value.code, caught.value.fault) == (ErrorCode.BAD_REQUEST, fault)
    assert read(b'{"a":"b"}') == One("b")


@pytest.mark.parametrize("unique", [True, False])
def test_what_is_nested_too_deeply_is_the_same_error(unique: bool) -> None:
    with pytest.raises(JsonError, match="nested too deeply") as caught:
        strict_json.read(b"[" * 100_000, list[Any], unique=unique)
    assert caught.value.fault is Fault.DEPTH


@pytest.mark.parametrize("unique", [True, False])
def test_the_depth_is_the_same_whatever_python_would_take(unique: bool) -> None:
    most = DEPTH_MAX
    some = b'["[[\\"{[",{"a":' * (most // 2) + b"1" + b"}]" * (most // 2)
    wide = b"[" + b"{}," * 2 * most + b"1]"
    for fits in (some, wide, b'["' + b"[" * 2 * most + b'"]'):
        assert not is_deep(fits)
        assert strict_json.read(fits, list[Any], unique=unique)
        assert strict_json.reader(msgspec.Raw)(fits)
    for deep in (b"[" + some + b"]", b"[" * (most + 1) + b"]" * (most + 1)):
        assert is_deep(deep) and is_deep(deep.decode())
        with pytest.raises(JsonError, match="nested too deeply") as caught:
            strict_json.read(deep, list[Any], unique=unique)
        assert caught.value.fault is Fault.DEPTH
        with pytest.raises(JsonError, match="nested too deeply"):
            strict_json.reader(msgspec.Raw)(deep)


@pytest.mark.parametrize(
    "data", [b'{"a":"b","a":"c"}', b'{"a":[{"b":1,"b":1}]}', b'{"a":"\\u0061","a":1}']
)
def test_a_key_that_occurs_twice_is_refused_where_it_matters(data: bytes) -> None:
    assert strict_json.read(data, dict[str, Any])
    with pytest.raises(JsonError, match="occurs twice"):
        strict_json.read(data, dict[str, Any], unique=True)


@pytest.mark.parametrize("data", [b"[1e999]", b"[-1e999]", b"[Infinity]"])
@pytest.mark.parametrize("unique", [True, False])
def test_every_number_is_finite(data: bytes, unique: bool) -> None:
    with pytest.raises(JsonError):
        strict_json.read(data, list[Any], unique=unique)


@pytest.mark.parametrize("data", ['"ää"', '"ää"'.encode(), msgspec.Raw(b'"12345"')])
def test_a_size_is_counted_in_bytes_and_said(data: strict_json.Data) -> None:
    limit = 3
    with pytest.raises(JsonError, match="at most 3 are allowed") as caught:
        strict_json.read(data, str, max_bytes=limit)
    assert caught.value.code is ErrorCode.TOO_LARGE
    assert strict_json.read(data, str, max_bytes=7)


def test_a_hostile_name_is_shown_visibly() -> None:
    with pytest.raises(JsonError) as caught:
        strict_json.read('{"\u202e\u0007":1}'.replace("\u0007", "\\u0007"), One)
    assert caught.value.message.isprintable()


def test_the_error_keeps_nothing_of_the_input() -> None:
    data = b'{"a":"\xff' + b"x" * 1000 + b'"}'
    with pytest.raises(JsonError) as caught:
        strict_json.read(data, One)
    error = caught.value
    assert error.__context__ is None and error.__cause__ is None
    assert data not in gc.get_referents(error)


def test_converting_raises_the_same_error() -> None:
    assert strict_json.convert({"a": "b"}, One) == One("b")
    with pytest.raises(JsonError) as caught:
        strict_json.convert({"a": 1}, One, what="arguments")
    assert caught.value.fault is Fault.SHAPE
    assert caught.value.message.startswith("Invalid arguments: ")


def test_indenting_changes_no_number_and_no_order() -> None:
    assert strict_json.indented('{"b":1.0,"a":1e2}') == '{\n  "b": 1.0,\n  "a": 1e2\n}'
    with pytest.raises(JsonError):
        strict_json.indented("{")


# --- what the decoder says, in words --------------------------------------------------


class Kind(StrEnum):
    ONE = "one"


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    body: Annotated[str, Meta(min_length=1)] = "x"
    name: Annotated[str, Meta(pattern="^[a-z]+$", min_length=2)] = "ab"
    id: Annotated[int, Meta(ge=1, le=9)] = 1
    wait: Annotated[float, Meta(gt=0, lt=180)] = 1.0
    ids: Annotated[tuple[int, ...], Meta(min_length=2, max_length=2)] = (1, 2)
    kind: Kind = Kind.ONE
    reply_to: int | None = None
    inner: One | None = None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"body": ""}, "body is empty"),
        ({"body": 5}, "body must be text, not a whole number"),
        ({"body": None}, "body must be text, not null"),
        ({"name": "a"}, "name has fewer than 2 characters"),
        ({"name": "A B"}, "name has characters that are not allowed there"),
        ({"id": 0}, "id must be at least 1"),
        ({"id": 10}, "id must be at most 9"),
        ({"id": 1.5}, "id must be a whole number, not one with a fraction"),
        ({"wait": 0}, "wait must be more than 0"),
        ({"wait": 180}, "wait must be less than 180"),
        ({"ids": [1]}, "ids has fewer than 2 entries"),
        ({"ids": [1, 2, 3]}, "ids has more than 2 entries"),
        ({"ids": [1, "x"]}, "ids[...] must be a whole number, not text"),
        ({"kind": "two"}, "kind cannot be 'two'"),
        ({"reply_to": "x"}, "reply_to must be a whole number or null, not text"),
        ({"bodi": "x"}, "bodi is no known field"),
        ({"inner": {}}, "inner.a is missing"),
        ({"inner": {"a": "b", "c": 1}}, "inner.c is no known field"),
        ([], "it must be an object, not a list"),
    ],
)
def test_a_wrong_shape_is_said_in_words(given: object, said: str) -> None:
    with pytest.raises(JsonError) as caught:
        strict_json.read(msgspec.json.encode(given), Shape, what="request")
    assert caught.value.message.replace("ids[1]", "ids[...]") == (
        f"Invalid request: {said}."
    )


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'\xef\xbb\xbf{"a":"b"}', "byte order mark"),
        ('{"a":"b"}'.encode("utf-16"), "it is UTF-16"),
        (b"\xfe\xff" + '{"a":"b"}'.encode("utf-16-be"), "it is UTF-16"),
        ('{"a":"b"}'.encode("utf-32"), "it is UTF-32"),
        ('\ufeff{"a":"b"}', "byte order mark"),
    ],
)
@pytest.mark.parametrize("unique", [True, False])
def test_a_byte_order_mark_is_named(data: bytes | str, said: str, unique: bool) -> None:
    with pytest.raises(JsonError, match=said):
        strict_json.read(data, One, unique=unique)
