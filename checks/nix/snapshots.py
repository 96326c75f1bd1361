"""Recorded outcomes as differences from a base case, so that each fact occurs once.

A default of the options is in the outcome of every case. Written out whole, one changed
default would be a change in dozens of places that a reviewer has to read. Here a case
is ``[[path, value], …]`` on top of its base: put ``value`` at ``path``, or remove what
is there where there is no value. ``snapshots.nix`` reads the same for
`nix flake check`.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

Difference = list[Any]
"""``[path, value]``, or ``[path]`` for what is not there."""

_INDENT: Final = 1


def differences(base: object, value: object) -> list[Difference]:
    """Return what turns ``base`` into ``value``; lists are compared as wholes."""
    return list(_walk(base, value, ()))


def _walk(base: object, value: object, path: tuple[str, ...]) -> Iterator[Difference]:
    if isinstance(base, dict) and isinstance(value, dict):
        for key in sorted(base.keys() | value.keys()):
            here = (*path, key)
            if key not in value:
                yield [list(here)]
            elif key not in base:
                yield [list(here), value[key]]
            else:
                yield from _walk(base[key], value[key], here)
    elif not _same(base, value):
        yield [list(path), value]


def _same(one: object, other: object) -> bool:
    """Compare as JSON does: 1, 1.0 and true are three values."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def apply(base: object, changes: list[Difference]) -> Any:
    """Return ``base`` with ``changes``; ``base`` stays as it is."""
    root: Any = json.loads(json.dumps(base))
    for path, *value in changes:
        if not path:
            root = value[0]
            continue
        place = root
        for key in path[:-1]:
            place = place[key]
        if value:
            place[path[-1]] = value[0]
        else:
            del place[path[-1]]
    return root


def dump(changes: list[Difference]) -> str:
    """Return differences as JSON, one a line."""
    if not changes:
        return "[]"
    lines = (json.dumps(change, sort_keys=True) for change in changes)
    return "[\n" + ",\n".join(f"{' ' * _INDENT}{line}" for line in lines) + "\n]"
