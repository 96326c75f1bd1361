"""The request of the host to the checking child, and the child's answer.

Shared by ``quarantine`` (the host's side) and ``check`` (the child). The child is
not trusted: its answer is decoded strictly, and a child that dies is a refusal.
"""

from typing import Annotated, Any, Final

import msgspec

from pyglue.errors import ErrorCode
from pyglue.process.limits import Rlimits

Sha = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{40}$")]

MIB: Final = 1024 * 1024


class PackLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much one submitted pack may hold, and what checking it may cost.

    ``max_commits`` counts commits that are not in main yet. Limits on a tree
    (``depth``, ``entries``, ``blob``, ``total``, ``path``) hold for the tree of
    every new commit; ``max_new_bytes`` for all new objects together, unpacked.
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
    """Return how many bytes a file may have that comes of a pack."""
    return limits.max_pack_bytes + limits.max_new_bytes + 8 * MIB


def limits_of(limits: PackLimits) -> Rlimits:
    """Return what each program that reads a pack is held to."""
    return Rlimits(
        address_space=limits.memory_bytes,
        cpu_s=limits.cpu_seconds,
        file_size=file_max(limits),
    )


class Unpacking(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the child unpacks first and packs again after: files in its ``room``.

    The repository is ``repo.git`` there; the objects that passed become one pack.
    """

    pack: str
    room: str


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One commit to check. ``main`` None: there is nothing to descend from yet."""

    objects: str
    applied_objects: str
    commit: Sha
    main: Sha | None
    allow_unchanged: bool
    limits: PackLimits
    unpacking: Unpacking | None = None
    """None: the objects are unpacked already, and the caller packs them."""


class Passed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="passed"):
    """The commit may be proposed; ``new`` are the objects that applied lacks."""

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
