"""Objects and packs written byte by byte, which no honest git would write.

Used by the tests of ``pyglue.git`` and their fuzz part. ``Objects`` makes objects in
memory, well formed or not, and writes them as a pack; ``Room`` is one agent's applied
repository with a first commit, and the import that is being tested.
"""

import contextlib
import hashlib
import os
import struct
import subprocess
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import msgspec
import pytest

from pyglue.errors import ErrorCode, HiveError
from pyglue.git.check import judge
from pyglue.git.host_commits import seed_main
from pyglue.git.quarantine import CheckedCommit, import_pack
from pyglue.git.repos import AppliedRepo
from pyglue.git.verdict import Job, PackLimits
from pyglue.process.started import Ran

FILE = "100644"
EXECUTABLE = "100755"
TREE = "40000"
LINK = "120000"
GITLINK = "160000"
PERSON = "Mia <mia@hive> 1700000000 +0000"
_TYPES = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}

SEED = {
    "agent.nix": b'{ hyperhive.model = "haiku"; }\n',
    "prompts/role.md": b"You sort the mail.\n",
}
NEW = {**SEED, "agent.nix": b"{ }\n"}
"""What most proposals hold, one file changed."""

Line = tuple[str, bytes | str, str]
"""Mode, name and SHA of one entry of a tree."""


def varint_size(number: int) -> bytes:
    """Return a size as deltas hold it."""
    out = bytearray()
    while True:
        byte, number = number & 0x7F, number >> 7
        out.append(byte | (0x80 if number else 0))
        if not number:
            return bytes(out)


def entry_header(kind: int, size: int) -> bytes:
    """Return the header of one object in a pack."""
    byte, size = (kind << 4) | (size & 0x0F), size >> 4
    out = bytearray()
    while size:
        out.append(byte | 0x80)
        byte, size = size & 0x7F, size >> 7
    out.append(byte)
    return bytes(out)


def ref_delta(base: str, delta: bytes) -> bytes:
    """Return a pack entry that says: this delta on the object ``base``."""
    return entry_header(7, len(delta)) + bytes.fromhex(base) + zlib.compress(delta)


def pack_bytes(entries: Iterable[bytes], *, count: int | None = None) -> bytes:
    """Return a pack of raw entries; ``count`` lies about their number."""
    body = list(entries)
    claimed = len(body) if count is None else count
    data = b"PACK" + struct.pack(">II", 2, claimed) + b"".join(body)
    return data + hashlib.sha1(data).digest()  # noqa: S324


@dataclass
class Objects:
    """Objects in memory, by SHA."""

    known: dict[str, tuple[str, bytes]] = field(default_factory=dict)

    def add(self, kind: str, data: bytes) -> str:
        """Add an object of any bytes."""
        raw = b"%s %d\0%s" % (kind.encode(), len(data), data)
        sha = hashlib.sha1(raw).hexdigest()  # noqa: S324
        self.known[sha] = (kind, data)
        return sha

    def blob(self, data: bytes) -> str:
        """Add a file."""
        return self.add("blob", data)

    def tree(self, lines: Iterable[Line], *, ordered: bool = True) -> str:
        """Add a directory of (mode, name, SHA), in git's order unless told not to."""
        rows = [
            (mode, name.encode() if isinstance(name, str) else name, sha)
            for mode, name, sha in lines
        ]
        if ordered:
            rows.sort(key=lambda row: row[1] + (b"/" if row[0] == TREE else b""))
        return self.add(
            "tree",
            b"".join(
                mode.encode() + b" " + name + b"\0" + bytes.fromhex(sha)
                for mode, name, sha in rows
            ),
        )

    def files(self, files: Mapping[str, bytes]) -> str:
        """Add an ordinary tree of files."""
        below: dict[str, dict[str, bytes]] = {}
        lines: list[Line] = []
        for path, content in files.items():
            head, _, rest = path.partition("/")
            if rest:
                below.setdefault(head, {})[rest] = content
            else:
                lines.append((FILE, head, self.blob(content)))
        lines += [(TREE, name, self.files(inner)) for name, inner in below.items()]
        return self.tree(lines)

    def commit(
        self,
        tree: str,
        *parents: str,
        message: bytes | str = "A change\n",
        author: bytes | str = PERSON,
        extra: bytes = b"",
    ) -> str:
        """Add a commit."""
        text = message.encode() if isinstance(message, str) else message
        who = author.encode() if isinstance(author, str) else author
        head = b"tree " + tree.encode() + b"\n"
        head += b"".join(b"parent " + parent.encode() + b"\n" for parent in parents)
        head += b"author " + who + b"\ncommitter " + PERSON.encode() + b"\n"
        return self.add("commit", head + extra + b"\n" + text)

    def pack(self, *, leave_out: Iterable[str] = ()) -> bytes:
        """Return a pack of everything but ``leave_out``, without deltas."""
        gone = set(leave_out)
        return pack_bytes(
            entry_header(_TYPES[kind], len(data)) + zlib.compress(data, 1)
            for sha, (kind, data) in self.known.items()
            if sha not in gone
        )


@dataclass
class Room:
    """An agent's applied repository in ``path``, seeded, and a place for packs."""

    path: Path
    applied: AppliedRepo
    main: str

    @classmethod
    def make(cls, path: Path) -> "Room":
        """Make the repository and its first commit."""
        (path / "quarantine").mkdir(parents=True)
        applied = AppliedRepo.create(path / "bee.git")
        main = seed_main(applied, SEED, message="First", at=1_700_000_000)
        return cls(path, applied, main)

    def submit(
        self,
        objects: Objects | bytes,
        commit: str,
        *,
        limits: PackLimits | None = None,
        allow_unchanged: bool = False,
        child: bool = False,
    ) -> CheckedCommit:
        """Import a pack; nothing may be left of it in the quarantine.

        The check runs in this process, which saves a Python start, unless ``child``
        asks for the real thing: wherever the child's limits or death matter.
        """
        pack = self.path / "upload.pack"
        pack.write_bytes(objects if isinstance(objects, bytes) else objects.pack())
        quarantine = self.path / "quarantine"
        here = mock.patch("pyglue.git.quarantine.run_module", _check_here)
        try:
            with contextlib.nullcontext() if child else here:
                return import_pack(
                    pack,
                    commit,
                    self.applied,
                    workdir=quarantine,
                    limits=limits,
                    allow_unchanged=allow_unchanged,
                )
        finally:
            assert list(quarantine.iterdir()) == []

    def known(self) -> set[str]:
        """Return every object that the applied repository holds."""
        listing = git(
            "cat-file", "--batch-all-objects", "--batch-check", cwd=self.applied.path
        )
        return {line.split()[0] for line in listing.splitlines()}


def _check_here(_: str, job: bytes, **__: object) -> Ran:
    verdict = judge(msgspec.json.decode(job, type=Job))
    return Ran(code=0, output=msgspec.json.encode(verdict), errors=b"", overrun=None)


def git(*args: str, cwd: Path, stdin: bytes | None = None) -> str:
    """Run an ordinary git, as an agent would."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Mia",
        "GIT_AUTHOR_EMAIL": "mia@hive",
        "GIT_COMMITTER_NAME": "Mia",
        "GIT_COMMITTER_EMAIL": "mia@hive",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
    }
    done = subprocess.run(
        ["git", *args],
        cwd=cwd,
        input=stdin,
        env=environment,
        check=True,
        capture_output=True,
    )
    return done.stdout.decode().strip()


def git_pack(cwd: Path, *revisions: str) -> bytes:
    """Return the pack that the submitting tool sends."""
    return subprocess.run(
        ["git", "-c", "safe.directory=*", "pack-objects", "--revs", "--stdout", "-q"],
        cwd=cwd,
        input="".join(f"{revision}\n" for revision in revisions).encode(),
        check=True,
        capture_output=True,
    ).stdout


def refused(
    room: Room,
    objects: Objects | bytes,
    commit: str,
    code: ErrorCode,
    *,
    limits: PackLimits | None = None,
    child: bool = False,
) -> HiveError:
    """Submit, expect ``code`` and an unchanged applied repository."""
    before = room.known()
    with pytest.raises(HiveError) as caught:
        room.submit(objects, commit, limits=limits, child=child)
    assert caught.value.code == code, caught.value.message
    assert caught.value.message.isascii() and caught.value.message.isprintable()
    assert str(room.path) not in caught.value.message
    assert room.known() == before
    return caught.value
