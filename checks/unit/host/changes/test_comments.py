"""Comments on lines: quoted from git, refused without a line, found again later."""

from pathlib import Path
from typing import Any, Final

import pytest

from pyglue.api.approvals import COMMENTED_LINES, LineComment, QuotedComment
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.host_commits import seed_main
from pyglue.git.repos import AppliedRepo
from pyglue.host.changes import comments

pytestmark = pytest.mark.needs("git")

NIX: Final = '{\n  a = 1;\n  b = "\u202e\x1b[2K";\n}\n'

HEAD: Final = (
    "Approval 7 for alice: the operator requests changes. Nothing was deployed; "
    "make the changes and propose again."
)


@pytest.fixture
def repo(tmp_path: Path) -> AppliedRepo:
    repo = AppliedRepo.create(tmp_path / "alice.git")
    files = {
        "agent.nix": NIX.encode(),
        "notes/a:1=b.md": b"one\ntwo",
        "long": b"x" * 100_000 + b"\n",
        "many": b"same\n" * 30_000,
    }
    seed_main(repo, files, message="first", at=1)
    return repo


def commit(repo: AppliedRepo) -> str:
    main = repo.main()
    assert main is not None
    return main


def comment(file: str, line: int, **fields: Any) -> LineComment:
    return LineComment(file=file, line=line, **{"text": " Why? ", **fields})


def quoted(repo: AppliedRepo, *asked: LineComment) -> tuple[QuotedComment, ...]:
    return tuple(comments.quote(repo, commit(repo), one) for one in asked)


def test_the_lines_are_those_of_the_commit(repo: AppliedRepo) -> None:
    one, two, cut = quoted(
        repo,
        comment("agent.nix", 2, to=3),
        comment("notes/a:1=b.md", 2),
        comment("long", 1),
    )
    assert (one.line, one.to, one.text) == (2, 3, "Why?")
    assert one.quoted == tuple(NIX.split("\n")[1:3])
    assert (two.line, two.to, two.quoted) == (2, 2, ("two",))
    assert [len(line) for line in cut.quoted] == [400]


@pytest.mark.parametrize(
    ("file", "line", "to", "why"),
    [
        ("agent.nix", 5, None, "the file has 4 lines"),
        ("agent.nix", 4, 5, "the file has 4 lines"),
        ("agent.nix", 3, 2, "must not precede the first"),
        ("many", 1, COMMENTED_LINES + 1, "at most 20 lines"),
        ("no.nix", 1, None, "no such file"),
        ("notes", 1, None, "no such file"),
        ("../alice.git/HEAD", 1, None, "no such file"),
        ("/etc/passwd", 1, None, "no such file"),
        ("a\0b", 1, None, "no such file"),
        ("\x1b]0;x\x07", 1, None, r"“\\x1b\]0;x\\x07:1”: there is no such file"),
    ],
)
def test_a_line_that_is_not_there_is_refused(
    repo: AppliedRepo, file: str, line: int, to: int | None, why: str
) -> None:
    with pytest.raises(HiveError, match=why) as caught:
        quoted(repo, comment(file, line, to=to))
    assert caught.value.code is ErrorCode.BAD_REQUEST


def test_a_version_that_there_is_not_has_no_lines(repo: AppliedRepo) -> None:
    with pytest.raises(HiveError, match="no such file in this version"):
        comments.quote(repo, None, comment("agent.nix", 1))


def test_the_message_quotes_lines_so_that_none_is_another(repo: AppliedRepo) -> None:
    (one,) = quoted(repo, comment("agent.nix", 2, to=3, text="First\nSecond"))
    row: Any = type("Row", (), {"id": 7, "agent": "alice"})
    assert comments.message(row, " All in all: no. ", (one,)).split("\n") == [
        HEAD,
        "",
        "All in all: no.",
        "",
        "agent.nix, lines 2 to 3:",
        ">   a = 1;",
        '>   b = "\\u202e\\x1b[2K";',
        "First",
        "Second",
    ]


def test_a_message_that_is_too_large_is_refused(repo: AppliedRepo) -> None:
    made = quoted(repo, comment("many", 1, text="x" * 2000)) * 50
    row: Any = type("Row", (), {"id": 7, "agent": "alice"})
    with pytest.raises(HiveError, match="the limit is 64 KiB") as caught:
        comments.message(row, "", made)
    assert caught.value.code is ErrorCode.TOO_LARGE


def test_lines_are_found_where_they_are_now(repo: AppliedRepo, tmp_path: Path) -> None:
    asked = quoted(
        repo,
        comment("agent.nix", 2, to=3),
        comment("agent.nix", 1),
        comment("notes/a:1=b.md", 1),
        comment("many", 20_000),
    )
    later = AppliedRepo.create(tmp_path / "later.git")
    files = {
        "agent.nix": ("# new\n\n" + NIX.replace("{", "{ ... }: {")).encode(),
        "many": b"same\n" * 30_000,
    }
    seed_main(later, files, message="later", at=1)
    found = comments.find(later, commit(later), asked)
    assert [one.line_now for one in found] == [4, None, None, 20_000]
    assert [one.line_now for one in comments.find(later, None, asked)] == [None] * 4
