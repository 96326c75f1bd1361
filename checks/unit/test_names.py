"""Valid names of agents."""

import pytest

from pyglue import names
from pyglue.errors import ErrorCode, HiveError

GOOD = ("a", "alice", "a1", "a-b", "abcdefghi")
BAD = (
    "",
    "A",
    "Alice",
    "1a",
    "-a",
    "a-",
    "a_b",
    "a.b",
    "a/b",
    "..",
    "abcdefghij",
    "a b",
    "a\n",
    "a\x00",
    "ä",
    "аlice",  # noqa: RUF001 - a Cyrillic letter that looks like an a
    "a;b",
    "--help",
    "a\u202eb",
)


@pytest.mark.parametrize("name", GOOD)
def test_good_names_pass(name: str) -> None:
    assert names.check_new(name) == name


@pytest.mark.parametrize("name", BAD)
def test_bad_names_are_refused_with_the_rule(name: str) -> None:
    with pytest.raises(HiveError) as caught:
        names.check(name)
    assert caught.value.code is ErrorCode.INVALID_NAME
    assert "1 to 9 characters" in caught.value.message
    assert caught.value.message.isascii()


@pytest.mark.parametrize("name", sorted(names.RESERVED))
def test_reserved_names_are_refused(name: str) -> None:
    assert names.check(name) == name
    with pytest.raises(HiveError) as caught:
        names.check_new(name)
    assert caught.value.code is ErrorCode.NAME_RESERVED
