"""Recorded outcomes: differences are complete, for Python and for Nix."""

import json
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.nix import outcome, snapshots

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("a.b", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("a.b", max_size=2), inner, max_size=4)
    ),
)


@given(VALUES, VALUES)
def test_differences_make_the_other_of_the_one(base: object, value: object) -> None:
    changes = snapshots.differences(base, value)
    read = json.loads(snapshots.dump(changes))
    assert _text(snapshots.apply(base, read)) == _text(value)
    assert snapshots.differences(value, value) == []


def test_one_and_true_are_two_values() -> None:
    assert snapshots.differences({"a": 1}, {"a": True}) == [[["a"], True]]


@pytest.mark.needs("nix")
def test_nix_reads_them_as_python_does() -> None:
    base = {"a": {"b": 1, "c": {"d": None}}, "e": [1]}
    value: dict[str, Any] = {"a": {"c": {"f": {"g": 2}}}, "e": [1, 2], "h": "x"}
    changes = snapshots.differences(base, value)
    file = outcome.HERE / "snapshots.nix"
    expression = f"""
      import {file} {{ lib = import {outcome.LITE}; }}
        (builtins.fromJSON ''{_text(base)}'')
        (builtins.fromJSON ''{json.dumps(changes)}'')"""
    done = subprocess.run(
        ["nix-instantiate", "--eval", "--strict", "--json", "--expr", expression],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == value == snapshots.apply(base, changes)


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True)
