"""The pinned record's bytes and hash, and the check of a manifest outside Nix."""

import copy
import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from pyglue.errors import ErrorCode, HiveError
from pyglue.manifest import record, schema
from pyglue.manifest.record import PinnedRecord
from pyglue.manifest.schema import Schema

SCHEMA = Schema.load()


def defaults() -> dict[str, Any]:
    """Return the manifest of an agent that sets nothing."""
    found: dict[str, Any] = {}
    for option in SCHEMA.options:
        group = found
        for part in option.path[:-1]:
            group = group.setdefault(part, {})
        group[option.path[-1]] = copy.deepcopy(option.default)
    return found


def refused(
    code: ErrorCode, call: Callable[..., object], *arguments: object
) -> HiveError:
    with pytest.raises(HiveError) as caught:
        call(*arguments)
    assert caught.value.code == code
    return caught.value


# --- canonical bytes ----------------------------------------------------------


def test_canonical_has_sorted_keys_no_spaces_and_utf8() -> None:
    value = {"b": [1, 2.5, None, True], "a": {"z": "ü", "y": ""}}
    assert record.canonical(value) == (
        '{"a":{"y":"","z":"ü"},"b":[1,2.5,null,true]}'.encode()
    )


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        {"a": [float("inf")]},
        {1: "a"},
        {"a": b"bytes"},
        {"a": "\ud800"},
        {"\udfff": 1},
        {"a": {1, 2}},
    ],
)
def test_canonical_refuses_what_json_cannot_hold(value: object) -> None:
    refused(ErrorCode.MANIFEST_INVALID, record.canonical, value)


def test_canonical_refuses_deep_nesting() -> None:
    value: list[Any] = []
    for _ in range(5000):
        value = [value]
    refused(ErrorCode.MANIFEST_INVALID, record.canonical, value)


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"a":2}',
        b'{"a":{"b":1,"b":1}}',
        b"NaN",
        b"[Infinity]",
        b"1e999",
        b'"\xff"',
        b"\xef\xbb\xbf{}",
        b"",
        b"{",
        b"[" * 200_000,
        b"1" * 5000,
    ],
)
def test_read_json_is_strict(text: bytes) -> None:
    refused(ErrorCode.MANIFEST_INVALID, record.read_json, text)


def test_read_json_has_a_size_limit() -> None:
    refused(
        ErrorCode.TOO_LARGE, record.read_json, b'"' + b"a" * record.MAX_BYTES + b'"'
    )


# --- the record ---------------------------------------------------------------


def test_record_round_trips_and_hashes_its_bytes() -> None:
    pinned = PinnedRecord(defaults(), "/nix/store/x.drv")
    data = pinned.encode()
    assert data.startswith(b'{"manifest":{') and data.endswith(b'x.drv"}')
    assert pinned.sha256 == hashlib.sha256(data).hexdigest()
    again = record.decode(data)
    assert again == pinned
    assert again.sha256 == pinned.sha256
    assert again.typed.model == defaults()["model"]


def test_record_depends_on_the_system() -> None:
    assert PinnedRecord(defaults(), None).sha256 != (
        PinnedRecord(defaults(), "/nix/store/x.drv").sha256
    )


@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b"{}",
        b'{"manifest":{}}',
        b'{"manifest":[],"system":null}',
        b'{"manifest":{},"system":1}',
        b'{"extra":1,"manifest":{},"system":null}',
        b'{"manifest":{}, "system":null}',
        b'{"system":null,"manifest":{}}',
        b'{"manifest":{},"system":null}\n',
        b'{"manifest":{"a":1.50},"system":null}',
    ],
)
def test_decode_takes_canonical_records_only(data: bytes) -> None:
    refused(ErrorCode.MANIFEST_INVALID, record.decode, data)


def test_record_has_a_size_limit() -> None:
    pinned = PinnedRecord({"a": "x" * record.MAX_BYTES}, None)
    refused(ErrorCode.TOO_LARGE, pinned.encode)


def test_typed_refuses_a_manifest_of_other_options() -> None:
    pinned = PinnedRecord({"model": "haiku"}, None)
    refused(ErrorCode.MANIFEST_INVALID, lambda: pinned.typed)


@pytest.mark.parametrize(
    ("size", "wanted"),
    [("1K", 1024), ("512M", 512 * 2**20), ("2G", 2**31), ("1T", 2**40)],
)
def test_memory_sizes(size: str, wanted: int) -> None:
    assert record.memory_bytes(size) == wanted


@pytest.mark.parametrize("size", ["", "0M", "1", "1.5G", "1GB", "1g", " 1G", "1G\n"])
def test_memory_sizes_that_are_none(size: str) -> None:
    refused(ErrorCode.MANIFEST_INVALID, record.memory_bytes, size)


# --- the check outside Nix ------------------------------------------------------


def test_defaults_are_a_manifest() -> None:
    assert schema.validate(defaults()) == defaults()


def problems(path: str, value: object) -> list[str]:
    """Set one option of the defaults, expect a refusal, return its sentences."""
    changed = defaults()
    *groups, last = path.split(".")
    group = changed
    for part in groups:
        group = group[part]
    group[last] = value
    error = refused(ErrorCode.MANIFEST_INVALID, SCHEMA.validate, changed)
    return [problem["message"] for problem in error.details["problems"]]


SERVER = {"command": "x", "args": [], "env": {}, "allowedTools": []}


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("modle", "x", "hyperhive.modle is not an option. Did you mean"),
        ("bash.alow", [], "Did you mean hyperhive.bash.allow?"),
        ("model", 3, "hyperhive.model must be text; it is 3."),
        ("model", "a b", 'hyperhive.model is "a b", but must have the form'),
        ("model", "haiku\n", "but must have the form"),
        ("model", "m" * 101, "has more than 100 characters"),
        ("network", 1, "must be true or false"),
        ("network", None, "must be true or false"),
        ("allowedTools", ["Bash", 1], "hyperhive.allowedTools[1] must be text"),
        ("allowedTools", ["T"] * 65, "has more than 64 entries"),
        ("allowedRecipients", "alice", "must be a list or null"),
        ("serverTools", ["x"], "must be one of web_search, web_fetch and"),
        ("limits.turnsPerHour", 0, "must be at least 1; it is 0."),
        ("limits.turnsPerHour", True, "must be a whole number or null"),
        ("limits.turnsPerHour", 2.5, "must be a whole number or null"),
        ("limits.costPerDayUsd", 0, "must be above 0; it is 0."),
        ("limits.costPerDayUsd", 1e9, "must be at most 100000"),
        ("limits.memoryMax", "2GB", "but must have the form"),
        ("env", {"A-B": "x"}, "hyperhive.env contains an invalid key: A-B"),
        ("env", {"A": "x\0y"}, "NUL"),
        ("mcpServers", {"hive": SERVER}, "contains an invalid key: hive"),
        ("mcpServers", {"a": {}}, "hyperhive.mcpServers.a.command must be set."),
        ("mcpServers", {"a": {**SERVER, "x": 1}}, "hyperhive.mcpServers.a.x is not an"),
    ],
)
def test_validate_names_option_and_reason(path: str, value: object, said: str) -> None:
    found = problems(path, value)
    assert any(said in sentence for sentence in found), found


@pytest.mark.parametrize("value", [None, [], "x", {}, {"hyperhive": {}}])
def test_validate_refuses_what_is_no_manifest(value: object) -> None:
    refused(ErrorCode.MANIFEST_INVALID, SCHEMA.validate, value)


def test_validate_says_at_most_some_problems_without_control_characters() -> None:
    found = problems("mcpServers", {f"x\x1b[31m{n}": {} for n in range(30)})
    assert 0 < len(found) < 110
    assert all(sentence.isprintable() and len(sentence) < 600 for sentence in found)


def test_validate_limits_the_whole() -> None:
    changed = defaults()
    changed["env"] = {f"A{n}": "x" * 32768 for n in range(100)}
    refused(ErrorCode.TOO_LARGE, SCHEMA.validate, changed)


def test_what_jsonschema_calls_an_integer_must_be_one_in_the_types_too() -> None:
    changed = defaults()
    changed["limits"]["turnsPerHour"] = 2.0
    refused(ErrorCode.MANIFEST_INVALID, SCHEMA.validate, changed)


def test_a_record_from_before_an_option_still_reads() -> None:
    old = defaults()
    del old["limits"]["tokensPerDay"]
    data = record.canonical({"manifest": old, "system": None})
    pinned = record.decode(data)
    assert pinned.typed.limits.tokens_per_day is None
    assert pinned.encode() == data


def test_an_earlier_manifest_is_completed_by_the_defaults_of_added_options() -> None:
    old = defaults()
    old["mcpServers"] = {"notes": {"command": "x", "args": ["a"], "env": {}}}
    del old["limits"]["tokensPerDay"], old["bash"], old["notes"]
    full = defaults()
    inner = next(o.inner for o in SCHEMA.options if o.path == ("mcpServers",))
    added = {o.path[0]: o.default for o in inner if o.path[0] not in SERVER}
    full["mcpServers"] = {"notes": SERVER | added | {"args": ["a"]}}
    before = copy.deepcopy(old)
    assert schema.completed(old) == full
    assert old == before
    assert schema.completed(full) == full
    unknown = full | {"later": 1, "model": "opus"}
    assert schema.completed(unknown) == unknown
