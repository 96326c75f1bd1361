"""Agents and their turns."""

from dataclasses import dataclass
from typing import Final

from pyglue.api.common import Role
from pyglue.api.event_values import AgentChange
from pyglue.api.events import AgentChanged, TurnEnded, TurnStarted
from pyglue.api.turns import TurnEndParams, TurnOutcome
from pyglue.errors import ErrorCode, HiveError
from pyglue.store.database import Reader, Tx
from pyglue.store.models import AgentModel, TurnModel

LOST: Final = "The connection to its harness or to hived was lost."
"""The reason of a failed turn whose end nobody could report."""
_NAMED: Final = 8
"""Maximum messages that the event of a turn's start lists."""


@dataclass(frozen=True, kw_only=True)
class AgentRow:
    """A stored agent; ``record`` is the bytes of the deployed pinned record."""

    name: str
    role: Role
    wanted: bool
    approval: int | None
    commit: str | None
    record: bytes | None
    problem: str | None


@dataclass(frozen=True)
class TurnSummary:
    """The number of turns that an agent began, and the outcome of the last one."""

    count: int
    last_at: float | None
    last_outcome: str | None = None
    context_fill: float | None = None


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


def all_agents(reader: Reader | Tx) -> tuple[AgentRow, ...]:
    """Return every agent by name."""
    rows = AgentModel.select().order_by(AgentModel.name).execute(reader.db)
    return tuple(_row(row) for row in rows)


def find(reader: Reader | Tx, name: str) -> AgentRow | None:
    """Return an agent; None if there is none of that name."""
    rows = AgentModel.select().where(AgentModel.name == name).execute(reader.db)
    return next((_row(row) for row in rows), None)


def create(tx: Tx, name: str, role: Role) -> None:
    """Add an agent that should run and has nothing deployed yet; idempotent."""
    AgentModel.insert(
        name=name, role=role.value, wanted=True, created_at=tx.now
    ).on_conflict_ignore().execute(tx.db)
    tx.emit(name, AgentChanged(what=AgentChange.CREATED))


def set_wanted(tx: Tx, name: str, wanted: bool) -> None:
    """Record whether the agent should run."""
    _update(tx, name, wanted=wanted)
    tx.emit(name, AgentChanged(what=AgentChange.WANTED))


def set_deployed(
    tx: Tx,
    name: str,
    *,
    approval: int,
    commit: str,
    record: bytes,
    wanted: bool,
    problem: str | None,
) -> None:
    """Record a deployment."""
    _update(
        tx,
        name,
        approval=approval,
        commit=commit,
        record=record,
        wanted=wanted,
        problem=problem,
    )
    tx.emit(name, AgentChanged(what=AgentChange.DEPLOYED, approval=approval))


def set_problem(tx: Tx, name: str, problem: str | None) -> None:
    """Record the latest problem, which the operator sees."""
    _update(tx, name, problem=problem)
    tx.emit(name, AgentChanged(what=AgentChange.PROBLEM))


def set_present(tx: Tx, name: str, *, wanted: bool, problem: str | None) -> None:
    """Record whether the agent should run, and its latest problem."""
    _update(tx, name, wanted=wanted, problem=problem)
    tx.emit(name, AgentChanged(what=AgentChange.WANTED))
    tx.emit(name, AgentChanged(what=AgentChange.PROBLEM))


def _update(tx: Tx, name: str, **values: object) -> None:
    changed = AgentModel.update(**values).where(AgentModel.name == name).execute(tx.db)
    if changed == 0:
        raise HiveError(ErrorCode.NOT_FOUND, f"There is no agent {name!r}.")


def start_turn(tx: Tx, agent: str, model: str) -> int:
    """Record the beginning of a turn; end one that a dead harness left open."""
    lose_turns(tx, agent)
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
    tx.execute(
        "INSERT INTO agent_turns (agent, count) VALUES (?, 1) "
        "ON CONFLICT DO UPDATE SET count = count + 1",
        agent,
    )
    return turn


def tell_start(tx: Tx, agent: str, turn: int, model: str) -> None:
    """Publish that a turn began, once its messages have joined it."""
    found = tx.execute(
        "SELECT id, sender FROM message WHERE recipient = ? AND state = 'held' "
        "AND turn = ? ORDER BY id LIMIT ?",
        *(agent, turn, _NAMED),
    ).fetchall()
    started = TurnStarted(
        turn=turn,
        model=model,
        messages=tuple(int(row[0]) for row in found),
        senders=tuple(dict.fromkeys(str(row[1]) for row in found)),
    )
    tx.emit(agent, started)


def lose_turns(tx: Tx, agent: str | None = None, turn: int | None = None) -> None:
    """End running turns that nobody will report: all, those of an agent, or one."""
    rows = tx.execute(
        "UPDATE turn INDEXED BY turn_open SET ended_at = ?, outcome = ?, reason = ? "
        "WHERE ended_at IS NULL AND (? IS NULL OR agent = ?) AND (? IS NULL OR id = ?) "
        "RETURNING id, agent",
        tx.now,
        TurnOutcome.FAILED.value,
        LOST,
        *(agent, agent),
        *(turn, turn),
    ).fetchall()
    for turn, name in rows:
        _note_end(tx, name, TurnOutcome.FAILED.value)
        _tell_end(tx, name, turn, TurnOutcome.FAILED, LOST)


def _tell_end(
    tx: Tx,
    agent: str,
    turn: int,
    outcome: TurnOutcome,
    reason: str | None,
    *,
    duration_ms: int = 0,
    steps: int = 0,
    cost_usd: float = 0.0,
    tokens: int = 0,
) -> None:
    ended = TurnEnded(
        turn=turn,
        outcome=outcome,
        reason=reason,
        duration_ms=duration_ms,
        steps=steps,
        cost_usd=cost_usd,
        tokens=tokens,
    )
    tx.emit(agent, ended)


def _note_end(tx: Tx, agent: str, outcome: str) -> None:
    tx.execute(
        "UPDATE agent_turns SET last_at = ?, last_outcome = ? WHERE agent = ?",
        tx.now,
        outcome,
        agent,
    )


def set_context_fill(tx: Tx, agent: str, fill: float) -> None:
    """Record how full the context was at the end of the last turn."""
    tx.execute("UPDATE agent_turns SET context_fill = ? WHERE agent = ?", fill, agent)


def end_turn(tx: Tx, agent: str, end: TurnEndParams) -> bool:
    """Record the end of a turn; False if it is not this agent's running turn."""
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
        _note_end(tx, agent, end.outcome.value)
        _tell_end(
            tx,
            agent,
            end.turn,
            end.outcome,
            end.reason,
            duration_ms=end.duration_ms,
            steps=end.steps,
            cost_usd=end.cost_usd,
            tokens=end.input_tokens + end.output_tokens,
        )
    return changed > 0


def turn_summaries(reader: Reader) -> dict[str, TurnSummary]:
    """Return a summary of each agent's turns."""
    rows = reader.execute(
        "SELECT agent, count, last_at, last_outcome, context_fill FROM agent_turns"
    )
    return {agent: TurnSummary(*rest) for agent, *rest in rows.fetchall()}


def forget_turns(tx: Tx, agent: str) -> None:
    """Delete the turns of a name that is gone for good; their cost stays."""
    tx.execute("DELETE FROM turn WHERE agent = ?", agent)
    tx.execute("DELETE FROM agent_turns WHERE agent = ?", agent)


def turns_since(tx: Tx, agent: str, since: float) -> tuple[int, float | None]:
    """Return the number of turns begun after ``since``, and the start of the first.

    Turns later than now do not count: the clock was set back after them.
    """
    row = tx.execute(
        "SELECT count(*), min(started_at) FROM turn WHERE agent = ? AND started_at > ? "
        "AND started_at <= ?",
        agent,
        since,
        tx.now,
    ).fetchone()
    return int(row[0]), row[1]


def last_models(reader: Reader) -> dict[str, str]:
    """Return the model of each agent's latest turn."""
    rows = reader.execute(
        "SELECT agent, model FROM turn WHERE id IN (SELECT max(id) FROM turn "
        "GROUP BY agent)"
    )
    return {str(name): str(model) for name, model in rows.fetchall()}
