"""Whether the store is as new as the files beside it.

Tags in ``applied/`` and lines of ``audit.jsonl`` name approvals and operations whose
ids the store had committed first. So a store that never assigned such an id is not the
one that this hive left behind: it is missing, empty, or older. If hived started with
it, it would forget deployed agents and reuse ids with a different meaning.
"""

from dataclasses import dataclass
from typing import Any, Final

from msgspec import Struct

from pyglue import strict_json
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.repos import AppliedRepo
from pyglue.git.tags import TagKind
from pyglue.names import is_name
from pyglue.paths import Layout
from pyglue.store import examine
from pyglue.store.failures import REMEDY

_BACKUP: Final = "backup"


class _Line(Struct, frozen=True):
    what: str = ""
    data: dict[str, Any] = {}


@dataclass(frozen=True, kw_only=True)
class Beside:
    """The contents of the files beside the store.

    ``tags`` and ``audit`` are the highest ids by table; ``is_backup``: the log ends
    with the last line of a backup, so it may be slightly newer than the store.
    """

    tags: dict[str, int]
    audit: dict[str, int]
    repositories: int
    lines: int
    is_backup: bool


def look(layout: Layout) -> Beside:
    """Read the tags and the log. Blocking."""
    highest = 0
    repositories = 0
    for path in layout.applied_root.glob("*.git"):
        if is_name(path.name.removesuffix(".git")) and (path / "HEAD").is_file():
            repositories += 1
            # A proposal alone is not a decision.
            decided = [
                tag.id
                for tag in AppliedRepo(path).tags()
                if tag.kind is not TagKind.PROPOSAL
            ]
            highest = max(highest, *decided, 0)
    audit = {"approval": 0, "operation": 0}
    lines = read_lines(layout)
    last = ""
    for line in lines:
        try:
            entry = strict_json.read(line, _Line)
        except HiveError:  # ``hive audit verify`` reports these
            continue
        last = entry.what
        for table in audit:
            number = entry.data.get(table)
            if type(number) is int:
                audit[table] = max(audit[table], number)
    return Beside(
        tags={"approval": highest},
        audit=audit,
        repositories=repositories,
        lines=len(lines),
        is_backup=last == _BACKUP,
    )


def read_lines(layout: Layout) -> list[bytes]:
    """Return the complete lines of the audit log."""
    try:
        return layout.audit_log.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []


def check(layout: Layout) -> dict[str, int]:
    """Refuse a store that is older than the files beside it. Blocking.

    Returns the ids after which a restored store must continue.

    Raises:
        HiveError: ``conflict``, with what to do.
    """
    beside = look(layout)
    given = examine.given(layout.database)
    highest = dict(beside.tags)
    if not beside.is_backup:
        for table, number in beside.audit.items():
            highest[table] = max(highest.get(table, 0), number)
    known = given or {}
    newer = {
        table: number
        for table, number in highest.items()
        if number > known.get(table, 0)
    }
    if newer or (given is None and (beside.repositories or beside.lines)):
        raise _refusal(layout, beside, given, newer)
    return beside.audit


def _refusal(
    layout: Layout, beside: Beside, given: dict[str, int] | None, newer: dict[str, int]
) -> HiveError:
    database = layout.database
    if not database.exists():
        what = f"The store {database} is missing"
    elif given is None:
        what = f"The store {database} is empty"
    else:
        table, number = max(newer.items())
        last = given.get(table, 0)
        ends = f"ends with {table} {last}" if last else f"has no {table}"
        what = (
            f"The store {database} is older than the files beside it: it {ends}, but "
            f"they name {table} {number}"
        )
    return HiveError(
        ErrorCode.CONFLICT,
        f"{what}. {layout.state} has {_count(beside.repositories, 'repository')} in "
        f"applied/ and {_count(beside.lines, 'line')} in audit.jsonl, which this store "
        f"does not know. Nothing was changed. Either {REMEDY} A new hive needs an "
        "empty state directory.",
    )


def _count(number: int, of: str) -> str:
    more = f"{of[:-1]}ies" if of.endswith("y") else f"{of}s"
    return f"{number} {of if number == 1 else more}"
