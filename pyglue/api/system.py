"""How a change affects an agent's NixOS system, as the operator sees it.

``PackagesDiff`` is known before approval, from the derivations alone; ``ClosureDiff``
after the build, from its outputs. Names, versions and URLs come from Nix code that the
agent chose: invisible characters are escaped where these structs are constructed.
"""

from pyglue.api.common import Result


class PackageChange(Result, frozen=True):
    """A package by name, with its versions in both systems."""

    name: str
    before: tuple[str, ...]
    after: tuple[str, ...]


class Fetch(Result, frozen=True):
    """A new download of the build, pinned by its hash.

    ``urls`` is empty if the derivation does not state them: read its builder.
    """

    name: str
    urls: tuple[str, ...]
    hash: str
    builder: str


class PackagesDiff(Result, frozen=True):
    """The differences between two systems' derivations.

    ``base`` is the approval of the old system, None for a new agent. ``derivations``
    counts the new ones, ``rebuilt`` those of packages with an unchanged version, and
    ``left_out`` those omitted because there were too many.
    """

    base: int | None
    packages: tuple[PackageChange, ...]
    fetches: tuple[Fetch, ...]
    derivations: int
    rebuilt: int
    left_out: int = 0


class ClosureChange(Result, frozen=True):
    """All store paths of one name: versions, and their total size in bytes."""

    name: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    bytes_before: int
    bytes_after: int


class ClosureDiff(Result, frozen=True):
    """The difference of two built systems; sizes are whole closures in bytes."""

    base: int | None
    changes: tuple[ClosureChange, ...]
    bytes_before: int
    bytes_after: int
    left_out: int = 0


class SystemDetail(Result, frozen=True):
    """A proposal's system. ``build_log`` has the beginning and the end of the log."""

    drv: str
    nixpkgs: str
    revision: str
    packages: PackagesDiff
    toplevel: str | None
    build_log: str
    closure: ClosureDiff | None
