"""What a built system is made of, and how that differs from another one.

Called by ``deploy`` after a build. Paths and sizes come from the host's store.
"""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

from pyglue.api.system import ClosureChange, ClosureDiff
from pyglue.errors import ErrorCode, HiveError
from pyglue.nix.hoststore import HostStore, check_path, short_name
from pyglue.nix.packages import split_name

_LISTED_MAX: Final = 2000


@dataclass
class _Named:
    versions: set[str] = field(default_factory=set)
    size: int = 0


async def diff_closures(
    store: HostStore, before: str | None, after: str, *, base: int | None
) -> ClosureDiff:
    """Compare the closures of two built systems; None: with nothing.

    Raises:
        HiveError: ``unavailable``.
    """
    new = await _closure(store, after)
    old = {} if before is None else await _closure(store, before)
    gone = _by_name({path: size for path, size in old.items() if path not in new})
    come = _by_name({path: size for path, size in new.items() if path not in old})
    nothing = _Named()
    changes = [
        ClosureChange(
            name=name,
            before=tuple(sorted(gone.get(name, nothing).versions)),
            after=tuple(sorted(come.get(name, nothing).versions)),
            bytes_before=gone.get(name, nothing).size,
            bytes_after=come.get(name, nothing).size,
        )
        for name in sorted({*gone, *come})
    ]
    return ClosureDiff(
        base=base,
        changes=tuple(changes[:_LISTED_MAX]),
        bytes_before=sum(old.values()),
        bytes_after=sum(new.values()),
        left_out=max(0, len(changes) - _LISTED_MAX),
    )


async def _closure(store: HostStore, path: str) -> dict[str, int]:
    """Return every path of a closure and its size in bytes."""
    done = await store.call(
        "nix",
        [
            *("--extra-experimental-features", "nix-command"),
            *("path-info", "--recursive", "--json", "--size", check_path(path)),
        ],
    )
    try:
        return dict(map(_entry, _entries(json.loads(done.stdout))))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HiveError(
            ErrorCode.UNAVAILABLE, "nix path-info answered what is not understood."
        ) from error


def _entries(answer: Any) -> list[tuple[str, Any]]:  # noqa: ANN401 (JSON)
    """Read both forms: a list, and since 2.19 an object by path."""
    if isinstance(answer, list):
        return [(each["path"], each) for each in answer]
    return list(answer.items())


def _entry(found: tuple[str, Any]) -> tuple[str, int]:
    path, info = found
    return check_path(path), int(info["narSize"])


def _by_name(paths: dict[str, int]) -> dict[str, _Named]:
    found: dict[str, _Named] = defaultdict(_Named)
    for path, size in paths.items():
        name, version = split_name(short_name(path))
        if version:
            found[name].versions.add(version)
        found[name].size += size
    return found
