"""The operator's control of agents: pauses, models, lifted budgets."""

from dataclasses import dataclass, field, fields
from typing import Any

from peewee import FloatField, IntegerField, Model, TextField

from pyglue.api.event_values import AgentChange
from pyglue.api.events import AgentChanged
from pyglue.store.database import Reader, Tx


class ControlModel(Model):
    """One row per agent, and one for the hive."""

    agent = TextField(primary_key=True)
    paused_at = FloatField(null=True)
    paused_by = TextField(null=True)
    pause_reason = TextField(null=True)
    model = TextField(null=True)
    model_at = FloatField(null=True)
    model_by = TextField(null=True)
    lift_day = FloatField(null=True)
    lift_usd = FloatField()
    lift_tokens = IntegerField()
    lift_turns = IntegerField()
    question = IntegerField(null=True)
    asked_for = TextField(null=True)
    account = TextField(null=True)

    class Meta:
        table_name = "control"


@dataclass(frozen=True, kw_only=True)
class Control:
    """A row. ``lift_…`` is the operator's addition to the limits of ``lift_day``.

    ``question`` is the open question about the budget, ``asked_for`` the limit that it
    is about.
    """

    agent: str
    paused_at: float | None = None
    paused_by: str | None = None
    pause_reason: str | None = None
    model: str | None = None
    model_at: float | None = None
    model_by: str | None = None
    lift_day: float | None = None
    lift_usd: float = field(default=0.0)
    lift_tokens: int = 0
    lift_turns: int = 0
    question: int | None = None
    asked_for: str | None = None
    account: str | None = None


_NAMES = tuple(one.name for one in fields(Control))


def all_rows(reader: Reader | Tx) -> dict[str, Control]:
    """Return every row by agent."""
    rows = ControlModel.select().execute(reader.db)
    return {row.agent: Control(**{n: getattr(row, n) for n in _NAMES}) for row in rows}


def remove(tx: Tx, agent: str) -> Control | None:
    """Remove an agent's row, and return it."""
    rows = ControlModel.select().where(ControlModel.agent == agent).execute(tx.db)
    found = [Control(**{n: getattr(row, n) for n in _NAMES}) for row in rows]
    ControlModel.delete().where(ControlModel.agent == agent).execute(tx.db)
    return found[0] if found else None


def put(tx: Tx, row: Control) -> None:
    """Write a row."""
    values: dict[str, Any] = {name: getattr(row, name) for name in _NAMES}
    ControlModel.replace(**values).execute(tx.db)
    tx.emit(row.agent, AgentChanged(what=AgentChange.CONTROL))
