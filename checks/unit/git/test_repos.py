"""The applied repository: main only moves forward, tags are final, leftovers go."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from checks.kits.git.objects import SEED, Objects, Room, git
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.host_commits import commit_tree_of, seed_main
from pyglue.git.repos import AppliedRepo
from pyglue.git.skeleton import write_object
from pyglue.git.tags import Tag, TagKind, parse_name, tag_name, tag_object

RECORD = b'{"manifest":{"model":"haiku"},"system":null}'


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room.make(tmp_path)


def grow(room: Room, parent: str, text: bytes) -> str:
    """Import a commit on ``parent`` and return it."""
    objects = Objects()
    commit = objects.commit(objects.files({**SEED, "grown": text}), parent)
    return room.submit(objects, commit).sha


def code_of(caught: pytest.ExceptionInfo[HiveError]) -> ErrorCode:
    return caught.value.code


def test_create_is_harmless_again_and_readable_for_agents(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        repo = AppliedRepo.create(tmp_path / "bee.git")
        assert repo.main() is None and repo.tags() == ()
        main = seed_main(repo, SEED, message="First")
        repo.tag(TagKind.PROPOSAL, 1, main, RECORD)
    finally:
        os.umask(old)
    assert AppliedRepo.create(tmp_path / "bee.git").main() == main
    assert [entry.name for entry in tmp_path.iterdir()] == ["bee.git"]
    for path in [repo.path, *repo.path.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        wanted = 0o555 if path.is_dir() else 0o444
        assert mode & 0o777 & wanted == wanted, (path, oct(mode))
        assert mode & 0o022 == 0, (path, oct(mode))


def test_sweep_removes_half_made_repositories(tmp_path: Path) -> None:
    (tmp_path / ".new-dead" / "objects").mkdir(parents=True)
    repo = AppliedRepo.create(tmp_path / "bee.git")
    AppliedRepo.sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [repo.path]


def test_seeding_makes_one_commit_and_only_once(tmp_path: Path) -> None:
    repo = AppliedRepo.create(tmp_path / "bee.git")
    files = {"agent.nix": b"{}", 'a "b".md': b"\0\xff", "ä/ö": b""}
    main = seed_main(repo, files, message="Grüße\n\n<b>", at=1_700_000_000)
    assert seed_main(repo, {}, message="other") == main == repo.main()
    commit = repo.commit(main)
    assert commit.message == "Grüße\n\n<b>" and commit.parents == ()
    assert commit.author.name == "hyperhive"
    assert commit.author.email == "hive@localhost"
    assert commit.author.time == 1_700_000_000
    git("fsck", "--strict", cwd=repo.path)
    listed = git("ls-tree", "-r", "-z", "--name-only", main, cwd=repo.path)
    assert set(listed.rstrip("\0").split("\0")) == set(files)


@pytest.mark.parametrize("path", ["../up", "/abs", ".git/config", "a\nb", "", "a//b"])
def test_seeding_refuses_bad_paths(tmp_path: Path, path: str) -> None:
    repo = AppliedRepo.create(tmp_path / "bee.git")
    with pytest.raises(HiveError) as caught:
        seed_main(repo, {"agent.nix": b"{}", path: b"x"}, message="First")
    assert code_of(caught) == ErrorCode.UNSAFE_TREE
    assert repo.main() is None


def test_main_moves_forward_from_what_was_expected(room: Room) -> None:
    second = grow(room, room.main, b"2")
    other = grow(room, room.main, b"other")
    third = grow(room, second, b"3")
    room.applied.advance_main(second, room.main)
    room.applied.advance_main(second, room.main)
    assert room.applied.main() == second
    with pytest.raises(HiveError) as caught:
        room.applied.advance_main(third, room.main)
    assert code_of(caught) == ErrorCode.CONFLICT
    assert caught.value.details == {"main": second}
    for backwards in (other, room.main):
        with pytest.raises(HiveError) as caught:
            room.applied.advance_main(backwards, second)
        assert code_of(caught) == ErrorCode.NOT_BASED_ON_MAIN
    with pytest.raises(HiveError) as caught:
        room.applied.advance_main("0" * 40, second)
    assert code_of(caught) == ErrorCode.NOT_FOUND
    assert room.applied.main() == second


def test_a_lost_race_for_main_is_a_conflict(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Someone else moves main between our look and git's compare-and-swap."""
    second, other = grow(room, room.main, b"2"), grow(room, room.main, b"o")
    git("update-ref", "refs/heads/main", other, cwd=room.applied.path)
    monkeypatch.setattr(AppliedRepo, "main", lambda _: room.main)
    with pytest.raises(HiveError) as caught:
        room.applied.advance_main(second, room.main)
    assert code_of(caught) == ErrorCode.CONFLICT
    assert git("rev-parse", "refs/heads/main", cwd=room.applied.path) == other


def test_a_proposal_carries_its_record_byte_for_byte(room: Room) -> None:
    for number, record in enumerate((RECORD, b"", b"\n\n x \n\n", "ü\n".encode()), 1):
        room.applied.tag(TagKind.PROPOSAL, number, room.main, record)
        assert room.applied.read_tag_message(TagKind.PROPOSAL, number) == record
    large = b"x" * 3_000_000
    room.applied.tag(TagKind.PROPOSAL, 9, room.main, large)
    assert room.applied.read_tag_message(TagKind.PROPOSAL, 9) == large
    git("fsck", "--strict", cwd=room.applied.path)


def test_a_tag_object_is_the_one_that_git_would_write(room: Room) -> None:
    objects = room.applied.objects
    raw = tag_object("proposal/1", room.main, RECORD, time=1)
    sha = write_object(objects, "tag", raw)
    done = subprocess.run(
        ["git", "mktag"], input=raw, capture_output=True, cwd=objects, check=True
    )
    assert done.stdout.decode().strip() == sha
    path = objects / sha[:2] / sha[2:]
    before = path.stat()
    assert stat.S_IMODE(before.st_mode) == 0o444
    assert write_object(objects, "tag", raw) == sha
    assert path.stat().st_ino == before.st_ino
    assert not list(objects.glob("*/tmp_*"))


def test_tagging_again_is_fine_and_otherwise_a_conflict(room: Room) -> None:
    second = grow(room, room.main, b"2")
    tag = room.applied.tag
    for _ in range(2):
        tag(TagKind.PROPOSAL, 7, second, RECORD)
        tag(TagKind.APPROVED, 7, second)
    for commit, message in ((room.main, RECORD), (second, b"{}"), (second, None)):
        with pytest.raises(HiveError) as caught:
            tag(TagKind.PROPOSAL, 7, commit, message)
        assert code_of(caught) == ErrorCode.CONFLICT
    with pytest.raises(HiveError) as caught:
        tag(TagKind.APPROVED, 7, room.main)
    assert code_of(caught) == ErrorCode.CONFLICT
    tree = room.applied.commit(second).tree
    for missing in ("0" * 40, tree, "main"):
        with pytest.raises(HiveError) as caught:
            tag(TagKind.FAILED, 7, missing)
        assert code_of(caught) == ErrorCode.NOT_FOUND
    assert room.applied.tags() == (
        Tag(kind=TagKind.APPROVED, id=7, commit=second, annotated=False),
        Tag(kind=TagKind.PROPOSAL, id=7, commit=second, annotated=True),
    )
    assert room.applied.read_tag_message(TagKind.APPROVED, 7) is None
    with pytest.raises(HiveError) as caught:
        room.applied.read_tag_message(TagKind.DENIED, 7)
    assert code_of(caught) == ErrorCode.NOT_FOUND


def test_only_our_names_are_tags(room: Room) -> None:
    for name in ("v1", "proposal/x", "proposal/01", "other/1", "proposal/1/2"):
        git("tag", name, room.main, cwd=room.applied.path)
        assert parse_name(name) is None
    git("branch", "proposal/3", room.main, cwd=room.applied.path)
    assert room.applied.tags() == ()
    assert parse_name("failed/12") == (TagKind.FAILED, 12)
    with pytest.raises(ValueError, match="positive"):
        tag_name(TagKind.FAILED, 0)


def test_rollback_by_hand_is_a_new_commit_with_the_old_tree(room: Room) -> None:
    second = grow(room, room.main, b"2")
    room.applied.advance_main(second, room.main)
    message = "Roll back to <first>\n"
    back = commit_tree_of(
        room.applied, room.main, parent=second, message=message, at=1_700_000_001
    )
    again = commit_tree_of(
        room.applied, room.main, parent=second, message=message, at=1_700_000_001
    )
    assert back == again
    commit = room.applied.commit(back)
    assert commit.tree == room.applied.commit(room.main).tree
    assert commit.parents == (second,) and commit.message == message
    assert commit.author.name == "hyperhive"
    room.applied.advance_main(back, second)
    with pytest.raises(HiveError) as caught:
        commit_tree_of(room.applied, "0" * 40, parent=back, message="x")
    assert code_of(caught) == ErrorCode.NOT_FOUND


def test_tidy_removes_what_a_crash_left(room: Room) -> None:
    second = grow(room, room.main, b"2")
    room.applied.tag(TagKind.PROPOSAL, 1, second, RECORD)
    path = room.applied.path
    for left in (
        "refs/heads/main.lock",
        "refs/tags/proposal/1.lock",
        "packed-refs.lock",
        "objects/pack/tmp_import_x",
        "objects/pack/pack-dead.pack",
    ):
        (path / left).write_bytes(b"left")
    with pytest.raises(HiveError):
        room.applied.advance_main(second, room.main)
    room.applied.tidy()
    room.applied.tidy()
    names = {entry.name for entry in path.rglob("*")}
    assert not [n for n in names if n.endswith(".lock") or n.startswith("tmp_")]
    assert "pack-dead.pack" not in names
    room.applied.advance_main(second, room.main)
    assert [tag.name for tag in room.applied.tags()] == ["proposal/1"]
    # A packed tag is found, is not set twice, and a new one goes beside it.
    room.applied.tag(TagKind.PROPOSAL, 1, second, RECORD)
    with pytest.raises(HiveError):
        room.applied.tag(TagKind.PROPOSAL, 1, second, b"{}")
    room.applied.tag(TagKind.PROPOSAL, 2, second, RECORD)


def test_tidy_makes_many_packs_one_and_loses_nothing(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyglue.git.repos._REPACK_AT", 2)
    for number in range(1, 4):
        commit = grow(room, room.main, b"%d" % number)
        room.applied.tag(TagKind.PROPOSAL, number, commit, RECORD)
    before = room.known()
    packs = room.applied.objects / "pack"
    assert len(list(packs.glob("*.pack"))) == 3
    room.applied.tidy()
    assert len(list(packs.glob("*.pack"))) == 1
    assert room.known() == before


def test_what_cannot_be_written_is_said_as_such(tmp_path: Path) -> None:
    with pytest.raises(HiveError, match="Cannot write an object of bee") as caught:
        write_object(tmp_path / "bee.git" / "objects", "tag", b"x")
    assert code_of(caught) is ErrorCode.UNAVAILABLE
