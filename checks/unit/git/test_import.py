"""What ``pyglue.git.quarantine`` accepts, and its rules for a commit's history."""

from pathlib import Path

import pytest

from checks.kits.git.objects import (
    FILE,
    LINK,
    NEW,
    PERSON,
    SEED,
    Objects,
    Room,
    git,
    git_pack,
    pack_bytes,
    refused,
)
from pyglue.errors import ErrorCode
from pyglue.files.directory import Folder
from pyglue.git.config_repo import copy_config_repo
from pyglue.git.verdict import PackLimits


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room.make(tmp_path)


@pytest.fixture
def objects() -> Objects:
    return Objects()


# What is accepted
def test_a_change_made_with_git_comes_in_whole(room: Room) -> None:
    config = room.path / "config"
    with Folder.at(config.parent) as home:
        copy_config_repo(room.applied, home, config.name, owner=None)
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
