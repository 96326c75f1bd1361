"""Reads the audit log: verifies its chain, and searches it.

``verify`` reports the first line that differs from what hived wrote: edited, moved,
missing, written without the key, or truncated. Truncation is detected by anchors:
``audit.head``, and any heads that the operator saved elsewhere (the journal).
"""

import hashlib
import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from pyglue import strict_json
from pyglue.api.audit import (
    AuditAnchor,
    AuditEntry,
    AuditExportParams,
    AuditExportResult,
    AuditVerdict,
)
from pyglue.errors import HiveError
from pyglue.manifest.record import canonical
from pyglue.strict_json import JsonError

START: Final = "0" * 64
_HEAD_WIDTH: Final = 256
_Mac = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True)
class Head:
    """The newest line: its number and its HMAC."""

    seq: int
    mac: str

    def encode(self, key: bytes) -> bytes:
        """Return the content of ``audit.head``, of fixed width for overwriting."""
        text = f"{self.seq} {self.mac} {_sign_head(key, self.seq, self.mac)}"
        return text.ljust(_HEAD_WIDTH - 1).encode() + b"\n"


def _sign_head(key: bytes, seq: int, mac: str) -> str:
    return hmac.new(key, f"head {seq} {mac}".encode(), hashlib.sha256).hexdigest()


def mac_of(key: bytes, entry: dict[str, Any]) -> str:
    """Return the HMAC of a line; ``entry`` is the line without its ``mac``."""
    return hmac.new(key, canonical(entry), hashlib.sha256).hexdigest()


def read_head(path: Path, key: bytes) -> Head | None:
    """Return the head in ``audit.head``; None if it is missing or not signed by us."""
    try:
        seq, mac, signature = path.read_text("ascii").split()
        head = Head(int(seq), mac)
    except (OSError, ValueError):
        return None
    good = hmac.compare_digest(_sign_head(key, head.seq, head.mac), signature)
    return head if good else None


def read_last(log: Path, key: bytes) -> tuple[str, int, bool]:
    """Return the last line's HMAC, the line count, and whether the HMAC is valid."""
    lines = _lines(log)
    if not lines:
        return START, 0, True
    try:
        entry, mac = _decode(lines[-1])
        return mac, len(lines), hmac.compare_digest(mac_of(key, entry), mac)
    except HiveError:
        return START, len(lines), False


def verify(
    log: Path, key: bytes, head_path: Path, anchors: Iterable[AuditAnchor] = ()
) -> AuditVerdict:
    """Check every line and every anchor; report the first mismatch."""
    lines = _lines(log)
    macs: list[str] = []
    last = START
    for number, line in enumerate(lines, start=1):
        problem, last = _judge(line, number, last, key)
        if problem is not None:
            return AuditVerdict(
                ok=False, lines=len(lines), head=None, bad_line=number, problem=problem
            )
        macs.append(last)
    problem, at = _judge_end(macs, read_head(head_path, key), anchors)
    return AuditVerdict(
        ok=problem is None, lines=len(lines), head=last, bad_line=at, problem=problem
    )


def _judge(line: bytes, number: int, last: str, key: bytes) -> tuple[str | None, str]:
    """Return what is wrong with a line, if anything, and its HMAC."""
    try:
        entry, mac = _decode(line)
        good, again = mac_of(key, entry), canonical({**entry, "mac": mac})
    except HiveError:
        return "This is not a line of an audit log.", last
    previous, seq = entry.get("previous"), entry.get("seq", number)
    if not hmac.compare_digest(good, mac) or line != again:
        return "It was edited, or written without the key.", last
    if previous != last or seq != number:
        return "An earlier line was removed or added, or lines were moved.", last
    if entry.get("what") == "audit_mismatch":
        what = msgspec.json.encode(entry["data"]).decode()
        problem = (
            "At this line, hived found that the log had changed while hived was not "
            "running: "
        )
        return f"{problem}earlier lines were removed or changed. {what}", mac
    return None, mac


def _judge_end(
    macs: list[str], head: Head | None, anchors: Iterable[AuditAnchor]
) -> tuple[str | None, int | None]:
    if head is None and macs:
        return "audit.head is missing or was created without the key.", None
    known = [] if head is None else [("audit.head", head.seq, head.mac)]
    known += [("an anchor", a.seq, a.head) for a in anchors]
    for name, seq, mac in sorted(known, key=lambda anchor: anchor[1]):
        if seq > len(macs):
            text = (
                f"The log ends before line {seq}, which {name} contains: it was "
                "truncated."
            )
            return text, len(macs) + 1
        if not seq >= 1 or not hmac.compare_digest(macs[seq - 1], mac):
            return f"Line {seq} differs from {name}.", max(seq, 1)
    return None, None


def export(log: Path, params: AuditExportParams) -> AuditExportResult:
    """Return the lines that match the filters, unchanged."""
    newest_first = params.before is not None
    lines = list(enumerate(_lines(log), start=1))[params.after :]
    if params.before is not None:
        lines = lines[: max(0, params.before - 1 - params.after)][::-1]
    found: list[AuditEntry] = []
    for entry in _entries(lines):
        if _fits(entry, params):
            found.append(entry)
        if len(found) == params.limit:
            after, before = (None, entry.seq) if newest_first else (entry.seq, None)
            return AuditExportResult(entries=tuple(found), after=after, before=before)
    return AuditExportResult(entries=tuple(found), after=None)


def _entries(lines: Iterable[tuple[int, bytes]]) -> Iterator[AuditEntry]:
    for number, line in lines:
        try:
            entry, mac = _decode(line)
            whole = {**entry, "seq": number, "mac": mac}
            yield strict_json.convert(whole, AuditEntry)
        except JsonError:  # ``verify`` reports these
            yield AuditEntry(
                seq=number,
                at=0.0,
                who="?",
                what="unreadable",
                agent=None,
                data={"line": line[:500].decode(errors="replace")},
                mac="",
            )


def _fits(entry: AuditEntry, params: AuditExportParams) -> bool:
    return (
        params.who in (None, entry.who)
        and params.what in (None, entry.what)
        and params.agent in (None, entry.agent)
        and (params.since_at is None or entry.at >= params.since_at)
        and (params.until_at is None or entry.at < params.until_at)
    )


def _lines(log: Path) -> list[bytes]:
    try:
        return log.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []


def _decode(line: bytes) -> tuple[dict[str, Any], str]:
    """Return a line without its HMAC, and its HMAC.

    Raises:
        JsonError: it is not a valid line, for whatever reason.
    """
    entry = strict_json.read(line, dict[str, Any], unique=True)
    mac = strict_json.convert(entry.pop("mac", None), _Mac)
    return entry, mac
