"""``python -m pyglue.host.rebuild.main --state DIR``: a new store from git and the log.

Prints, as JSON, what would be rebuilt and what is lost; ``--apply`` rebuilds it. For
``hive doctor --repair --from-git``, which asks in between. No hived may be running.
"""

import argparse
import os
import pwd
import sys
import time
from pathlib import Path

import msgspec

from pyglue.api.rebuild import Rebuilt
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core import audit_log, store_age
from pyglue.host.core.audit import Audit
from pyglue.host.rebuild import audit_history, repositories
from pyglue.host.rebuild.plan import Deployed, Plan, plan
from pyglue.host.rebuild.write import Source, write
from pyglue.names import SYSTEM
from pyglue.paths import Layout
from pyglue.store import examine, rebuild
from pyglue.store.database import hold

_LOST_ALL = (
    "Lost: messages, reminders, questions, the history and metrics of turns, what was "
    "spent today (daily limits count from zero), sessions of the dashboard and its "
    "metrics token, operations, descriptions of proposals."
)
_LOST_SINCE = (
    "Kept from the older store: messages, history, metrics and logins up to its last "
    "write. Lost: everything in it since then. Messages that were being handled may be "
    "delivered again."
)


def run(state: Path, *, apply: bool) -> Rebuilt:
    """Create the plan; with ``apply`` also the store.

    Raises:
        HiveError: ``store_locked`` while hived runs, ``not_found`` if there is nothing
            to rebuild from, ``forbidden`` for another user than the store's.
    """
    layout = Layout(state, state / "run")
    _check_place(layout)
    lock = hold(layout.lock)
    try:
        return _run(layout, apply=apply)
    finally:
        os.close(lock)


def _run(layout: Layout, *, apply: bool) -> Rebuilt:
    now = time.time()
    beside = store_age.look(layout)
    if not beside.repositories and not beside.lines:
        raise HiveError(
            ErrorCode.NOT_FOUND,
            f"{layout.state} has neither repositories in applied/ nor lines in "
            "audit.jsonl: there is nothing to rebuild a store from.",
        )
    base = layout.database if rebuild.usable(layout.database) else None
    if base is not None:
        _need(layout)
    log = audit_history.fold(store_age.read_lines(layout))
    made = plan(repositories.read_all(layout), log, now)
    notes = [*_verified(layout), *made.notes]
    lost = _LOST_ALL if base is None else _LOST_SINCE
    rebuilt = Rebuilt(
        agents=tuple(map(_shown, made.agents)),
        kept=tuple(one.name for one in made.kept),
        drafts=tuple(made.drafts),
        approvals=len(made.approvals),
        lost=lost,
        notes=tuple(notes),
    )
    if not apply:
        return rebuilt
    given = _highest(layout, beside, made, base)
    text = f"The store was rebuilt from git and the audit log. {lost}"
    source = Source(
        plan=made, given=given, first_at=log.first_at or 0.0, warning=text, base=base
    )
    aside = write(layout, source)
    _record(layout, rebuilt)
    return msgspec.structs.replace(rebuilt, aside=tuple(map(str, aside)))


def _need(layout: Layout) -> None:
    """Refuse to replace a store that hived starts with."""
    try:
        store_age.check(layout)
    except HiveError:
        return
    raise HiveError(
        ErrorCode.CONFLICT,
        f"{layout.database} is intact and up to date with the repositories and the "
        "audit log: there is nothing to rebuild. Start the hive, then run: hive doctor",
    )


def _highest(
    layout: Layout, beside: store_age.Beside, made: Plan, base: Path | None
) -> dict[str, int]:
    """Return the highest known ids by table."""
    found = {} if base is None else dict(examine.given(layout.database) or {})
    for ids in (beside.tags, beside.audit):
        for table, number in ids.items():
            found[table] = max(found.get(table, 0), number)
    numbers = [row.id for row in made.approvals]
    found["approval"] = max(found.get("approval", 0), *numbers, 0)
    return found


def _shown(agent: Deployed) -> str:
    row = agent.row
    number = "" if row is None else f" (approval {row.id}, commit {row.commit[:12]})"
    state = "" if agent.wanted else ", stopped"
    return f"{agent.name}{number}{state}{', paused' if agent.paused else ''}"


def _verified(layout: Layout) -> list[str]:
    """Return notes on whether the log could be verified."""
    if not layout.audit_log.exists():
        return ["audit.jsonl is missing: the authors of decisions are unknown."]
    key = layout.state / "private" / "audit.key"
    if not key.is_file():
        return ["private/audit.key is missing: audit.jsonl cannot be verified."]
    head = key.with_name("audit.head")
    verdict = audit_log.verify(layout.audit_log, key.read_bytes(), head)
    if verdict.ok:
        return []
    at = "" if verdict.bad_line is None else f" at line {verdict.bad_line}"
    what = f"The audit log is not what hived wrote{at}: {verdict.problem}"
    return [f"{what} Its entries are used, but unverified."]


def _record(layout: Layout, rebuilt: Rebuilt) -> None:
    """Record the rebuild in the audit log, unless its key is missing."""
    key = layout.state / "private" / "audit.key"
    if not key.is_file():
        return
    audit = Audit(layout.audit_log, key)
    data = {"agents": list(rebuilt.agents), "approvals": rebuilt.approvals}
    audit.record(SYSTEM, "rebuilt_from_git", None, data)
    audit.close()


def _check_place(layout: Layout) -> None:
    try:
        owner = layout.state.stat().st_uid
    except OSError as error:
        raise HiveError(
            ErrorCode.NOT_FOUND,
            f"Cannot use the state directory {layout.state}: {error.strerror}. Name it "
            "with --state.",
        ) from error
    if owner != os.geteuid():
        try:
            name = pwd.getpwuid(owner).pw_name
        except KeyError:
            name = str(owner)
        raise HiveError(
            ErrorCode.FORBIDDEN,
            f"{layout.state} belongs to {name}: run this as {name}, as hived does.",
        )


def main() -> None:
    """Print the result, or the error, as JSON."""
    parser = argparse.ArgumentParser(prog="hive-rebuild")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--apply", action="store_true")
    arguments = parser.parse_args()
    os.umask(0o077)
    try:
        result = run(arguments.state.absolute(), apply=arguments.apply)
    except HiveError as error:
        problem = {"code": error.code.value, "message": error.message}
        sys.stdout.write(msgspec.json.encode({"error": problem}).decode())
        sys.exit(1)
    sys.stdout.write(msgspec.json.encode(result).decode())


if __name__ == "__main__":
    main()
