"""What an approval does to an agent's NixOS system, as text for a terminal."""

from collections.abc import Iterator

from pyglue.api.system import ClosureChange, Fetch, PackageChange, SystemDetail
from pyglue.text.display import visible

_WHOLE = 2**31
_LOG_LINES = 20


def system_lines(system: SystemDetail) -> Iterator[str]:
    """Yield what is known before approval and, once built, the result."""
    packages = system.packages
    base = "a new agent"
    if packages.base is not None:
        base = f"approval {packages.base}"
    yield f"Its system, compared with {base}:"
    yield f"  {visible(system.drv, limit=_WHOLE)}"
    yield f"  {packages.derivations} new derivations"
    if packages.rebuilt:
        yield f"  {packages.rebuilt} packages rebuilt at the same version"
    for package in packages.packages:
        yield f"  {_versions(package)}"
    for fetch in packages.fetches:
        yield f"  downloads {_fetch(fetch)}"
    if packages.left_out:
        yield f"  … and {packages.left_out} more, also left out of --json"
    if system.closure is not None:
        closure = system.closure
        yield f"Built: {_size(closure.bytes_before)} -> {_size(closure.bytes_after)}"
        for change in closure.changes:
            grown = change.bytes_after - change.bytes_before
            sign = "+" if grown >= 0 else "-"
            yield f"  {_versions(change)}  {sign}{_size(abs(grown))}"
    elif system.build_log:
        yield "End of the build log:"
        for line in system.build_log.splitlines()[-_LOG_LINES:]:
            yield f"  {visible(line, limit=_WHOLE)}"


def _versions(change: PackageChange | ClosureChange) -> str:
    name = visible(change.name, limit=_WHOLE)
    before, after = (
        visible(", ".join(versions), limit=_WHOLE) or "none"
        for versions in (change.before, change.after)
    )
    return f"{name}: {before} -> {after}"


def _fetch(fetch: Fetch) -> str:
    urls = " ".join(visible(url, limit=_WHOLE) for url in fetch.urls)
    origin = urls or f"by {visible(fetch.builder, limit=_WHOLE)}, which names no URL"
    return f"{visible(fetch.name, limit=_WHOLE)}: {origin} ({visible(fetch.hash)})"


def _size(count: int) -> str:
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"
