"""What a change does to an agent's NixOS system, as the operator sees it.

``PackagesDiff`` is known before approval, from the derivations alone; ``ClosureDiff``
after the build, from what was built. Names, versions and addresses come from Nix code
that the agent chose: they are made visible where these are made.
"""

from pyglue.api.common import Result


class PackageChange(Result, frozen=True):
    """A package by name, with its versions in one system and the other."""

    name: str
    before: tuple[str, ...]
    after: tuple[str, ...]


class Fetch(Result, frozen=True):
    """Something new that the build would download, pinned by its hash.

    ``urls`` is empty where the derivation does not say: read its builder then.
    """

    name: str
    urls: tuple[str, ...]
    hash: str
    builder: str


class PackagesDiff(Result, frozen=True):
    """What differs between two systems' derivations.

    ``base`` is the approval of the system it is compared with, None for a new agent.
    ``derivations`` counts what is new, ``rebuilt`` the packages of it whose version is
    the same; ``left_out`` what was too much to list.
    """

    base: int | None
    packages: tuple[PackageChange, ...]
    fetches: tuple[Fetch, ...]
    derivations: int
    rebuilt: int
    left_out: int = 0


class ClosureChange(Result, frozen=True):
    """Store paths of one name: versions, and bytes of all of them together."""

    name: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    bytes_before: int
    bytes_after: int


class ClosureDiff(Result, frozen=True):
    """What differs between two built systems; sizes of the whole closures in bytes."""

    base: int | None
    changes: tuple[ClosureChange, ...]
    bytes_before: int
    bytes_after: int
    left_out: int = 0


class SystemDetail(Result, frozen=True):
    """All of a proposal's system. ``build_log`` has its beginning and its end."""

    drv: str
    nixpkgs: str
    revision: str
    packages: PackagesDiff
    toplevel: str | None
    build_log: str
    closure: ClosureDiff | None
