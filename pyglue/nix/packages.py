"""The packages of a system before anything is built, from its derivations.

Called by ``proposals``. Only derivations that are in one of the systems are read.
Packages are derivations with a version. New downloads are derivations whose result is
pinned by hash (such builds have network access) and was not in the old system. All
texts are the author's: they are compared as they are, and shown visible and shortened.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pyglue import strict_json
from pyglue.api.system import Fetch, PackageChange, PackagesDiff
from pyglue.errors import ErrorCode, HiveError
from pyglue.nix.drv import Derivation, parse
from pyglue.nix.hoststore import HostStore, check_path, short_name
from pyglue.strict_json import JsonError
from pyglue.text.display import visible

_DERIVATIONS_MAX: Final = 100_000
_BYTES_MAX: Final = 512 * 1024**2
_LISTED_MAX: Final = 2000
_URLS_MAX: Final = 10
_NAME_MAX: Final = 120
_URL_MAX: Final = 500


@dataclass
class _Side:
    """The part of one system that is missing in the other."""

    versions: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    fetches: dict[str, Fetch] = field(default_factory=dict)
    derivations: int = 0


async def diff_packages(
    store: HostStore, before: str | None, after: str, *, base: int | None
) -> PackagesDiff:
    """Compare the derivations of two systems, both in the store; None: an empty one.

    Raises:
        HiveError: ``eval_failed``, ``eval_limit``; ``unavailable``.
    """
    new = await requisites(store, after)
    old = set() if before is None else await requisites(store, before)
    gone, come = await asyncio.to_thread(
        lambda: (_read(store, old - new), _read(store, new - old))
    )
    return _compare(gone, come, base)


async def requisites(store: HostStore, path: str) -> set[str]:
    """Return ``path`` and everything that it refers to.

    Raises:
        HiveError: ``unavailable``, also if it is not in the store.
    """
    arguments = ["--query", "--requisites", check_path(path)]
    done = await store.call("nix-store", arguments)
    return set(done.stdout.decode("utf-8", "replace").split())


def _read(store: HostStore, paths: Iterable[str]) -> _Side:
    side, left = _Side(), _BYTES_MAX
    for path in paths:
        if not path.endswith(".drv"):
            continue
        file = store.real(path)
        left -= file.lstat().st_size
        side.derivations += 1
        if left < 0 or side.derivations > _DERIVATIONS_MAX:
            raise HiveError(
                ErrorCode.EVAL_LIMIT,
                f"The system has more than {_DERIVATIONS_MAX} derivations, or more "
                f"than {_BYTES_MAX // 2**20} MiB of them: too many to compare.",
            )
        _note(side, path, parse(file.read_bytes()))
    return side


def _note(side: _Side, path: str, drv: Derivation) -> None:
    attributes = _attributes(drv)
    fixed = drv.fixed
    if fixed is not None:
        side.fetches[fixed.path] = Fetch(
            name=visible(short_name(path).removesuffix(".drv"), limit=_NAME_MAX),
            urls=_urls(attributes),
            hash=visible(f"{fixed.algorithm}:{fixed.hash}", limit=_NAME_MAX),
            builder=visible(drv.builder, limit=_NAME_MAX),
        )
        return
    name, version = attributes.get("pname"), attributes.get("version")
    if not isinstance(name, str) or not isinstance(version, str):
        name, version = split_name(short_name(path).removesuffix(".drv"))
    if version:
        side.versions[name].add(version)


def _attributes(drv: Derivation) -> Mapping[str, Any]:
    """Return the derivation's attributes, including structured ones."""
    structured = drv.environment.get("__json")
    if structured is None:
        return drv.environment
    try:
        return strict_json.read(structured, dict[str, Any])
    except JsonError:
        return {}


def _urls(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    found: list[str] = []
    for key in ("urls", "url"):
        value = attributes.get(key)
        if isinstance(value, str):
            found += value.split()
        elif isinstance(value, list):
            found += [each for each in value if isinstance(each, str)]
    unique = dict.fromkeys(found)
    return tuple(visible(url, limit=_URL_MAX) for url in [*unique][:_URLS_MAX])


def split_name(name: str) -> tuple[str, str]:
    """Split ``name-version`` as Nix does: at the first dash before a non-letter."""
    for at, character in enumerate(name[:-1]):
        if character == "-" and not name[at + 1].isalpha():
            return name[:at], name[at + 1 :]
    return name, ""


def _compare(gone: _Side, come: _Side, base: int | None) -> PackagesDiff:
    changes, rebuilt = [], 0
    for name in sorted({*gone.versions, *come.versions}):
        old, new = gone.versions.get(name, set()), come.versions.get(name, set())
        rebuilt += len(old & new)
        if old != new:
            changes.append(
                PackageChange(
                    name=visible(name, limit=_NAME_MAX),
                    before=_shown(old - new),
                    after=_shown(new - old),
                )
            )
    new_fetches = sorted(come.fetches.keys() - gone.fetches.keys())
    fetches = [come.fetches[path] for path in new_fetches]
    fetches.sort(key=lambda fetch: fetch.name)
    return PackagesDiff(
        base=base,
        packages=tuple(changes[:_LISTED_MAX]),
        fetches=tuple(fetches[:_LISTED_MAX]),
        derivations=come.derivations,
        rebuilt=rebuilt,
        left_out=_over(changes) + _over(fetches),
    )


def _shown(versions: set[str]) -> tuple[str, ...]:
    return tuple(visible(version, limit=_NAME_MAX) for version in sorted(versions))


def _over(items: Sequence[object]) -> int:
    return max(0, len(items) - _LISTED_MAX)
