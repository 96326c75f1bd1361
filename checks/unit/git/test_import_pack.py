"""Packs that ``pyglue.git.quarantine`` refuses, and failures of checks and disks."""

import resource
import signal
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest

from checks.kits.git.objects import (
    FILE,
    NEW,
    SEED,
    TREE,
    Objects,
    Room,
    entry_header,
    git,
    pack_bytes,
    ref_delta,
    refused,
    varint_size,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.files.directory import Folder
from pyglue.git import quarantine
from pyglue.git.config_repo import copy_config_repo
from pyglue.git.quarantine import sweep
from pyglue.git.run import run_module
from pyglue.git.verdict import MIB
from pyglue.process.started import Ran


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room.make(tmp_path)


@pytest.fixture
def objects() -> Objects:
    return Objects()


# The pack
@pytest.mark.parametrize(
    "pack",
    [
        b"",
        b"PACK",
        b"not a pack at all",
        b"PACK" + struct.pack(">II", 9, 0) + bytes(20),
        pack_bytes([b"\xff" * 40]),
        pack_bytes([entry_header(3, 10) + zlib.compress(b"short")]),
        pack_bytes([entry_header(3, 2) + zlib.compress(b"too long")]),
        pack_bytes([entry_header(5, 2) + zlib.compress(b"xx")]),
        pack_bytes([entry_header(3, 2) + zlib.compress(b"xx")], count=3),
    ],
    ids=str,
)
def test_what_is_no_pack_is_refused(room: Room, pack: bytes) -> None:
    refused(room, pack, room.main, ErrorCode.INVALID_PACK)


@pytest.mark.parametrize("keep", [0.3, 0.7, 0.99])
def test_a_pack_that_is_cut_off_is_refused(
    room: Room, objects: Objects, keep: float
) -> None:
    commit = objects.commit(objects.files(NEW), room.main)
    pack = objects.pack()
    refused(room, pack[: int(len(pack) * keep)], commit, ErrorCode.INVALID_PACK)


def test_a_flipped_bit_is_refused(room: Room, objects: Objects) -> None:
    commit = objects.commit(objects.files(NEW), room.main)
    pack = bytearray(objects.pack())
    pack[len(pack) // 2] ^= 1
    refused(room, bytes(pack), commit, ErrorCode.INVALID_PACK)


def test_a_pack_over_the_size_limit_is_not_even_read(room: Room) -> None:
    pack = room.path / "big.pack"
    with pack.open("wb") as stream:
        stream.write(b"PACK")
        stream.truncate(100 * MIB)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    with pytest.raises(HiveError) as caught:
        quarantine.import_pack(
            pack, room.main, room.applied, workdir=room.path / "quarantine"
        )
    assert caught.value.code == ErrorCode.TOO_LARGE
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime == before


def test_a_claim_of_too_many_objects_is_refused(room: Room) -> None:
    pack = pack_bytes([], count=2**32 - 1)
    refused(room, pack, room.main, ErrorCode.TOO_LARGE)


@pytest.mark.parametrize("lost", ["tree", "blob", "subtree", "parent"])
def test_a_pack_with_a_hole_is_refused(room: Room, objects: Objects, lost: str) -> None:
    first = objects.commit(objects.files({**NEW, "a/b": b"old"}), room.main)
    blob = objects.blob(b"new")
    subtree = objects.tree([(FILE, "b", blob)])
    tree = objects.tree(
        [(FILE, "agent.nix", objects.blob(b"{}")), (TREE, "a", subtree)]
    )
    commit = objects.commit(tree, first)
    shas = {"tree": tree, "blob": blob, "subtree": subtree, "parent": first}
    pack = objects.pack(leave_out=[shas[lost]])
    error = refused(room, pack, commit, ErrorCode.INVALID_PACK)
    assert shas[lost] in error.message


def test_a_thin_pack_is_refused(room: Room, objects: Objects) -> None:
    base = objects.blob(SEED["agent.nix"])
    size = len(SEED["agent.nix"])
    delta = varint_size(size) + varint_size(size) + bytes([0x90, size])
    refused(
        room, pack_bytes([ref_delta(base, delta)]), room.main, ErrorCode.INVALID_PACK
    )


def test_a_cycle_of_deltas_is_refused(room: Room, objects: Objects) -> None:
    one, two = objects.blob(b"one"), objects.blob(b"two")
    same = varint_size(3) + varint_size(3) + bytes([0x90, 3])
    pack = pack_bytes([ref_delta(one, same), ref_delta(two, same)])
    refused(room, pack, one, ErrorCode.INVALID_PACK)


def test_alternates_of_the_sender_are_unknown_to_the_host(
    room: Room, objects: Objects
) -> None:
    """Objects that only the sender's alternate holds do not come from there."""
    other = room.path / "other.git"
    git("init", "-q", "--bare", str(other), cwd=room.path)
    blob = git("hash-object", "-w", "--stdin", cwd=other, stdin=b"elsewhere")
    config = room.path / "config"
    with Folder.at(config.parent) as home:
        copy_config_repo(room.applied, home, config.name, owner=None)
    alternates = config / ".git/objects/info/alternates"
    alternates.write_text(f"{other}/objects\n")
    git("update-index", "--add", "--cacheinfo", f"{FILE},{blob},x", cwd=config)
    git("commit", "-qm", "x", cwd=config)
    commit = git("rev-parse", "HEAD", cwd=config)
    listed = git("rev-list", "--objects", commit, f"^{room.main}", cwd=config)
    names = [line.split()[0] for line in listed.splitlines()]
    (config / "names").write_text("".join(f"{n}\n" for n in names if n != blob))
    git("pack-objects", "-q", "part", cwd=config, stdin=(config / "names").read_bytes())
    (pack,) = config.glob("part-*.pack")
    refused(room, pack.read_bytes(), commit, ErrorCode.INVALID_PACK)


def test_the_child_gives_the_same_answers(room: Room, objects: Objects) -> None:
    """Most tests check in this process; what crosses the pipe is the same."""
    good = objects.commit(objects.files(NEW), room.main, message="\x1b[31m\u202e\n")
    bad = objects.commit(objects.files({"a": b""}), room.main)
    for commit, code in ((bad, "unsafe_tree"), (room.main, "no_change")):
        told = [
            refused(room, objects, commit, ErrorCode(code), child=child)
            for child in (False, True)
        ]
        assert told[0].message == told[1].message
        assert told[0].details == told[1].details
    checked = room.submit(objects, good, child=True)
    assert checked == room.submit(objects, good)


# The child and what crashes leave
def replace_child(room: Room, body: str, patch: pytest.MonkeyPatch) -> None:
    """Let the next check run ``body`` instead of the real child."""
    imports = room.path / "imports"
    imports.mkdir()
    (imports / "other_check.py").write_text(body + "\n")
    patch.syspath_prepend(str(imports))

    def run(_: str, job: bytes, **options: Any) -> Ran:
        return run_module("other_check", job, **options)

    patch.setattr(quarantine, "run_module", run)


@pytest.mark.parametrize(
    "body",
    [
        "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "import sys; sys.exit(3)",
        "print('not json')",
        'print(\'{"type": "passed", "tree": "../../etc"}\')',
    ],
)
def test_a_child_that_dies_or_babbles_is_a_refusal(
    room: Room, objects: Objects, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_child(room, body, monkeypatch)
    commit = objects.commit(objects.files(NEW), room.main)
    error = refused(room, objects, commit, ErrorCode.INVALID_PACK, child=True)
    if "SIGSEGV" in body:
        assert error.details == {"exit": -signal.SIGSEGV}


def test_a_child_without_memory_is_a_refusal(
    room: Room, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_child(room, "x = bytearray(8 << 30)", monkeypatch)
    commit = objects.commit(objects.files(NEW), room.main)
    refused(room, objects, commit, ErrorCode.TOO_LARGE, child=True)


def test_sweep_removes_what_a_crash_left(room: Room) -> None:
    workdir = room.path / "quarantine"
    (workdir / "pack-dead" / "repo.git" / "objects").mkdir(parents=True)
    sweep(workdir)
    assert list(workdir.iterdir()) == []


def test_a_crash_between_pack_and_index_leaves_nothing(
    room: Room, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = objects.commit(objects.files(NEW), room.main)
    before = room.known()

    def crash(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(quarantine, "sync_directory", crash)
        with pytest.raises(KeyboardInterrupt):
            room.submit(objects, commit)
    assert room.known() == before
    room.applied.tidy()
    assert list((room.applied.objects / "pack").iterdir()) == []
    assert room.submit(objects, commit).sha == commit
    assert commit in room.known()


def test_a_full_disk_is_not_the_sender_s_fault(
    room: Room, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = objects.commit(objects.files(NEW), room.main)
    said = b"fatal: cannot store pack file: No space left on device\n"
    with monkeypatch.context() as patched:
        full = Ran(code=128, output=b"", errors=said, overrun=None)
        patched.setattr("pyglue.git.unpack.run_git", lambda *_, **__: full)
        refused(room, objects, commit, ErrorCode.UNAVAILABLE)

    def fail(*_: object) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("pyglue.git.quarantine.shutil.copyfileobj", fail)
        with pytest.raises(OSError, match="No space"):
            room.submit(objects, commit)
    assert list((room.applied.objects / "pack").iterdir()) == []
