"""Hostile packs, trees, commits and names: refused with a reason, or harmless.

``make test`` runs a quick part; ``HIVE_FUZZ_EXAMPLES=2000`` runs a long one. Packs
are damaged with their checksum put right again, so that the damage reaches the parts
behind it; trees are drawn from what has hurt git tools before.
"""

import hashlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checks.kits.git.objects import (
    EXECUTABLE,
    FILE,
    GITLINK,
    LINK,
    PERSON,
    SEED,
    TREE,
    Line,
    Objects,
    Room,
    git,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.diff import diff
from pyglue.git.export import export_tree, list_files
from pyglue.git.filenames import problem, show
from pyglue.git.objects import MalformedObject, parse_commit, parse_tree

EXAMPLES = int(os.environ.get("HIVE_FUZZ_EXAMPLES", "40"))
REFUSALS = {
    ErrorCode.INVALID_COMMIT,
    ErrorCode.INVALID_PACK,
    ErrorCode.UNSAFE_TREE,
    ErrorCode.TOO_LARGE,
    ErrorCode.NOT_BASED_ON_MAIN,
    ErrorCode.NO_CHANGE,
}

fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize="HIVE_FUZZ_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
quick = settings(fuzz, max_examples=EXAMPLES * 10)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return Room.make(tmp_path_factory.mktemp("fuzz"))


def judge(room: Room, pack: Objects | bytes, commit: str) -> bool:
    """Submit; True if it came in and is harmless, False if refused in words."""
    before = sorted(path.name for path in room.applied.objects.rglob("*"))
    try:
        checked = room.submit(pack, commit)
    except HiveError as error:
        assert error.code in REFUSALS, error
        assert error.message.isascii() and error.message.isprintable()
        assert str(room.path) not in error.message
        after = sorted(path.name for path in room.applied.objects.rglob("*"))
        assert after == before
        return False
    assert git("cat-file", "-t", commit, cwd=room.applied.path) == "commit"
    with tempfile.TemporaryDirectory(dir=room.path) as dest:
        export_tree(room.applied, commit, Path(dest))
        found = [path for path in Path(dest).rglob("*") if not path.is_dir()]
        assert len(found) == checked.files == len(list_files(room.applied, commit))
        assert all(path.is_file() and not path.is_symlink() for path in found)
        assert (Path(dest) / "agent.nix").is_file()
    diff(room.applied, room.main, commit)
    return True


# Whole packs

_edit = st.tuples(
    st.sampled_from(["flip", "cut", "insert", "zero", "copy"]),
    st.integers(0, 2**20),
    st.binary(min_size=1, max_size=24),
)


def damage(pack: bytes, edits: list[tuple[str, int, bytes]]) -> bytes:
    """Return the pack with each edit made and the checksum put right."""
    body = bytearray(pack[:-20])
    for kind, place, data in edits:
        at = place % len(body)
        if kind == "flip":
            body[at] ^= data[0] or 1
        elif kind == "cut":
            del body[at : at + len(data)]
        elif kind == "insert":
            body[at:at] = data
        elif kind == "zero":
            body[at : at + len(data)] = bytes(len(data))
        else:
            body[at:at] = body[: len(data) * 4]
        body = body or bytearray(b"P")
    return bytes(body) + hashlib.sha1(body).digest()  # noqa: S324


@fuzz
@given(edits=st.lists(_edit, min_size=1, max_size=4))
def test_a_damaged_pack_is_refused(
    room: Room, edits: list[tuple[str, int, bytes]]
) -> None:
    objects = Objects()
    files = {**SEED, "a/b": b"x" * 300, "c": b"y\n" * 40}
    commit = objects.commit(objects.files(files), room.main, message="fuzz")
    judge(room, damage(objects.pack(), edits), commit)


@fuzz
@given(raw=st.binary(max_size=200), sha=st.text(max_size=60))
def test_any_bytes_and_any_name_are_refused(room: Room, raw: bytes, sha: str) -> None:
    assert not judge(room, b"PACK\0\0\0\2" + raw, room.main)
    assert not judge(room, raw, sha)


# Whole trees

_nasty_name = st.one_of(
    st.sampled_from(
        [
            b"agent.nix",
            b"flake.nix",
            b".git",
            b".gitmodules",
            b"..",
            b".",
            b"",
            b"a/b",
            b"/a",
            b"git~1",
            b"a\\b",
            b".git ",
            "\u202ex".encode(),
            b"\xff",
            b"\x1b[2J",
            b"CON",
            b"n" * 256,
        ]
    ),
    st.binary(min_size=1, max_size=12).map(lambda raw: raw.replace(b"\0", b"0")),
)
_plain_name = st.text("abcdeö-", min_size=1, max_size=4).map(str.encode)
_nasty_mode = st.sampled_from(
    [LINK, GITLINK, "100664", "0", "40755", "060000", "177777", "7"]
)
_plain_mode = st.sampled_from([FILE, FILE, EXECUTABLE, TREE])
# One fault in many entries gets further than many faults.
_name = st.integers(0, 15).flatmap(lambda n: _plain_name if n else _nasty_name)
_mode = st.integers(0, 15).flatmap(lambda n: _plain_mode if n else _nasty_mode)
_plan = st.recursive(
    st.binary(max_size=20),
    lambda below: st.lists(st.tuples(_mode, _name, below), max_size=4),
    max_leaves=12,
)


def build(objects: Objects, plan: object) -> tuple[str, str]:
    """Make the objects of a plan and return kind and SHA of its top."""
    if isinstance(plan, bytes):
        return "blob", objects.blob(plan)
    assert isinstance(plan, list)
    lines: list[Line] = []
    for mode, name, below in plan:
        kind, sha = build(objects, below)
        # Mostly tell the truth about directories, or nothing else gets tested.
        if kind == "tree" and mode in (FILE, EXECUTABLE):
            mode = TREE
        elif kind == "blob" and mode == TREE:
            mode = FILE
        lines.append((mode, name, sha))
    return "tree", objects.tree({line[1]: line for line in lines}.values())


@fuzz
@given(plan=st.lists(st.tuples(_mode, _name, _plan), max_size=5), nix=st.booleans())
def test_any_tree_is_refused_or_harmless(
    room: Room, plan: list[tuple[str, bytes, object]], nix: bool
) -> None:
    objects = Objects()
    if nix:
        plan = [*plan, (FILE, b"agent.nix", b"{ }\n")]
    _, tree = build(objects, plan)
    judge(room, objects, objects.commit(tree, room.main))


# The parsers of our own


@quick
@given(raw=st.binary(max_size=120))
def test_trees_parse_or_are_malformed(raw: bytes) -> None:
    for data in (raw, b"100644 a\0" + raw, b"40000 " + raw):
        try:
            entries = parse_tree(data)
        except MalformedObject:
            continue
        assert sum(22 + len(entry.name) for entry in entries) <= len(data) + 7 * len(
            entries
        )
        assert all(len(entry.sha) == 40 for entry in entries)


_line = st.one_of(
    st.sampled_from(
        [
            b"tree " + b"0" * 40,
            b"parent " + b"1" * 40,
            b"author " + PERSON.encode(),
            b"committer " + PERSON.encode(),
            b"encoding UTF-7",
            b"encoding UTF-8",
            b"gpgsig x",
            b" more",
            b"",
        ]
    ),
    st.binary(max_size=30),
)


@quick
@given(lines=st.lists(_line, max_size=8), damage=st.integers(0, 400))
def test_commits_parse_or_are_malformed(lines: list[bytes], damage: int) -> None:
    good = Objects()
    sha = good.commit("0" * 40, "1" * 40, message="x\n")
    whole = bytearray(good.known[sha][1])
    if damage < len(whole):
        whole[damage] ^= 0x41
    for raw in (b"\n".join(lines), bytes(whole)):
        try:
            commit = parse_commit(raw)
        except MalformedObject as why:
            assert str(why).isascii() and str(why).isprintable()
            continue
        assert len(commit.tree) == 40
        commit.message.encode("utf-8")
        assert 0 <= commit.author.time < 2**38


@quick
@given(raw=st.binary(max_size=300), text=st.text(max_size=150))
def test_names_are_judged_and_shown_whatever_they_are(raw: bytes, text: str) -> None:
    for name in (raw, text):
        shown = show(name)
        assert shown.isascii() and shown.isprintable() and len(shown) <= 120
    encoded = text.encode("utf-8", "surrogatepass")
    for data in (raw, encoded):
        if problem(data) is None:
            accepted = data.decode("utf-8")
            assert accepted.isprintable() or " " in accepted or not accepted.isascii()
            assert not {"/", "\\", "\0", "\n", "\x1b"} & set(accepted)
            assert accepted.casefold() not in ("", ".", "..", ".git", "git~1")
