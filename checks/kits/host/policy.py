"""Whole manifests with some options set, and what changes from one to another."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyglue.api.approvals import Effect, PolicyChange
from pyglue.host.policy.diff import diff_policy
from pyglue.manifest.schema import Schema

SCHEMA = Schema.load()


@dataclass(frozen=True)
class Model:
    id: str
    rank: float


MODELS = {
    "small": Model("small-1", 1),
    "small-1": Model("small-1", 1),
    "other": Model("other-1", 1),
    "big": Model("big-1", 5),
}


def manifest(**paths: object) -> dict[str, Any]:
    """Return the defaults with some options set; ``__`` stands for the dot."""
    found: dict[str, Any] = {}
    for option in SCHEMA.options:
        put(found, option.path, copy.deepcopy(option.default))
    found["model"] = "small"
    for path, value in paths.items():
        put(found, tuple(path.split("__")), value)
    return found


def put(tree: dict[str, Any], path: tuple[str, ...], value: object) -> None:
    for part in path[:-1]:
        tree = tree.setdefault(part, {})
    tree[path[-1]] = value


def diff(
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any],
    schema: Schema | None = None,
) -> tuple[PolicyChange, ...]:
    return diff_policy(before, after, (), (), resolve=MODELS.get, schema=schema)


def one(path: str, before: object, after: object) -> PolicyChange:
    """Change one option and expect exactly one change said."""
    changes = diff(manifest(**{path: before}), manifest(**{path: after}))
    assert len(changes) == 1, changes
    return changes[0]


def server(**options: object) -> dict[str, Any]:
    return {"command": "x", "args": [], "env": {}, "allowedTools": [], **options}


WIDENS, NARROWS = Effect.WIDENS, Effect.NARROWS
BEHAVIOUR, NEUTRAL = Effect.BEHAVIOUR, Effect.NEUTRAL
