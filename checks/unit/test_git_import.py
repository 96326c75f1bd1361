"""What may come in as a pack: every refusal of ``pyglue.git.quarantine``, refused."""

import resource
import signal
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest

from checks.git_kit import (
    EXECUTABLE,
    FILE,
    GITLINK,
    LINK,
    PERSON,
    SEED,
    TREE,
    Objects,
    Room,
    entry_header,
    git,
    git_pack,
    pack_bytes,
    ref_delta,
    varint_size,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.git import quarantine
from pyglue.git.child import Ran
from pyglue.git.config_repo import copy_config_repo
from pyglue.git.quarantine import sweep
from pyglue.git.run import run_module
from pyglue.git.verdict import MIB, PackLimits

NEW = {**SEED, "agent.nix": b"{ }\n"}


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room.make(tmp_path)


@pytest.fixture
def objects() -> Objects:
    return Objects()


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


# What is accepted


def test_a_change_made_with_git_comes_in_whole(room: Room) -> None:
    config = room.path / "config"
    copy_config_repo(room.applied, config, uid=None, gid=None)
    (config / "agent.nix").write_text("{ }\n")
    (config / "bin").mkdir()
    (config / "bin" / "größer.sh").write_text("#!/bin/sh\n")
    (config / "bin" / "größer.sh").chmod(0o755)
    git("add", "-A", cwd=config)
    git("commit", "-qm", "Grow\n\nWith a body.", cwd=config)
    commit = git("rev-parse", "HEAD", cwd=config)
    checked = room.submit(git_pack(config, commit, f"^{room.main}"), commit, child=True)
    assert checked.sha == commit
    assert checked.parent_main == room.main == room.applied.main()
    assert checked.message == "Grow\n\nWith a body.\n"
    assert (checked.author.name, checked.author.email) == ("Mia", "mia@hive")
    assert checked.files == 3
    assert commit in room.known()
    git("fsck", "--strict", cwd=room.applied.path)


def test_again_is_fine_and_an_empty_pack_serves(room: Room, objects: Objects) -> None:
    commit = objects.commit(objects.files(NEW), room.main)
    first = room.submit(objects, commit)
    assert room.submit(objects, commit) == first
    assert room.submit(pack_bytes([]), commit) == first
    assert len(list((room.applied.objects / "pack").glob("*.idx"))) == 1


def test_only_checked_objects_stay(room: Room, objects: Objects) -> None:
    stray = objects.blob(b"not part of the commit")
    stray_tree = objects.tree([(LINK, "up", objects.blob(b"/etc/shadow"))])
    commit = objects.commit(objects.files(NEW), room.main)
    room.submit(objects, commit)
    assert stray in objects.known and stray not in room.known()
    assert stray_tree not in room.known()
    assert commit in room.known()


def test_a_mistake_taken_back_in_a_later_commit_is_no_obstacle(
    room: Room, objects: Objects
) -> None:
    link = (LINK, "up", objects.blob(b".."))
    flake = (FILE, "flake.nix", objects.blob(b"{}"))
    bad = objects.tree([link, flake, (FILE, "agent.nix", objects.blob(b"{}"))])
    first = objects.commit(bad, room.main)
    refused(room, objects, first, ErrorCode.UNSAFE_TREE)
    second = objects.commit(objects.files(NEW), first)
    assert room.submit(objects, second).files == 2
    git("fsck", "--strict", cwd=room.applied.path)
    refused(room, objects, first, ErrorCode.UNSAFE_TREE)


def test_merging_an_older_state_of_main_is_fine(room: Room, objects: Objects) -> None:
    second = objects.commit(objects.files(NEW), room.main)
    room.submit(objects, second)
    room.applied.advance_main(second, room.main)
    side = objects.commit(objects.files({**SEED, "a": b"1"}), room.main)
    merged = objects.commit(objects.files({**NEW, "a": b"1"}), second, side)
    limits = PackLimits(max_commits=2)
    assert room.submit(objects, merged, limits=limits).parent_main == second


def test_the_text_of_a_commit_is_kept_as_it_is(room: Room, objects: Objects) -> None:
    message = "<script>alert(1)</script> \x1b[31mred\x1b[0m \u202egnp.exe +ADw-\r\n"
    author = "<b>\x1b]0;x\x07".replace("<", "").replace(">", "")
    commit = objects.commit(
        objects.files(NEW),
        room.main,
        message=message,
        author=f"{author} <a\u202eb@c> 1700000000 +0000",
    )
    checked = room.submit(objects, commit)
    assert checked.message == message
    assert checked.author.name == author and checked.author.email == "a\u202eb@c"


def test_attributes_that_main_holds_already_need_not_be_sent(
    room: Room, objects: Objects
) -> None:
    """git's own check reads these files, here through the alternate."""
    held = {**SEED, ".gitattributes": b"* text\n", ".gitmodules": b""}
    first = objects.commit(objects.files(held), room.main)
    room.submit(objects, first)
    room.applied.advance_main(first, room.main)
    fresh = Objects()
    second = fresh.commit(fresh.files({**held, "a": b"1"}), first)
    sent = fresh.pack(leave_out=set(objects.known))
    assert room.submit(sent, second).files == 5


def test_without_main_the_first_commit_is_free(room: Room, objects: Objects) -> None:
    git("update-ref", "-d", "refs/heads/main", cwd=room.applied.path)
    commit = objects.commit(objects.files(NEW))
    assert room.submit(objects, commit).parent_main is None


# The SHA


@pytest.mark.parametrize(
    "name",
    ["main", "HEAD", "", "0" * 39, "0" * 41, "A" * 40, "0" * 64, "g" * 40, "\x1b[2J"],
)
def test_what_is_not_a_full_sha_is_refused(room: Room, name: str) -> None:
    refused(room, pack_bytes([]), name, ErrorCode.INVALID_COMMIT)


def test_a_sha_that_is_not_there_is_refused(room: Room) -> None:
    error = refused(room, pack_bytes([]), "0" * 40, ErrorCode.INVALID_COMMIT)
    assert "rev-parse" in error.message


@pytest.mark.parametrize("kind", ["tag", "tree", "blob"])
def test_a_sha_of_something_else_is_refused(
    room: Room, objects: Objects, kind: str
) -> None:
    tree = objects.files(NEW)
    commit = objects.commit(tree, room.main)
    text = f"object {commit}\ntype commit\ntag v1\ntagger {PERSON}\n\nx\n"
    shas = {
        "tag": objects.add("tag", text.encode()),
        "tree": tree,
        "blob": objects.blob(b"x"),
    }
    error = refused(room, objects, shas[kind], ErrorCode.INVALID_COMMIT)
    assert kind in error.message


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
    copy_config_repo(room.applied, config, uid=None, gid=None)
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


# Bombs


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
        assert "levels" in error.message


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
    assert "levels" in error.message


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


# History


def test_a_commit_based_elsewhere_is_refused_with_main(
    room: Room, objects: Objects
) -> None:
    second = objects.commit(objects.files({**SEED, "a": b"1"}), room.main)
    room.submit(objects, second)
    room.applied.advance_main(second, room.main)
    side = objects.commit(objects.files(NEW), room.main)
    root = objects.commit(objects.files(NEW))
    for commit in (side, root):
        error = refused(room, objects, commit, ErrorCode.NOT_BASED_ON_MAIN)
        assert error.details == {"main": second} and second in error.message


def test_main_again_and_the_same_files_are_no_change(
    room: Room, objects: Objects
) -> None:
    refused(room, pack_bytes([]), room.main, ErrorCode.NO_CHANGE)
    same = objects.commit(objects.files(SEED), room.main, message="nothing")
    refused(room, objects, same, ErrorCode.NO_CHANGE)
    for commit in (room.main, same):
        assert room.submit(objects, commit, allow_unchanged=True).sha == commit


def test_history_and_parents_are_limited(room: Room, objects: Objects) -> None:
    tree, parent = objects.files(NEW), room.main
    for number in range(200):
        parent = objects.commit(tree, parent, message=str(number))
    assert room.submit(objects, parent).sha == parent
    longer = objects.commit(tree, parent)
    room2 = Room.make(room.path / "second")
    assert room2.main == room.main
    error = refused(room2, objects, longer, ErrorCode.TOO_LARGE)
    assert "more than 200 commits" in error.message
    octopus = Objects()
    tree = octopus.files(NEW)
    heads = [octopus.commit(tree, room2.main, message=str(n)) for n in range(9)]
    many = octopus.commit(tree, *heads)
    error = refused(room2, octopus, many, ErrorCode.TOO_LARGE)
    assert "9 parents" in error.message


def test_ten_thousand_parents_are_refused(room: Room, objects: Objects) -> None:
    tree = objects.files(NEW)
    commit = objects.commit(tree, *[room.main] * 10_000)
    refused(room, objects, commit, ErrorCode.TOO_LARGE)


# The commit object


def test_a_long_message_is_refused(room: Room, objects: Objects) -> None:
    tree = objects.files(NEW)
    good = objects.commit(tree, room.main, message="x" * 65_536)
    assert len(room.submit(objects, good).message) == 65_536
    for size in (65_537, 50 * MIB):
        commit = objects.commit(tree, room.main, message=b"x" * size)
        error = refused(room, objects, commit, ErrorCode.TOO_LARGE)
        assert "message" in error.message


@pytest.mark.parametrize(
    ("message", "extra", "author"),
    [
        (b"\xff\xfe", b"", PERSON),
        ("+ADw-script+AD4-", b"encoding UTF-7\n", PERSON),
        ("x", b"encoding bogus\n", PERSON),
        ("x", b"", PERSON.replace("1700000000", "999999999999")),
        ("x", b"", b"\xff <a@b> 1700000000 +0000"),
    ],
)
def test_text_that_cannot_be_read_safely_is_refused(
    room: Room,
    objects: Objects,
    message: bytes | str,
    extra: bytes,
    author: bytes | str,
) -> None:
    commit = objects.commit(
        objects.files(NEW), room.main, message=message, extra=extra, author=author
    )
    refused(room, objects, commit, ErrorCode.INVALID_COMMIT)


@pytest.mark.parametrize(
    "raw",
    [
        "tree {tree}\n\nno author\n",
        "tree {tree}\ntree {tree}\nauthor {who}\ncommitter {who}\n\nx\n",
        "author {who}\ncommitter {who}\n\nno tree\n",
        "tree {tree}\nauthor {who}\nauthor {who}\ncommitter {who}\n\nx\n",
        "tree {tree}\nauthor A <a@b> -5 +0000\ncommitter {who}\n\nx\n",
        "tree {tree}\nauthor {who}\ncommitter {who}\n\nzero\0byte\n",
    ],
)
def test_a_malformed_commit_is_refused(room: Room, objects: Objects, raw: str) -> None:
    text = raw.format(tree=objects.files(NEW), who=PERSON)
    commit = objects.add("commit", text.encode())
    refused(room, objects, commit, ErrorCode.INVALID_PACK)


# The tree


def with_entry(objects: Objects, mode: str, name: str | bytes, sha: str) -> str:
    """Return a good tree with one entry more."""
    return objects.tree([(FILE, "agent.nix", objects.blob(b"{}")), (mode, name, sha)])


@pytest.mark.parametrize(
    ("name", "word"),
    [
        (b"a\nb", "control"),
        (b"a\x1b[31m", "control"),
        ("gpj\u202efr.nix", "invisible"),
        ("a\u200bb", "invisible"),
        ("a\u2028b", "invisible"),
        (b"caf\xe9", "UTF-8"),
        (b"a\\b", "slash"),
        ("flake.nix", "flake"),
    ],
)
def test_a_bad_name_is_refused_and_shown_safely(
    room: Room, objects: Objects, name: str | bytes, word: str
) -> None:
    below = objects.tree([(FILE, name, objects.blob(b"x"))])
    commit = objects.commit(with_entry(objects, TREE, "dir", below), room.main)
    error = refused(room, objects, commit, ErrorCode.UNSAFE_TREE)
    assert word in error.message
    assert error.details["path"] in error.message
    assert "dir/" in error.details["path"]


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "/etc/passwd", "a/b", ".git", ".GIT", "git~1", ".g\u200cit"],
)
def test_names_that_leave_the_tree_are_refused_by_git_already(
    room: Room, objects: Objects, name: str
) -> None:
    tree = with_entry(objects, FILE, name, objects.blob(b"x"))
    commit = objects.commit(tree, room.main)
    refused(room, objects, commit, ErrorCode.INVALID_PACK)


@pytest.mark.parametrize("mode", [LINK, GITLINK])
def test_links_are_refused(room: Room, objects: Objects, mode: str) -> None:
    sha = room.main if mode == GITLINK else objects.blob(b"../../etc/shadow")
    commit = objects.commit(with_entry(objects, mode, "up", sha), room.main)
    error = refused(room, objects, commit, ErrorCode.UNSAFE_TREE)
    assert "'up'" in error.message


@pytest.mark.parametrize("mode", ["100600", "060000", "20000", "104755", "0", "9"])
def test_odd_modes_are_refused(room: Room, objects: Objects, mode: str) -> None:
    commit = objects.commit(
        with_entry(objects, mode, "odd", objects.blob(b"x")), room.main
    )
    with pytest.raises(HiveError) as caught:
        room.submit(objects, commit)
    assert caught.value.code in (ErrorCode.UNSAFE_TREE, ErrorCode.INVALID_PACK)


def test_group_writable_files_are_refused(room: Room, objects: Objects) -> None:
    tree = with_entry(objects, "100664", "old", objects.blob(b"x"))
    refused(room, objects, objects.commit(tree, room.main), ErrorCode.UNSAFE_TREE)


def test_executables_are_fine(room: Room, objects: Objects) -> None:
    tree = with_entry(objects, EXECUTABLE, "run", objects.blob(b"#!/bin/sh\n"))
    assert room.submit(objects, objects.commit(tree, room.main)).files == 2


def test_unsorted_and_duplicate_entries_are_refused(
    room: Room, objects: Objects
) -> None:
    blob, other = objects.blob(b"{}"), objects.blob(b"{ }")
    rows = [(FILE, "b", blob), (FILE, "agent.nix", blob)]
    twice = [(FILE, "agent.nix", blob), (FILE, "agent.nix", other)]
    for lines in (rows, twice):
        commit = objects.commit(objects.tree(lines, ordered=False), room.main)
        refused(room, objects, commit, ErrorCode.INVALID_PACK)


@pytest.mark.parametrize(
    ("mode", "kind"), [(FILE, "commit"), (FILE, "tree"), (TREE, "blob")]
)
def test_an_entry_that_lies_about_its_kind_is_refused(
    room: Room, objects: Objects, mode: str, kind: str
) -> None:
    inner = objects.files(NEW)
    shas = {
        "commit": objects.commit(inner, room.main),
        "tree": inner,
        "blob": objects.blob(b"x"),
    }
    commit = objects.commit(with_entry(objects, mode, "lie", shas[kind]), room.main)
    refused(room, objects, commit, ErrorCode.INVALID_PACK)


def test_a_long_name_and_a_long_path_are_refused(room: Room, objects: Objects) -> None:
    blob = objects.blob(b"x")
    commit = objects.commit(with_entry(objects, FILE, "n" * 256, blob), room.main)
    error = refused(room, objects, commit, ErrorCode.UNSAFE_TREE)
    assert len(error.message) < 300
    sub = objects.tree([(FILE, "n" * 250, blob)])
    for _ in range(2):
        sub = objects.tree([(TREE, "d" * 250, sub)])
    commit = objects.commit(with_entry(objects, TREE, "e" * 250, sub), room.main)
    error = refused(room, objects, commit, ErrorCode.TOO_LARGE)
    assert "512 bytes" in error.message


@pytest.mark.parametrize("mode", [None, TREE, LINK])
def test_agent_nix_must_be_a_file_at_the_top(
    room: Room, objects: Objects, mode: str | None
) -> None:
    if mode is None:
        tree = objects.files({"sub/agent.nix": b"{}"})
    else:
        sha = objects.files({"a": b""}) if mode == TREE else objects.blob(b"x")
        tree = objects.tree([(mode, "agent.nix", sha)])
    commit = objects.commit(tree, room.main)
    error = refused(room, objects, commit, ErrorCode.UNSAFE_TREE)
    assert "agent.nix" in error.message


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
        full = Ran(128, b"", said, None)
        patched.setattr(quarantine, "run_git", lambda *_, **__: full)
        refused(room, objects, commit, ErrorCode.UNAVAILABLE)

    def fail(*_: object) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("pyglue.git.quarantine.shutil.copyfileobj", fail)
        with pytest.raises(OSError, match="No space"):
            room.submit(objects, commit)
    assert list((room.applied.objects / "pack").iterdir()) == []
