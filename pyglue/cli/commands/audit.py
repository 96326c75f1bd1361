"""``hive audit``: check the audit log, and print it.

Checking compares with the heads that the journal kept, where hived is a unit there, and
says which these were.
"""

import argparse
import csv
import datetime
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from pyglue.api.audit import (
    AuditEntry,
    AuditExportParams,
    AuditVerdict,
    AuditVerifyParams,
)
from pyglue.api.common import NoParams
from pyglue.api.operator import AUDIT_EXPORT, AUDIT_VERIFY, STATUS
from pyglue.cli.output import anchors
from pyglue.cli.output.anchors import Anchors
from pyglue.cli.output.spinner import PatientClient, patience
from pyglue.display import visible
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import SyncClient

_TIMEOUT_S: Final = 120.0
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class Verified(AuditVerdict, frozen=True):
    """What ``--json`` prints: the verdict, and how many anchors it agrees with."""

    anchors: int = 0
    anchors_from: str | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what follows ``hive audit``."""
    parser.add_argument("action", choices=("verify", "export"))
    parser.add_argument(
        "--anchors",
        metavar="FILE",
        help="verify: compare with the heads in this text, '-' for stdin, instead of "
        "those in the journal",
    )
    parser.add_argument(
        "--no-journal",
        action="store_true",
        help="verify: do not look for heads in the journal, as after a backup was "
        "restored",
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
    client = PatientClient(socket, client="hive", timeout=_TIMEOUT_S)
    try:
        if arguments.action == "verify":
            return _verify(client, arguments)
        return _export(client, arguments)
    finally:
        client.close()


def _verify(client: SyncClient, arguments: argparse.Namespace) -> int:
    known = _anchors(client, arguments)
    verdict = client.call(AUDIT_VERIFY, AuditVerifyParams(anchors=known.found))
    if arguments.json:
        verified = Verified(
            **msgspec.structs.asdict(verdict),
            anchors=len(known.found),
            anchors_from=known.source or None,
        )
        sys.stdout.write(msgspec.json.encode(verified).decode() + "\n")
    elif verdict.ok:
        agree = f"it agrees with {known.words}" if known.found else known.words
        text = f"The audit log is whole: {verdict.lines} lines; {agree}"
        sys.stdout.write(f"{text.removesuffix('.')}.\n")
    else:
        where = "" if verdict.bad_line is None else f"Line {verdict.bad_line}: "
        problem = visible(verdict.problem or "", limit=2000)
        sys.stdout.write(f"THE AUDIT LOG IS NOT WHOLE. {where}{problem}\n")
        if known.found:
            sys.stdout.write(f"Compared with {known.words}.\n")
    return 0 if verdict.ok else 1


def _anchors(client: SyncClient, arguments: argparse.Namespace) -> Anchors:
    if arguments.anchors is not None:
        return anchors.given(arguments.anchors)
    if arguments.no_journal:
        return Anchors(missing="you gave none.")
    if client.call(STATUS, NoParams()).backend == "local":
        return Anchors(missing="you gave none (--anchors).")
    with patience("Reading the journal"):
        return anchors.of_journal()


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
