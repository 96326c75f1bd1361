"""Bombs and other oversized input, refused by ``pyglue.git.quarantine``."""

import resource
import zlib
from pathlib import Path

import pytest

from checks.kits.git.objects import (
    FILE,
    NEW,
    TREE,
    Objects,
    Room,
    entry_header,
    pack_bytes,
    ref_delta,
    refused,
    varint_size,
)
from pyglue.errors import ErrorCode
from pyglue.git.verdict import MIB, PackLimits


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room.make(tmp_path)


@pytest.fixture
def objects() -> Objects:
    return Objects()


def test_a_highly_compressed_file_is_refused_by_its_header(
    room: Room, objects: Objects
) -> None:
    blob = objects.blob(bytes(100 * MIB))
    tree = objects.tree([(FILE, "agent.nix", objects.blob(b"{}")), (FILE, "z", blob)])
    commit = objects.commit(tree, room.main)
    pack = objects.pack()
    objects.known.clear()
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    error = refused(room, pack, commit, ErrorCode.TOO_LARGE, child=True)
    assert "'z'" in error.message and "1024 KiB" in error.message
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held
    assert grown < 16 * 1024, f"{grown} KiB more in the parent"


def delta_bomb(objects: Objects, size: int) -> tuple[str, bytes]:
    """Return a base and a delta that copies it until ``size`` bytes are reached."""
    base = bytes(0x10000)
    sha = objects.blob(base)
    copies = size // len(base)
    delta = varint_size(len(base)) + varint_size(copies * len(base)) + b"\x80" * copies
    return sha, delta


def test_a_delta_bomb_is_refused(room: Room, objects: Objects) -> None:
    base, delta = delta_bomb(objects, 4096 * MIB)
    plain = entry_header(3, 0x10000) + zlib.compress(bytes(0x10000))
    pack = pack_bytes([plain, ref_delta(base, delta)])
    assert len(pack) < 4096
    error = refused(room, pack, base, ErrorCode.TOO_LARGE)
    assert "time or memory" in error.message


def test_a_zlib_bomb_ends_at_the_processor_limit(room: Room, objects: Objects) -> None:
    """Each one would be refused by its size; unpacking all takes 13 GB."""
    squeeze = zlib.compressobj(9)
    bomb = squeeze.compress(bytes(64 * MIB)) + squeeze.flush()
    entry = entry_header(3, 64 * MIB) + bomb
    limits = PackLimits(cpu_seconds=1)
    pack = pack_bytes([entry] * 200)
    error = refused(room, pack, room.main, ErrorCode.TOO_LARGE, limits=limits)
    assert "time or memory" in error.message


def test_wall_time_is_limited_too(room: Room, objects: Objects) -> None:
    commit = objects.commit(objects.files(NEW), room.main)
    limits = PackLimits(wall_seconds=0.0)
    refused(room, objects, commit, ErrorCode.TOO_LARGE, limits=limits, child=True)


def deep(objects: Objects, levels: int) -> str:
    """Return a commit's tree that is ``levels`` directories deep."""
    sha = objects.tree([(FILE, "f", objects.blob(b"x"))])
    for _ in range(levels - 1):
        sha = objects.tree([(TREE, "d", sha)])
    return sha


@pytest.mark.parametrize("levels", [15, 16, 100_000])
def test_a_tree_too_deep_is_refused(room: Room, objects: Objects, levels: int) -> None:
    top = [(FILE, "agent.nix", objects.blob(b"{}")), (TREE, "d", deep(objects, levels))]
    commit = objects.commit(objects.tree(top), room.main)
    limits = PackLimits(max_objects=200_000)
    if levels == 15:
        assert room.submit(objects, commit, limits=limits).files == 2
    else:
        error = refused(
            room, objects, commit, ErrorCode.TOO_LARGE, limits=limits, child=True
        )
        assert "directories deep" in error.message


def test_depth_adds_up_over_directories_read_before(
    room: Room, objects: Objects
) -> None:
    """Ten levels known from an earlier commit, hung ten levels down."""
    ten = deep(objects, 10)
    files = (FILE, "agent.nix", objects.blob(b"{}"))
    twenty = ten
    for _ in range(10):
        twenty = objects.tree([(TREE, "d", twenty)])
    first = objects.commit(objects.tree([files, (TREE, "a", ten)]), room.main)
    second = objects.commit(objects.tree([files, (TREE, "b", twenty)]), first)
    error = refused(room, objects, second, ErrorCode.TOO_LARGE)
    assert "directories deep" in error.message


def test_a_tree_bomb_is_refused_without_being_expanded(
    room: Room, objects: Objects
) -> None:
    sha = objects.tree([(FILE, "f", objects.blob(b""))])
    for _ in range(10):
        sha = objects.tree([(TREE, f"d{n}", sha) for n in range(10)])
    commit = objects.commit(sha, room.main)
    error = refused(room, objects, commit, ErrorCode.TOO_LARGE, child=True)
    assert "more than 2000 entries" in error.message


def test_too_many_entries_in_one_directory_are_refused(
    room: Room, objects: Objects
) -> None:
    blob = objects.blob(b"")
    few = [(FILE, f"f{n:06}", blob) for n in range(2001)]
    commit = objects.commit(objects.tree(few), room.main)
    refused(room, objects, commit, ErrorCode.TOO_LARGE)
    many = [(FILE, f"f{n:06}", blob) for n in range(200_000)]
    commit = objects.commit(objects.tree(many), room.main)
    refused(room, objects, commit, ErrorCode.TOO_LARGE)


def test_limits_on_sums(room: Room, objects: Objects) -> None:
    commit = objects.commit(objects.files({**NEW, "a": b"x" * 50_000}), room.main)
    for limits in (
        PackLimits(max_total_bytes=40_000),
        PackLimits(max_new_bytes=40_000),
        PackLimits(max_blob_bytes=40_000),
        PackLimits(max_objects=3),
        PackLimits(max_path_bytes=8),
    ):
        refused(room, objects, commit, ErrorCode.TOO_LARGE, limits=limits)
    assert room.submit(objects, commit).files == 3


def test_new_objects_are_counted_over_all_commits(room: Room, objects: Objects) -> None:
    parent = room.main
    for number in range(5):
        files = {**NEW, "a": bytes([number]) * 50_000}
        parent = objects.commit(objects.files(files), parent)
    limits = PackLimits(max_new_bytes=200_000)
    error = refused(room, objects, parent, ErrorCode.TOO_LARGE, limits=limits)
    assert "git reset --soft " + room.main in error.message
    assert room.submit(objects, parent).files == 3


def test_a_large_file_in_an_earlier_commit_is_refused_with_its_name(
    room: Room, objects: Objects
) -> None:
    large = objects.files({**NEW, "log": bytes(2 * MIB)})
    first = objects.commit(large, room.main)
    second = objects.commit(objects.files(NEW), first)
    error = refused(room, objects, second, ErrorCode.TOO_LARGE)
    assert first in error.message and "'log'" in error.message
    assert f"git reset --soft {room.main}" in error.message
