"""Agents and their turns."""

from dataclasses import dataclass

from peewee import fn

from pyglue.api.agent import TurnEndParams
from pyglue.api.common import Role
from pyglue.errors import ErrorCode, HiveError
from pyglue.store.database import Reader, Tx
from pyglue.store.models import AgentModel, TurnModel


@dataclass(frozen=True, kw_only=True)
class AgentRow:
    """A stored agent; ``record`` is the deployed pinned record's bytes."""

    name: str
    role: Role
    wanted: bool
    approval: int | None
    commit: str | None
    record: bytes | None
    problem: str | None


@dataclass(frozen=True)
class TurnSummary:
    """How many turns an agent ran, and when the last one ended."""

    count: int
    last_at: float | None


def _row(model: AgentModel) -> AgentRow:
    return AgentRow(
        name=model.name,
        role=Role(model.role),
        wanted=bool(model.wanted),
        approval=model.approval,
        commit=model.commit,
        record=None if model.record is None else bytes(model.record),
        problem=model.problem,
    )


def all_agents(reader: Reader) -> tuple[AgentRow, ...]:
    """Return every agent by name."""
    rows = AgentModel.select().order_by(AgentModel.name).execute(reader.db)
    return tuple(_row(row) for row in rows)


def create(tx: Tx, name: str, role: Role) -> None:
    """Add an agent that is wanted and has nothing deployed yet; again is no error."""
    AgentModel.insert(
        name=name, role=role.value, wanted=True, created_at=tx.now
    ).on_conflict_ignore().execute(tx.db)
    tx.emit("agent.changed", name, {"what": "created"})


def set_wanted(tx: Tx, name: str, wanted: bool) -> None:
    """Record whether the agent should run."""
    _update(tx, name, wanted=wanted)


def set_deployed(
    tx: Tx, name: str, *, approval: int, commit: str, record: bytes
) -> None:
    """Record what runs from now on."""
    _update(tx, name, approval=approval, commit=commit, record=record, problem=None)
    tx.emit("agent.changed", name, {"what": "deployed", "approval": approval})


def set_problem(tx: Tx, name: str, problem: str | None) -> None:
    """Record what went wrong last, for the operator to see."""
    _update(tx, name, problem=problem)
    tx.emit("agent.changed", name, {"what": "problem"})


def _update(tx: Tx, name: str, **values: object) -> None:
    changed = AgentModel.update(**values).where(AgentModel.name == name).execute(tx.db)
    if changed == 0:
        raise HiveError(ErrorCode.NOT_FOUND, f"There is no agent {name!r}.")


def start_turn(tx: Tx, agent: str, model: str) -> int:
    """Record a turn's begin; what a dead harness left open ends here."""
    TurnModel.update(ended_at=tx.now, outcome="failed", reason="lost").where(
        TurnModel.agent == agent, TurnModel.ended_at.is_null()
    ).execute(tx.db)
    turn: int = TurnModel.insert(
        agent=agent,
        model=model,
        started_at=tx.now,
        duration_ms=0,
        steps=0,
        tool_calls=0,
        denials=0,
        input_tokens=0,
        output_tokens=0,
        cost_usd=0.0,
    ).execute(tx.db)
    tx.emit("turn.started", agent, {"turn": turn, "model": model})
    return turn


def end_turn(tx: Tx, agent: str, end: TurnEndParams) -> bool:
    """Record a turn's end; False if it is not this agent's running turn."""
    changed: int = (
        TurnModel.update(
            ended_at=tx.now,
            outcome=end.outcome.value,
            reason=end.reason,
            duration_ms=end.duration_ms,
            steps=end.steps,
            tool_calls=end.tool_calls,
            denials=end.denials,
            input_tokens=end.input_tokens,
            output_tokens=end.output_tokens,
            cost_usd=end.cost_usd,
        )
        .where(
            TurnModel.id == end.turn,
            TurnModel.agent == agent,
            TurnModel.ended_at.is_null(),
        )
        .execute(tx.db)
    )
    if changed:
        data = {
            "turn": end.turn,
            "outcome": end.outcome.value,
            "reason": end.reason,
            "duration_ms": end.duration_ms,
            "steps": end.steps,
        }
        tx.emit("turn.ended", agent, data)
    return changed > 0


def turn_summaries(reader: Reader) -> dict[str, TurnSummary]:
    """Return each agent's turns in short."""
    rows = (
        TurnModel.select(
            TurnModel.agent, fn.COUNT(TurnModel.id), fn.MAX(TurnModel.ended_at)
        )
        .group_by(TurnModel.agent)
        .tuples()
        .execute(reader.db)
    )
    return {agent: TurnSummary(count, last) for agent, count, last in rows}
