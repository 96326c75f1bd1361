"""Writes a plan to a new store, which then replaces the old one; that is kept."""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from pyglue.api.approvals import ApprovalState
from pyglue.api.common import Role
from pyglue.api.events import HiveWarning
from pyglue.api.operations import OperationState
from pyglue.api.system import PackagesDiff
from pyglue.host.core.agent import HIVE
from pyglue.host.rebuild.audit_history import Mark
from pyglue.host.rebuild.plan import UNDECIDED, Deployed, Plan, Row
from pyglue.names import MANAGER, SYSTEM
from pyglue.paths import Layout
from pyglue.store import control, messages, rebuild, sequences
from pyglue.store.control import Control
from pyglue.store.database import Tx
from pyglue.store.messages import NewMessage
from pyglue.store.models import AgentModel, ApprovalModel, SystemModel
from pyglue.store.retention import EMPTY

_TABLES: Final = ("message", "turn", "question", "usage", "reminder", "operation")
_LEAST: Final = 10_000
_SECOND: Final = 10
"""Upper bound of the ids of a table that are assigned per second, on average."""
_SECOND_EVENTS: Final = 10_000
_STOPPED: Final = "The store was lost while it ran, and rebuilt from git."


@dataclass(frozen=True, kw_only=True)
class Source:
    """The input: the plan, the known ids, and the time of the hive's first entry.

    ``base`` is an intact older store; None: there is none.
    """

    plan: Plan
    given: dict[str, int]
    first_at: float
    warning: str
    base: Path | None


def write(layout: Layout, source: Source) -> tuple[Path, ...]:
    """Write the store and move it into place; return the new paths of the old files.

    Raises:
        HiveError: it cannot be written. Nothing has changed then.
    """
    now = time.time()
    fresh = layout.database.with_name(f"{layout.database.name}.rebuilt")
    fresh.unlink(missing_ok=True)
    rebuild.make(fresh, source.base, lambda tx: _fill(tx, source))
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    kept = []
    for suffix in ("-wal", "-shm", ""):  # the log belongs to the old one
        old = layout.database.with_name(f"{layout.database.name}{suffix}")
        if old.exists() or old.is_symlink():
            aside = _free(layout.state / f"hive.db.before-{stamp}{suffix}")
            old.rename(aside)
            kept.append(aside)
    fresh.rename(layout.database)
    return tuple(kept)


def _free(place: Path) -> Path:
    number = 1
    found = place
    while found.exists() or found.is_symlink():
        number += 1
        found = place.with_name(f"{place.name}.{number}")
    return found


def _fill(tx: Tx, source: Source) -> None:
    plan = source.plan
    _close_operations(tx)
    _approvals(tx, plan.approvals)
    for table in ("agent", "kept", "draft", "control"):
        tx.execute(f"DELETE FROM {table}")  # noqa: S608 (our own names)
    for agent in plan.agents:
        _agent(tx, agent)
    for kept in plan.kept:
        _kept(tx, kept)
    for name, mark in plan.drafts.items():
        tx.execute(
            'INSERT INTO draft (name, created_at, "by", description) VALUES '
            "(?, ?, ?, ?)",
            *(name, mark.at, mark.by, mark.text),
        )
    if plan.hive_paused is not None:
        control.put(tx, _paused(Control(agent=HIVE), plan.hive_paused))
    ids = _next(source, tx.now)
    sequences.raise_to(tx, ids)
    # Subscribers that ask for earlier events get a gap.
    tx.execute("UPDATE event_floor SET seq = ? WHERE name = 'bus'", ids["event"])
    tx.emit(None, HiveWarning(text=source.warning))
    if any(agent.name == MANAGER for agent in plan.agents):
        body = (
            f"{source.warning} Ask the operator if something that you expect is gone."
        )
        messages.insert(tx, NewMessage(sender=SYSTEM, recipient=MANAGER, body=body))


def _close_operations(tx: Tx) -> None:
    """Fail operations that an older store has as running: git defines the agents."""
    tx.execute(
        "UPDATE operation SET state = ?, error = ?, finished_at = ? WHERE state IN "
        "(?, ?)",
        *(OperationState.FAILED.value, _STOPPED, tx.now),
        *(OperationState.QUEUED.value, OperationState.RUNNING.value),
    )


def _approvals(tx: Tx, rows: Iterable[Row]) -> None:
    for row in rows:
        old = tx.execute(
            "SELECT state FROM approval WHERE id = ? AND agent = ? AND "
            "manifest_sha256 = ?",
            *(row.id, row.agent, row.manifest),
        ).fetchone()
        if old is None:
            insert(tx, row)
            continue
        state, reason = row.state.value, row.reason
        tx.execute(
            "UPDATE approval SET state = ?, reason = ?, decided_at = ?, decided_by = ? "
            "WHERE id = ?",
            *(state, reason, row.decided_at, row.decided_by, row.id),
        )
    tx.execute(  # of an older store: neither git nor the log knows them
        "UPDATE approval SET state = ?, reason = ?, decided_at = ?, decided_by = ? "
        "WHERE state IN (?, ?, ?)",
        *(ApprovalState.EXPIRED.value, UNDECIDED, tx.now, SYSTEM),
        *(ApprovalState.PENDING.value, ApprovalState.APPROVED.value),
        ApprovalState.BUILDING.value,
    )


def insert(tx: Tx, row: Row) -> None:
    """Write an approval as a row."""
    ApprovalModel.insert(
        id=row.id,
        agent=row.agent,
        kind=row.kind.value,
        state=row.state.value,
        commit=row.commit,
        main=row.main,
        record=EMPTY if row.record is None else row.record.encode(),
        manifest_sha256=row.manifest,
        nixos_options=b"[]",
        policy=msgspec.json.encode(row.policy),
        description=row.message.split("\n")[0],
        proposed_by=row.by,
        author=row.author,
        message=row.message,
        created_at=row.created_at,
        decided_at=row.decided_at,
        decided_by=row.decided_by,
        reason=row.reason,
    ).on_conflict_replace().execute(tx.db)
    if row.record is not None and row.record.system is not None:
        # Without its revision it counts as made with another one: a rebuild is offered.
        unknown = PackagesDiff(
            base=None, packages=(), fetches=(), derivations=0, rebuilt=0
        )
        SystemModel.insert(
            approval=row.id,
            drv=row.record.system,
            nixpkgs="",
            revision="",
            packages=msgspec.json.encode(unknown),
            build_log="",
        ).on_conflict_replace().execute(tx.db)


def _agent(tx: Tx, found: Deployed) -> None:
    row = found.row
    if row is None or row.record is None:
        return
    role = Role.MANAGER if found.name == MANAGER else Role.AGENT
    AgentModel.insert(
        name=found.name,
        role=role.value,
        wanted=found.wanted,
        created_at=row.created_at,
        approval=row.id,
        commit=row.commit,
        record=row.record.encode(),
    ).execute(tx.db)
    chosen = Control(agent=found.name)
    if found.paused is not None:
        chosen = _paused(chosen, found.paused)
    if found.model is not None:
        model, mark = found.model
        chosen = replace(chosen, model=model, model_at=mark.at, model_by=mark.by)
    chosen = replace(chosen, account=found.account)
    if chosen != Control(agent=found.name):
        control.put(tx, chosen)


def _paused(chosen: Control, mark: Mark) -> Control:
    return replace(chosen, paused_at=mark.at, paused_by=mark.by, pause_reason=mark.text)


def _kept(tx: Tx, found: Deployed) -> None:
    row, mark = found.row, found.kept or Mark(tx.now, SYSTEM)
    record = None if row is None or row.record is None else row.record
    described = mark.text if record is None else record.typed.description
    tx.execute(
        'INSERT INTO kept (name, destroyed_at, "by", description, record, "commit", '
        "approval) VALUES (?, ?, ?, ?, ?, ?, ?)",
        *(found.name, mark.at, mark.by, described),
        None if record is None else record.encode(),
        found.main if row is None else row.commit,
        None if row is None else row.id,
    )


def _next(source: Source, now: float) -> dict[str, int]:
    """Return an id of each table that is beyond every one that was given.

    Of some tables nothing but the store says how far they were: they go on after a
    round number that they cannot have reached.
    """
    life = max(1.0, now - source.first_at)
    found = dict(source.given)
    for table in _TABLES:
        most = _round(life * _SECOND)
        known = source.given.get(table, 0)
        exact = table == "operation" and known
        found[table] = known if exact else max(known, most)
    found["event"] = max(source.given.get("event", 0), _round(life * _SECOND_EVENTS))
    return found


def _round(number: float) -> int:
    return int(max(_LEAST, 10 ** math.ceil(math.log10(number))))
