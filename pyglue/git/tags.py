"""The tags that record the outcome of a commit: ``<kind>/<proposal id>``.

Tags are the source of truth for content: the message of an annotated
``proposal/<id>`` is the bytes of the pinned record. This module has only the names and
bytes of tag objects; ``repos`` reads and writes them.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

REF_PREFIX: Final = "refs/tags/"
AUTHOR_NAME: Final = "hyperhive"
AUTHOR_EMAIL: Final = "hive@localhost"
_NAME: Final = re.compile(r"([a-z]+)/([1-9][0-9]{0,17})")


class TagKind(StrEnum):
    """A step in the life of a proposal."""

    PROPOSAL = "proposal"
    APPROVED = "approved"
    BUILDING = "building"
    DEPLOYED = "deployed"
    FAILED = "failed"
    DENIED = "denied"
    CHANGES = "changes"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


@dataclass(frozen=True, kw_only=True)
class Tag:
    """One of the host's tags; ``commit`` is what it points to, via the tag object."""

    kind: TagKind
    id: int
    commit: str
    annotated: bool

    @property
    def name(self) -> str:
        """Return ``<kind>/<id>``."""
        return tag_name(self.kind, self.id)


def tag_name(kind: TagKind, number: int) -> str:
    """Return the name of the tag below ``refs/tags/``."""
    if number < 1:
        raise ValueError("a proposal's id is a positive number")
    return f"{kind.value}/{number}"


def parse_name(name: str) -> tuple[TagKind, int] | None:
    """Return the kind and ID; None if the name is not one of ours."""
    match = _NAME.fullmatch(name)
    if match is None or match.group(1) not in TagKind.__members__.values():
        return None
    return TagKind(match.group(1)), int(match.group(2))


def person(time: int) -> str:
    """Return the host's own author line at ``time`` (seconds since the epoch)."""
    return f"{AUTHOR_NAME} <{AUTHOR_EMAIL}> {time} +0000"


def tag_object(name: str, commit: str, message: bytes, *, time: int) -> bytes:
    """Return the bytes of an annotated tag; the message is kept byte for byte."""
    header = f"object {commit}\ntype commit\ntag {name}\ntagger {person(time)}\n\n"
    return header.encode("ascii") + message


def tag_message(raw: bytes) -> bytes:
    """Return the message in the bytes of a tag object, unchanged."""
    return raw.partition(b"\n\n")[2]
