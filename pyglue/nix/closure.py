"""The closure of a built system, and its difference from another system's.

Called by ``deploy`` after a build. Paths and sizes come from the host's store.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from pyglue.api.system import ClosureChange, ClosureDiff
from pyglue.errors import ErrorCode, HiveError
from pyglue.nix.hoststore import HostStore, check_path, short_name
from pyglue.nix.packages import requisites, split_name

_LISTED_MAX: Final = 2000
_ASKED_AT_ONCE: Final = 1000
"""Paths on one command line, whose length the kernel limits."""


@dataclass
class _Named:
    versions: set[str] = field(default_factory=set)
    size: int = 0


async def diff_closures(
    store: HostStore, before: str | None, after: str, *, base: int | None
) -> ClosureDiff:
    """Compare the closures of two built systems; None stands for an empty one.

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
    paths = sorted(await requisites(store, path))
    sizes: list[str] = []
    for first in range(0, len(paths), _ASKED_AT_ONCE):
        asked = map(check_path, paths[first : first + _ASKED_AT_ONCE])
        done = await store.call("nix-store", ["--query", "--size", *asked])
        sizes += done.stdout.decode("ascii", "replace").split()
    try:
        return dict(zip(paths, map(int, sizes), strict=True))
    except ValueError as error:
        raise HiveError(
            ErrorCode.UNAVAILABLE,
            "Unexpected output of nix-store --query --size.",
        ) from error


def _by_name(paths: dict[str, int]) -> dict[str, _Named]:
    found: dict[str, _Named] = defaultdict(_Named)
    for path, size in paths.items():
        name, version = split_name(short_name(path))
        if version:
            found[name].versions.add(version)
        found[name].size += size
    return found
