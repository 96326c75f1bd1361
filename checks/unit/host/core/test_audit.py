"""The audit log: its contents, and detection of every change to it."""

import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from pyglue.api.audit import AuditAnchor, AuditExportParams, AuditVerdict
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core import audit_log
from pyglue.host.core.audit import Audit


def write(room: Path, *whats: str) -> Audit:
    """Open the log in ``room`` and record these."""
    audit = Audit(room / "audit.jsonl", room / "audit.key")
    for what in whats:
        audit.record("operator", what, "bob", {"commit": "c" * 40})
    return audit


def verdict(audit: Audit, *anchors: AuditAnchor) -> AuditVerdict:
    return audit_log.verify(audit.path, audit.key, audit.head_path, anchors)


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    return write(tmp_path, "a", "b", "c", "d")


def test_a_log_as_written_is_whole(audit: Audit, tmp_path: Path) -> None:
    assert verdict(audit).ok
    audit.close()
    again = write(tmp_path, "e")
    found = verdict(again)
    assert (found.ok, found.lines, found.problem) == (True, 5, None)


def test_an_empty_log_is_whole(tmp_path: Path) -> None:
    assert verdict(write(tmp_path)).ok


def test_half_a_line_is_never_left(audit: Audit) -> None:
    """As on a full disk: the write is short, and the next one fails."""
    before = audit.path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 50, hard))
    try:
        audit.record("operator", "approved", "bob", {})
        with pytest.raises(HiveError, match="Cannot write") as refused:
            audit.ready()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert refused.value.code is ErrorCode.UNAVAILABLE
    assert audit.path.read_bytes() == before
    audit.record("operator", "e", "bob", {})
    found = verdict(audit)
    assert (found.ok, found.lines) == (True, 6)


def _lines(audit: Audit) -> list[bytes]:
    return audit.path.read_bytes().splitlines(keepends=True)


def _edited(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b"operator", b"somebody"), *lines[2:]]


def _respaced(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b'":', b'": ', 1), *lines[2:]]


def _swapped(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[2], lines[1], lines[3]]


def _removed(lines: list[bytes]) -> list[bytes]:
    return [lines[0], *lines[2:]]


def _repeated(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[0], *lines[1:]]


def _garbage(lines: list[bytes]) -> list[bytes]:
    return [lines[0], b"not a line\n", *lines[2:]]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (_edited, "edited, or written without the key"),
        (_respaced, "edited, or written without the key"),
        (_swapped, "lines were moved"),
        (_removed, "was removed or added"),
        (_repeated, "was removed or added"),
        (_garbage, "not a line of an audit log"),
    ],
)
def test_the_first_bad_line_is_named(
    audit: Audit, change: Callable[[list[bytes]], list[bytes]], problem: str
) -> None:
    audit.path.write_bytes(b"".join(change(_lines(audit))))
    found = verdict(audit)
    assert (found.ok, found.bad_line) == (False, 2)
    assert problem in str(found.problem)


@pytest.mark.parametrize("kept", [3, 0])
def test_a_log_cut_at_its_end_is_seen_by_its_head(audit: Audit, kept: int) -> None:
    audit.path.write_bytes(b"".join(_lines(audit)[:kept]))
    found = verdict(audit)
    assert (found.ok, found.bad_line) == (False, kept + 1)
    assert "it was truncated" in str(found.problem)


def test_what_hived_said_elsewhere_is_an_anchor_too(audit: Audit) -> None:
    heads = [json.loads(line)["mac"] for line in _lines(audit)]
    assert verdict(audit, AuditAnchor(seq=4, head=heads[3])).ok
    wrong = verdict(audit, AuditAnchor(seq=2, head=heads[3]))
    assert wrong.bad_line == 2
    beyond = verdict(audit, AuditAnchor(seq=5, head=heads[3]))
    assert beyond.bad_line == 5


def test_a_log_rebuilt_without_the_key_is_seen(audit: Audit, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    forged = write(other, "a", "b", "c", "nothing bad")
    audit.path.write_bytes(forged.path.read_bytes())
    audit.head_path.write_bytes(forged.head_path.read_bytes())
    found = verdict(audit)
    assert (found.ok, found.bad_line) == (False, 1)


def test_a_head_made_without_the_key_counts_for_nothing(
    audit: Audit, tmp_path: Path
) -> None:
    lines = _lines(audit)[:3]
    audit.path.write_bytes(b"".join(lines))
    mac = json.loads(lines[-1])["mac"]
    audit.head_path.write_text(f"3 {mac} {'0' * 64}\n")
    assert "audit.head" in str(verdict(audit).problem)
    audit.head_path.unlink()
    assert "audit.head" in str(verdict(audit).problem)


@pytest.mark.parametrize("also_head", [False, True])
def test_a_cut_log_stays_seen_after_hived_went_on_with_it(
    audit: Audit, tmp_path: Path, *, also_head: bool
) -> None:
    audit.close()
    audit.path.write_bytes(b"".join(_lines(audit)[:2]))
    if also_head:
        audit.head_path.unlink()
    later = write(tmp_path, "e", "f")
    found = verdict(later)
    assert (found.ok, found.bad_line) == (False, 3)
    assert "had changed while hived was not running" in str(found.problem)


def test_a_crash_between_line_and_head_is_no_tampering(
    audit: Audit, tmp_path: Path
) -> None:
    before = audit.head_path.read_bytes()
    audit.record("system", "e", None, {})
    audit.head_path.write_bytes(before)
    assert verdict(audit).ok
    audit.close()
    assert verdict(write(tmp_path, "f")).ok


def test_a_torn_last_line_is_dropped(audit: Audit, tmp_path: Path) -> None:
    audit.close()
    with audit.path.open("ab") as file:
        file.write(b'{"agent":null,"at":17')
    found = verdict(write(tmp_path, "e"))
    assert (found.ok, found.lines) == (True, 5)


def test_the_head_is_said_for_the_journal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "hyperhive-audit"):
        audit = write(tmp_path, "a")
    mac = json.loads(_lines(audit)[0])["mac"]
    assert caplog.messages == [f"hyperhive-audit head={mac} seq=1"]


def test_export_filters_and_pages(tmp_path: Path) -> None:
    audit = write(tmp_path)
    for number in range(7):
        agent = "bob" if number % 2 else None
        audit.record("system" if number < 4 else "uid 0", "x", agent, {"n": number})

    def numbers(params: AuditExportParams) -> list[int]:
        got = audit_log.export(audit.path, params)
        return [int(entry.data["n"]) for entry in got.entries]

    assert numbers(AuditExportParams(who="uid 0")) == [4, 5, 6]
    assert numbers(AuditExportParams(agent="bob", who="system")) == [1, 3]
    assert numbers(AuditExportParams(what="y")) == []
    assert numbers(AuditExportParams(until_at=1.0)) == []
    assert len(numbers(AuditExportParams(since_at=1.0))) == 7
    page = audit_log.export(audit.path, AuditExportParams(limit=3, after=2))
    assert [entry.seq for entry in page.entries] == [3, 4, 5]
    assert page.after == 5
    last = audit_log.export(audit.path, AuditExportParams(limit=3, after=5))
    assert ([entry.seq for entry in last.entries], last.after) == ([6, 7], None)


def test_export_pages_from_the_newest(tmp_path: Path) -> None:
    audit = write(tmp_path)
    for number in range(7):
        audit.record("system", "x" if number % 2 else "y", None, {})

    def page(**asked: Any) -> tuple[list[int], int | None]:
        got = audit_log.export(audit.path, AuditExportParams(**asked))
        assert got.after is None
        return [entry.seq for entry in got.entries], got.before

    assert page(before=2**53, limit=3) == ([7, 6, 5], 5)
    assert page(before=5, limit=3) == ([4, 3, 2], 2)
    assert page(before=2, limit=3) == ([1], None)
    assert page(before=1) == ([], None)
    assert page(before=6, after=3) == ([5, 4], None)
    assert page(before=7, what="x") == ([6, 4, 2], None)


_NO_LINES: Final = {
    "no JSON": b"not a line",
    "no UTF-8": b'{"mac":"\xff"}',
    "no object": b"[]",
    "nothing": b"",
    "too deep": b'{"a":' + b"[" * 100_000,
    "deep": b'{"mac":"' + b"0" * 64 + b'","data":' + b"[" * 70 + b"]" * 70 + b"}",
    "no HMAC": b'{"seq":2}',
    "an HMAC that is a number": b'{"mac":2}',
    "an HMAC beyond ASCII": '{"mac":"ä"}'.encode(),
    "a key twice": b'{"mac":"' + b"0" * 64 + b'","who":"a","who":"b"}',
}


@pytest.mark.parametrize("name", _NO_LINES)
def test_verify_names_a_line_that_is_none(audit: Audit, name: str) -> None:
    lines = _lines(audit)
    audit.path.write_bytes(b"".join([lines[0], _NO_LINES[name], b"\n", *lines[2:]]))
    found = verdict(audit)
    assert (found.ok, found.bad_line) == (False, 2)
    assert found.problem == "This is not a line of an audit log."


@pytest.mark.parametrize("name", _NO_LINES)
def test_hived_goes_on_after_a_last_line_that_is_none(
    audit: Audit, tmp_path: Path, name: str
) -> None:
    audit.close()
    audit.path.write_bytes(b"".join([*_lines(audit)[:3], _NO_LINES[name], b"\n"]))
    found = verdict(write(tmp_path, "e"))
    assert (found.ok, found.bad_line) == (False, 4)


@pytest.mark.parametrize("name", _NO_LINES)
def test_export_shows_a_line_that_is_none(audit: Audit, name: str) -> None:
    lines = _lines(audit)
    audit.path.write_bytes(b"".join([lines[0], _NO_LINES[name], b"\n", *lines[2:]]))
    got = audit_log.export(audit.path, AuditExportParams())
    assert [entry.what for entry in got.entries] == ["a", "unreadable", "c", "d"]


def test_export_shows_what_cannot_be_read(audit: Audit) -> None:
    audit.path.write_bytes(b"".join(_garbage(_lines(audit))))
    got = audit_log.export(audit.path, AuditExportParams())
    assert [entry.what for entry in got.entries] == ["a", "unreadable", "c", "d"]
