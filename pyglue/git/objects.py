"""Commits and trees parsed from raw bytes, by our own strict rules.

libgit2's own parsers recurse, assert and raise a dozen kinds of exceptions on
hostile objects, so objects are fetched raw from the object database and parsed here,
without recursion. Used by the checking child, the export and the applied repository.
The first line of defence is git's fsck (``index-pack --strict``); this is the second.
"""

import re
from dataclasses import dataclass
from typing import Final

TREE_MODE: Final = 0o040000
FILE_MODE: Final = 0o100644
EXECUTABLE_MODE: Final = 0o100755
LINK_MODE: Final = 0o120000
GITLINK_MODE: Final = 0o160000

HEX_SHA: Final = re.compile(r"[0-9a-f]{40}")
_HEX_LINE: Final = re.compile(rb"[0-9a-f]{40}")
_PERSON: Final = re.compile(rb"([^<>\n]*)<([^<>\n]*)> ([0-9]{1,12}) ([+-][0-9]{4})")
_MAX_TIME: Final = 253_402_300_799  # the end of the year 9999


class MalformedObject(Exception):  # noqa: N818 (a verdict, not a failure of ours)
    """An object breaks a rule; the text is a clause that completes 'because …'."""


@dataclass(frozen=True)
class Author:
    """The author that a commit names. ``time`` is in seconds since the epoch.

    Both texts are chosen by an agent: valid UTF-8 and nothing more.
    """

    name: str
    email: str
    time: int


@dataclass(frozen=True, kw_only=True)
class Commit:
    """One commit object. ``message`` is unchanged; escape it before showing it."""

    tree: str
    parents: tuple[str, ...]
    author: Author
    message: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a tree object; ``name`` is unchecked bytes."""

    mode: int
    name: bytes
    sha: str


def parse_commit(raw: bytes) -> Commit:
    """Read a commit object.

    Raises:
        MalformedObject: it does not have exactly one tree, author and committer, has a
            date outside the calendar, or text that is not UTF-8.
    """
    header, separator, body = raw.partition(b"\n\n")
    if not separator:
        header, body = raw.rstrip(b"\n"), b""
    if b"\0" in raw:
        raise MalformedObject("it contains a zero byte")
    fields = [tuple(line.partition(b" ")[::2]) for line in header.split(b"\n")]
    trees = [value for key, value in fields if key == b"tree"]
    parents = [value for key, value in fields if key == b"parent"]
    authors = [value for key, value in fields if key == b"author"]
    committers = [value for key, value in fields if key == b"committer"]
    if len(trees) != 1 or fields[0][0] != b"tree":
        raise MalformedObject("it does not have exactly one tree")
    if len(authors) != 1 or len(committers) != 1:
        raise MalformedObject("it does not have exactly one author and one committer")
    if any(not _HEX_LINE.fullmatch(value) for value in [*trees, *parents]):
        raise MalformedObject("its tree or a parent is not a SHA")
    for encoding in (value for key, value in fields if key == b"encoding"):
        if encoding.lower() not in (b"utf-8", b"utf8"):
            raise MalformedObject(
                "its text is not UTF-8 (commit again without i18n.commitEncoding)"
            )
    _person(committers[0])
    return Commit(
        tree=trees[0].decode("ascii"),
        parents=tuple(value.decode("ascii") for value in parents),
        author=_person(authors[0]),
        message=_text(body, "its message is not valid UTF-8"),
    )


def parse_tree(raw: bytes) -> tuple[Entry, ...]:
    """Read a tree object. Names, order and duplicates are not checked here.

    Raises:
        MalformedObject: the bytes are not a list of entries.
    """
    entries = []
    position = 0
    while position < len(raw):
        space = raw.find(b" ", position, position + 8)
        end = raw.find(b"\0", space)
        if space < 0 or end < 0 or end + 21 > len(raw):
            raise MalformedObject("a directory in it is not a valid tree object")
        mode = raw[position:space]
        if not mode.isdigit() or mode.strip(b"01234567"):
            raise MalformedObject("a directory in it has an entry with an invalid mode")
        position = end + 21
        name, sha = raw[space + 1 : end], raw[end + 1 : position].hex()
        entries.append(Entry(int(mode, 8), name, sha))
    return tuple(entries)


def _person(line: bytes) -> Author:
    match = _PERSON.fullmatch(line)
    if match is None:
        raise MalformedObject("its author or committer line is invalid")
    name, email, time, _ = match.groups()
    if int(time) > _MAX_TIME:
        raise MalformedObject("its date is after the year 9999")
    complaint = "its author or committer is not valid UTF-8"
    return Author(_text(name.strip(), complaint), _text(email, complaint), int(time))


def _text(raw: bytes, complaint: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedObject(complaint) from None
