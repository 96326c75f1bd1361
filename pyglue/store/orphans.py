"""Open rows whose owner is gone, and how to close each of them.

Only hived's memory knows which owners exist: ``Live``. ``find`` runs on the writer's
thread, after every write that was queued when ``Live`` was taken.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pyglue.api.questions import QuestionEnd
from pyglue.names import OPERATOR, SYSTEM
from pyglue.store import leases, questions, reminders
from pyglue.store.database import Tx


class Left(StrEnum):
    """The kinds of rows."""

    LEASED = "held"
    """A message leased by a connection that is gone."""
    LEASED_IN_TURN = "held_in_turn"
    """A message leased by a turn that nobody runs."""
    TURN = "turn"
    """A turn that nobody runs."""
    MESSAGE = "message"
    """A message to a name that is gone."""
    QUESTION = "question"
    """An open question from or to a name that is gone."""
    REMINDER = "reminder"
    """A reminder of a name that is gone."""


@dataclass(frozen=True)
class Live:
    """The existing owners: tokens of connections, and each agent's running turn."""

    holders: frozenset[str]
    turns: Mapping[str, int]


@dataclass(frozen=True, order=True, kw_only=True)
class Orphan:
    """A row that nobody will close; ``turn`` if one holds it."""

    agent: str
    kind: Left
    id: int
    turn: int | None = None
    holder: str | None = None


def find(tx: Tx, live: Live) -> frozenset[Orphan]:
    """Return all of them."""
    held = tx.execute(
        "SELECT recipient, id, holder, turn FROM message WHERE state = 'held'"
    ).fetchall()
    opened = tx.execute("SELECT agent, id FROM turn WHERE ended_at IS NULL").fetchall()
    found = [
        Orphan(agent=agent, kind=Left.TURN, id=number)
        for agent, number in opened
        if live.turns.get(agent) != number
    ]
    for agent, number, holder, turn in held:
        if turn is not None and live.turns.get(agent) != turn:
            found.append(
                Orphan(
                    agent=agent,
                    kind=Left.LEASED_IN_TURN,
                    id=number,
                    turn=turn,
                    holder=holder,
                )
            )
        elif turn is None and holder not in live.holders:
            found.append(
                Orphan(
                    agent=agent, kind=Left.LEASED, id=number, turn=None, holder=holder
                )
            )
    return frozenset((*found, *_of_nobody(tx)))


def _of_nobody(tx: Tx) -> Iterator[Orphan]:
    """Yield rows from or to a name that neither exists nor is kept."""
    rows = tx.execute(
        "SELECT name FROM agent UNION SELECT name FROM kept UNION SELECT name FROM "
        "draft UNION SELECT agent FROM operation WHERE state IN ('queued', 'running')"
    )
    known = {OPERATOR, SYSTEM, *(name for (name,) in rows.fetchall())}
    names = tx.execute(
        "SELECT DISTINCT recipient FROM message WHERE state IN ('waiting', 'held')"
    ).fetchall()
    for (name,) in names:
        if name not in known:
            lost = tx.execute(
                "SELECT id FROM message WHERE recipient = ? AND "
                "state IN ('waiting', 'held')",
                name,
            )
            yield from (
                Orphan(agent=name, kind=Left.MESSAGE, id=n) for (n,) in lost.fetchall()
            )
    asked = tx.execute(
        "SELECT asker, recipient, id FROM question WHERE answered_at IS NULL"
    ).fetchall()
    for asker, to, number in asked:
        if not known.issuperset((asker, to)):
            yield Orphan(agent=asker, kind=Left.QUESTION, id=number)
    due = tx.execute("SELECT agent, id FROM reminder").fetchall()
    for agent, number in due:
        if agent not in known:
            yield Orphan(agent=agent, kind=Left.REMINDER, id=number)


def close(tx: Tx, orphan: Orphan) -> None:
    """Close one, unless it has been closed in the meantime.

    Not a turn: only hived's transitions end those.
    """
    match orphan.kind:
        case Left.LEASED | Left.LEASED_IN_TURN:
            leases.release_one(tx, orphan.id, holder=orphan.holder, turn=orphan.turn)
        case Left.MESSAGE:
            leases.give_up(tx, orphan.id)
        case Left.QUESTION:
            question = questions.get(tx, orphan.id)
            if question.answered_at is None:
                questions.close(tx, orphan.id, None, SYSTEM, QuestionEnd.CANCELLED)
        case Left.REMINDER:
            reminders.remove(tx, orphan.id)
