"""``hive audit``: verify the audit log, and export it.

Verification compares with the heads kept in the journal, where hived runs as a unit,
and says which heads were compared.
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
from pyglue.cli.output.spinner import SpinnerClient, spinner
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import SyncClient
from pyglue.text.display import visible

_TIMEOUT_S: Final = 120.0
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class Verified(AuditVerdict, frozen=True):
    """What ``--json`` prints: the verdict, and the number of anchors compared."""

    anchors: int = 0
    anchors_from: str | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``hive audit``."""
    parser.add_argument("action", choices=("verify", "export"), help="what to do")
    parser.add_argument(
        "--anchors",
        metavar="FILE",
        help="verify: compare with the heads in this file ('-' for stdin) instead of "
        "the journal's",
    )
    parser.add_argument(
        "--no-journal",
        action="store_true",
        help="verify: do not read heads from the journal (for example, after "
        "restoring a backup)",
    )
    parser.add_argument(
        "--csv", action="store_true", help="export: CSV instead of JSON"
    )
    parser.add_argument("--who", help="export: only entries by this actor")
    parser.add_argument("--what", help="export: only this action, such as approved")
    parser.add_argument("--agent", help="export: only entries about this agent")
    parser.add_argument(
        "--since",
        metavar="TIME",
        help="export: entries at or after this time (ISO 8601)",
    )
    parser.add_argument(
        "--until", metavar="TIME", help="export: entries before this time"
    )


def run(socket: Path, arguments: argparse.Namespace) -> int:
    """Verify or export.

    Raises:
        HiveError: hived refused, or an argument is invalid.
    """
    client = SpinnerClient(socket, timeout=_TIMEOUT_S)
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
        agree = f"consistent with {known.words}" if known.found else known.words
        text = f"The audit log is intact: {verdict.lines} lines; {agree}"
        sys.stdout.write(f"{text.removesuffix('.')}.\n")
    else:
        where = "" if verdict.bad_line is None else f"Line {verdict.bad_line}: "
        problem = visible(verdict.problem or "", limit=2000)
        sys.stdout.write(f"AUDIT LOG VERIFICATION FAILED. {where}{problem}\n")
        if known.found:
            sys.stdout.write(f"Compared with {known.words}.\n")
    return 0 if verdict.ok else 1


def _anchors(client: SyncClient, arguments: argparse.Namespace) -> Anchors:
    if arguments.anchors is not None:
        return anchors.given(arguments.anchors)
    if arguments.no_journal:
        return Anchors(missing="none given.")
    if not client.call(STATUS, NoParams()).journal:
        return Anchors(missing="none given (--anchors).")
    with spinner("Reading the journal"):
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
    """Write one row, so that no spreadsheet treats a cell as a formula."""
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
            f"Invalid time {text[:60]!a}: write it as 2026-01-31T09:00:00Z.",
        ) from None
