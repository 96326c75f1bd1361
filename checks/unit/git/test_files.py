"""Files from git: names, export into a directory, an agent's new repository."""

import os
import stat
from pathlib import Path

import pytest

from checks.kits.git.objects import (
    EXECUTABLE,
    FILE,
    LINK,
    SEED,
    TREE,
    Line,
    Objects,
    Room,
    git,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.files.directory import Folder, Owner
from pyglue.git import config_repo
from pyglue.git.config_repo import copy_config_repo, sweep_staging
from pyglue.git.export import TreeFile, export_tree, list_files, read_file
from pyglue.git.filenames import path_problem, problem, show
from pyglue.git.host_commits import seed_main
from pyglue.git.repos import AppliedRepo

AGENT = 65_534


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room.make(tmp_path)


def plant(room: Room, lines: list[Line], objects: Objects) -> str:
    """Put a commit into applied past every check, as if one had failed."""
    commit = objects.commit(objects.tree(lines), room.main)
    git("unpack-objects", "-q", cwd=room.applied.path, stdin=objects.pack())
    return commit


# Names


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b",
        "/",
        "a\\b",
        "a\0b",
        "\x7f",
        "\x85",
        "a\tb",
        "a\nb",
        "\x1b]0;t\x07",
        "x\u202ey",
        "x\u200by",
        "x\u2028y",
        "\ufeffx",
        ".git",
        ".GIT",
        ".Git",
        ".g\u200cit",
        ".git ",
        ".git.",
        ".git . .",
        ".git::$INDEX_ALLOCATION",
        ".git:x",
        "git~1",
        "GIT~1",
        "\uff0egit",
        "agent.nix ",
        " agent.nix",
        "agent.nix\u00a0",
        "agent\u3000.nix",
        "agent\u2800.nix",
        "agent\ufe0f.nix",
        "agent\u3164.nix",
        "agent\ue000.nix",
        "\u0301agent.nix",
        "аgent.nix",  # noqa: RUF001 (Cyrillic)
        "agent.niх",  # noqa: RUF001 (Cyrillic)
        "αgent.nix",  # noqa: RUF001 (Greek)
        "ａgent.nix",  # noqa: RUF001 (full width)
        "ﬁle.nix",
        "n" * 256,
        "ä" * 128,
    ],
)
def test_bad_names(name: str) -> None:
    assert problem(name.encode()) is not None
    assert path_problem(f"ok/{name}/ok") is not None or "/" in name


@pytest.mark.parametrize(
    "name",
    [
        "agent.nix",
        ".gitignore",
        ".gitattributes",
        "git",
        "...",
        "a b",
        "größe",
        "日本",
        "日本v2",
        "файл.nix",
        "cafe\u0301",
        "a:b",
        "-rf",
        "$(x)",
        "n" * 255,
    ],
)
def test_good_names(name: str) -> None:
    assert problem(name.encode()) is None
    assert path_problem(f"sub/{name}") is None


def test_bytes_that_are_no_text_are_bad_names() -> None:
    assert problem(b"caf\xe9") is not None
    assert problem(b"\xed\xa0\x80") is not None
    assert path_problem("caf\udce9") is not None


@pytest.mark.parametrize(
    "raw",
    [b"\x1b[31m\xff\n", "\u202e<b>\U0001f41d'\"", b"a" * 500, "ä" * 500, b"\\" * 90],
)
def test_shown_text_is_short_printable_ascii(raw: bytes | str) -> None:
    shown = show(raw)
    assert shown.isascii() and shown.isprintable() and len(shown) <= 120
    assert shown[0] in "'\"" and shown[-1] in "'\""


# Export


def test_export_writes_files_directories_and_modes(room: Room, tmp_path: Path) -> None:
    objects = Objects()
    run = objects.tree([(EXECUTABLE, "run", objects.blob(b"#!/bin/sh\n"))])
    tree = objects.tree(
        [
            (FILE, "agent.nix", objects.blob(b"{}")),
            (
                TREE,
                "b",
                objects.tree([(TREE, "c", run), (FILE, "d", objects.blob(b""))]),
            ),
            (FILE, "z-ö", objects.blob(b"\0\xff")),
        ]
    )
    commit = objects.commit(tree, room.main)
    room.submit(objects, commit)
    dest = tmp_path / "out"
    dest.mkdir()
    old = os.umask(0o077)
    try:
        export_tree(room.applied, commit, dest)
    finally:
        os.umask(old)
    found = {
        str(path.relative_to(dest)): stat.S_IMODE(path.stat().st_mode)
        for path in dest.rglob("*")
    }
    assert found == {
        "agent.nix": 0o644,
        "b": 0o755,
        "b/c": 0o755,
        "b/c/run": 0o755,
        "b/d": 0o644,
        "z-ö": 0o644,
    }
    assert (dest / "z-ö").read_bytes() == b"\0\xff"
    assert list_files(room.applied, commit) == (
        TreeFile("agent.nix", executable=False, size=2),
        TreeFile("b/c/run", executable=True, size=10),
        TreeFile("b/d", executable=False, size=0),
        TreeFile("z-ö", executable=False, size=2),
    )
    assert read_file(room.applied, commit, "b/c/run") == b"#!/bin/sh\n"
    for missing in ("b", "b/c", "nope", "", "../x"):
        with pytest.raises(HiveError) as caught:
            read_file(room.applied, commit, missing)
        assert caught.value.code == ErrorCode.NOT_FOUND


def test_export_refuses_a_directory_that_is_not_empty_or_a_link(
    room: Room, tmp_path: Path
) -> None:
    full, real, link = tmp_path / "full", tmp_path / "real", tmp_path / "link"
    full.mkdir()
    (full / "x").touch()
    real.mkdir()
    link.symlink_to(real)
    with pytest.raises(HiveError) as caught:
        export_tree(room.applied, room.main, full)
    assert caught.value.code == ErrorCode.CONFLICT
    with pytest.raises(OSError, match=r"Not a directory|symbolic"):
        export_tree(room.applied, room.main, link)
    assert list(real.iterdir()) == []


@pytest.mark.parametrize("name", ["..", ".git", "/etc/x", "a/b", "a\nb"])
def test_export_checks_names_again(room: Room, tmp_path: Path, name: str) -> None:
    objects = Objects()
    commit = plant(room, [(FILE, name, objects.blob(b"x"))], objects)
    (tmp_path / "out").mkdir()
    with pytest.raises(HiveError) as caught:
        export_tree(room.applied, commit, tmp_path / "out")
    assert caught.value.code == ErrorCode.UNSAFE_TREE
    assert list((tmp_path / "out").iterdir()) == []


def test_export_checks_kinds_depth_and_count_again(room: Room, tmp_path: Path) -> None:
    objects = Objects()
    blob = objects.blob(b"x")
    deep = objects.tree([(FILE, "f", blob)])
    for _ in range(20):
        deep = objects.tree([(TREE, "d", deep)])
    bomb = objects.tree([(FILE, f"f{n}", blob) for n in range(60)])
    bomb = objects.tree([(TREE, f"d{n}", bomb) for n in range(60)])
    for number, line in enumerate(
        [(LINK, "up", blob), (TREE, "deep", deep), (TREE, "bomb", bomb)]
    ):
        commit = plant(room, [line], objects)
        dest = tmp_path / str(number)
        dest.mkdir()
        with pytest.raises(HiveError) as caught:
            export_tree(room.applied, commit, dest)
        assert caught.value.code == ErrorCode.UNSAFE_TREE


# An agent's repository


def test_a_config_repository_is_pristine_and_given_away(tmp_path: Path) -> None:
    applied = AppliedRepo.create(tmp_path / "bee.git")
    owner = AGENT if os.geteuid() == 0 else None
    agent = tmp_path / "bee"
    agent.mkdir()
    dest = agent / "config"
    given = None if owner is None else (owner, owner)
    seed_main(applied, SEED, message="First", at=5)
    with Folder.at(agent) as home:
        main = copy_config_repo(applied, home, "config", owner=given)
    assert main == applied.main()
    assert list(agent.iterdir()) == [dest]
    if owner is not None:
        owners = {path.lstat().st_uid for path in [dest, *dest.rglob("*")]}
        assert owners == {owner}
    assert git("rev-parse", "HEAD", cwd=dest) == main
    assert git("symbolic-ref", "HEAD", cwd=dest) == "refs/heads/main"
    assert git("status", "--porcelain", cwd=dest) == ""
    git("fsck", "--strict", cwd=dest)
    for path, content in SEED.items():
        assert (dest / path).read_bytes() == content
    config = (dest / ".git/config").read_text()
    assert "remote" not in config and str(tmp_path) not in config
    assert not (dest / ".git/objects/info/alternates").exists()
    with Folder.at(agent) as home, pytest.raises(HiveError) as caught:
        copy_config_repo(applied, home, "config", owner=None)
    assert caught.value.code == ErrorCode.CONFLICT


def test_a_copy_holds_the_history_of_main_only(room: Room, tmp_path: Path) -> None:
    objects = Objects()
    second = objects.commit(objects.files({**SEED, "a": b"2"}), room.main)
    denied = objects.commit(objects.files({**SEED, "a": b"no"}), room.main)
    room.submit(objects, second)
    room.submit(objects, denied)
    room.applied.advance_main(second, room.main)
    dest = tmp_path / "config"
    with Folder.at(tmp_path) as home:
        assert copy_config_repo(room.applied, home, "config", owner=None) == second
    assert git("rev-list", "main", cwd=dest).split() == [second, room.main]
    listing = git("cat-file", "--batch-all-objects", "--batch-check", cwd=dest)
    assert denied not in listing


def test_a_copy_needs_a_main_and_a_free_place(room: Room, tmp_path: Path) -> None:
    empty = AppliedRepo.create(tmp_path / "empty.git")
    with Folder.at(tmp_path) as home, pytest.raises(HiveError) as caught:
        copy_config_repo(empty, home, "config", owner=None)
    assert caught.value.code == ErrorCode.NOT_FOUND
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with Folder.at(tmp_path) as home, pytest.raises(HiveError) as caught:
        copy_config_repo(room.applied, home, "dangling", owner=None)
    assert caught.value.code == ErrorCode.CONFLICT


def test_a_failed_copy_leaves_nothing(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = tmp_path / "agent"
    agent.mkdir()

    def fail(*_: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(config_repo, "_give", fail)
    with Folder.at(agent) as home, pytest.raises(OSError, match="no space"):
        copy_config_repo(room.applied, home, "config", owner=None)
    assert list(agent.iterdir()) == []
    (agent / ".staging-dead" / "repo").mkdir(parents=True)
    with Folder.at(agent) as home:
        sweep_staging(home)
    assert list(agent.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_staging_room_belongs_to_the_parent_and_is_closed(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Container root must not get in while files are being given away."""
    agent = tmp_path / "agent"
    agent.mkdir()
    os.chown(agent, 2_147_483_632, 2_147_483_632)
    seen = []
    real = config_repo._give

    def look(tree: Folder, owner: Owner | None) -> None:
        seen.append(tree.shown.parent.stat())
        real(tree, owner)

    monkeypatch.setattr(config_repo, "_give", look)
    with Folder.at(agent) as home:
        copy_config_repo(room.applied, home, "config", owner=(AGENT, AGENT))
    assert [(s.st_uid, stat.S_IMODE(s.st_mode)) for s in seen] == [
        (2_147_483_632, 0o700)
    ]
