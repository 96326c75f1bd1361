"""Heads of the audit log in the journal: which are used, and the message without any.

The ``journalctl`` here is a program that answers the one question that is put to it.
"""

import stat
import sys
from pathlib import Path

import pytest

from pyglue.cli.output import anchors
from pyglue.errors import ErrorCode, HiveError

FAKE = """#!{python}
import sys
asked = sys.argv[1:]
wanted = ["--no-pager", "--quiet", "--output=cat", "--unit=hived.service"]
assert asked[:4] == wanted and asked[4].startswith("--lines=") and not asked[5:], asked
sys.stdout.write({out!r})
sys.stderr.write({err!r})
sys.exit({code})
"""
PREFIX = "INFO hyperhive-audit: "


def head(seq: int, letter: str = "a") -> str:
    """Return a head as hived says it."""
    return f"hyperhive-audit head={letter * 64} seq={seq}"


def journalctl(
    room: Path,
    monkeypatch: pytest.MonkeyPatch,
    out: str,
    *,
    err: str = "",
    code: int = 0,
) -> None:
    """Put a journalctl that answers so on PATH, alone."""
    program = room / "journalctl"
    program.write_text(FAKE.format(python=sys.executable, out=out, err=err, code=code))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(room))


def test_whole_lines_of_hived_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quoted = f"WARNING hived: an agent wrote {PREFIX}{head(99, 'f')}"
    tail = f"{PREFIX}{head(98, 'f')} and more"
    out = "\n".join([f"{PREFIX}{head(1)}", quoted, tail, f"{PREFIX}{head(2, 'b')}", ""])
    journalctl(tmp_path, monkeypatch, out)
    found = anchors.of_journal()
    assert [(one.seq, one.head[0]) for one in found.found] == [(1, "a"), (2, "b")]
    assert found.words == (
        "2 anchors from the journal of hived.service (of lines 1 to 2)"
    )


def test_the_newest_are_taken_of_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = "".join(f"{PREFIX}{head(seq)}\n" for seq in range(1, 5001))
    journalctl(tmp_path, monkeypatch, out)
    found = anchors.of_journal()
    assert (found.found[0].seq, found.found[-1].seq) == (905, 5000)


@pytest.mark.parametrize(
    ("out", "err", "code", "said"),
    [
        (
            *("", "", 0),
            "shows you none. Run this as root, or as a member of a group that may read",
        ),
        ("", "No journal files were opened\x1b[0m", 1, "No journal files were opened"),
        ("", "", 3, "journalctl failed with exit code 3"),
    ],
)
def test_why_there_is_none_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    out: str,
    err: str,
    code: int,
    said: str,
) -> None:
    journalctl(tmp_path, monkeypatch, out, err=err, code=code)
    found = anchors.of_journal()
    assert found.found == ()
    assert said in found.words
    assert "\x1b" not in found.words


def test_a_file_may_have_them_anywhere(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text(f"Nov 21 host hived[1]: {PREFIX}{head(7)}\n")
    found = anchors.given(str(file))
    assert found.words == f"1 anchor from {file} (of line 7)"


@pytest.mark.parametrize("content", [b"", b"hyperhive-audit head=x seq=1", b"\xff"])
def test_a_file_without_any_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "log"
    file.write_bytes(content)
    with pytest.raises(HiveError) as refused:
        anchors.given(str(file))
    assert refused.value.code is ErrorCode.BAD_REQUEST
