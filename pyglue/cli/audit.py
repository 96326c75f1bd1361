"""``hive audit``: check the audit log, and print it."""

import argparse
import csv
import datetime
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from pyglue.api.audit import (
    AuditAnchor,
    AuditEntry,
    AuditExportParams,
    AuditVerifyParams,
)
from pyglue.api.operator import AUDIT_EXPORT, AUDIT_VERIFY
from pyglue.display import visible
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import SyncClient

_TIMEOUT_S: Final = 120.0
_ANCHOR: Final = re.compile(r"hyperhive-audit head=([0-9a-f]{64}) seq=([0-9]{1,15})\b")
_ANCHORS_MAX: Final = 4096
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what follows ``hive audit``."""
    parser.add_argument("action", choices=("verify", "export"))
    parser.add_argument(
        "--anchors",
        metavar="FILE",
        help="verify: text with heads that hived said, '-' for stdin; for example "
        "journalctl -u hived -o cat | hive audit verify --anchors -",
    )
    parser.add_argument("--csv", action="store_true", help="export: CSV, not JSON")
    parser.add_argument("--who", help="export: only what they did")
    parser.add_argument("--what", help="export: only this, such as approved")
    parser.add_argument("--agent", help="export: only what concerns this agent")
    parser.add_argument("--since", metavar="TIME", help="export: from then, ISO 8601")
    parser.add_argument("--until", metavar="TIME", help="export: before then")


def run(socket: Path, arguments: argparse.Namespace) -> int:
    """Verify or export.

    Raises:
        HiveError: what hived refused with, or what is wrong with an argument.
    """
    client = SyncClient(socket, client="hive", timeout=_TIMEOUT_S)
    try:
        if arguments.action == "verify":
            return _verify(client, arguments)
        return _export(client, arguments)
    finally:
        client.close()


def _verify(client: SyncClient, arguments: argparse.Namespace) -> int:
    anchors = _anchors(arguments.anchors)
    verdict = client.call(AUDIT_VERIFY, AuditVerifyParams(anchors=anchors))
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(verdict).decode() + "\n")
    elif verdict.ok:
        also = f", {len(anchors)} anchors agree" if anchors else ""
        sys.stdout.write(f"The audit log is whole: {verdict.lines} lines{also}.\n")
    else:
        where = "" if verdict.bad_line is None else f"Line {verdict.bad_line}: "
        problem = visible(verdict.problem or "", limit=2000)
        sys.stdout.write(f"THE AUDIT LOG IS NOT WHOLE. {where}{problem}\n")
    return 0 if verdict.ok else 1


def _anchors(name: str | None) -> tuple[AuditAnchor, ...]:
    if name is None:
        return ()
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HiveError(
            ErrorCode.BAD_REQUEST, f"The anchors in {name} cannot be read: {error}."
        ) from error
    found = {int(seq): head for head, seq in _ANCHOR.findall(text)}
    if not found:
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            f"{name} holds no 'hyperhive-audit head=… seq=…'. These lines are in the "
            "log of hived.",
        )
    newest = sorted(found.items())[-_ANCHORS_MAX:]
    return tuple(AuditAnchor(seq=seq, head=head) for seq, head in newest)


def _export(client: SyncClient, arguments: argparse.Namespace) -> int:
    params = AuditExportParams(
        who=arguments.who,
        what=arguments.what,
        agent=arguments.agent,
        since_at=_time(arguments.since),
        until_at=_time(arguments.until),
    )
    if arguments.csv:
        _write_row("seq", "at", "who", "what", "agent", "data", "mac")
    for entry in _entries(client, params):
        if not arguments.csv:
            sys.stdout.write(msgspec.json.encode(entry).decode() + "\n")
            continue
        at = datetime.datetime.fromtimestamp(entry.at, datetime.UTC)
        data = msgspec.json.encode(entry.data).decode()
        _write_row(
            str(entry.seq),
            at.isoformat(timespec="milliseconds"),
            entry.who,
            entry.what,
            entry.agent or "",
            data,
            entry.mac,
        )
    return 0


def _entries(client: SyncClient, params: AuditExportParams) -> Iterator[AuditEntry]:
    after: int | None = 0
    while after is not None:
        page = client.call(AUDIT_EXPORT, msgspec.structs.replace(params, after=after))
        yield from page.entries
        after = page.after


def _write_row(*cells: str) -> None:
    """Write one row; no cell is taken for a formula by a spreadsheet."""
    row = io.StringIO()
    safe = [f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells]
    csv.writer(row, lineterminator="\n").writerow(safe)
    sys.stdout.write(row.getvalue())


def _time(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        at = datetime.datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=datetime.UTC)).timestamp()
    except (ValueError, OverflowError):
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            f"{text[:60]!a} is not a time. Write it as 2026-01-31T09:00:00Z.",
        ) from None
