"""The host's request to the checking child, and the child's answer.

Shared by ``quarantine`` (the host's side) and ``check`` (the child). The child is not
trusted: its answer is decoded strictly, and a child that dies counts as a refusal.
"""

from typing import Annotated, Any, Final

import msgspec

from pyglue.errors import ErrorCode
from pyglue.process.limits import Rlimits

Sha = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{40}$")]

MIB: Final = 1024 * 1024


class PackLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much one submitted pack may contain, and what checking it may cost.

    ``max_commits`` counts commits that are not in main yet. Limits on a tree
    (``depth``, ``entries``, ``blob``, ``total``, ``path``) apply to the tree of
    every new commit, ``max_new_bytes`` to all new objects together, unpacked.
    """

    max_pack_bytes: int = 32 * MIB
    max_objects: int = 20_000
    max_new_bytes: int = 64 * MIB
    max_commits: int = 200
    max_parents: int = 8
    max_depth: int = 16
    max_entries: int = 2_000
    max_blob_bytes: int = 1 * MIB
    max_total_bytes: int = 8 * MIB
    max_path_bytes: int = 512
    max_message_bytes: int = 64 * 1024
    memory_bytes: int = 1024 * MIB
    cpu_seconds: int = 20
    wall_seconds: float = 60.0


def file_max(limits: PackLimits) -> int:
    """Return the maximum size in bytes of a file that a pack is unpacked into."""
    return limits.max_pack_bytes + limits.max_new_bytes + 8 * MIB


def limits_of(limits: PackLimits) -> Rlimits:
    """Return the limits of each program that reads a pack."""
    return Rlimits(
        address_space=limits.memory_bytes,
        cpu_s=limits.cpu_seconds,
        file_size=file_max(limits),
    )


class Unpacking(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Makes the child unpack a pack in its ``directory`` first, and repack it after.

    The repository there is ``repo.git``; the objects that pass become one pack.
    """

    pack: str
    directory: str


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One commit to check. ``main`` None: there is no main to descend from yet."""

    objects: str
    applied_objects: str
    commit: Sha
    main: Sha | None
    allow_unchanged: bool
    limits: PackLimits
    unpacking: Unpacking | None = None
    """None: the objects are already unpacked, and the caller packs them."""


class Passed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="passed"):
    """The commit may be proposed; ``new`` are the objects missing from applied."""

    tree: Sha
    author_name: str
    author_email: str
    author_time: int
    message: str
    files: int
    total_bytes: int
    new: tuple[Sha, ...]


class Refused(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="refused"):
    """The commit may not be proposed, with the sentence for its author."""

    code: ErrorCode
    message: str
    details: dict[str, Any]
