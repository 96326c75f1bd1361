"""Commits and trees that ``pyglue.git.quarantine`` refuses for their contents."""

from pathlib import Path

import pytest

from checks.kits.git.objects import (
    EXECUTABLE,
    FILE,
    GITLINK,
    LINK,
    NEW,
    PERSON,
    TREE,
    Objects,
    Room,
    refused,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.verdict import MIB


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room.make(tmp_path)


@pytest.fixture
def objects() -> Objects:
    return Objects()


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
