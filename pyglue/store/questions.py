"""Questions and their answers."""

import msgspec
from peewee import SQL, fn

from pyglue import strict_json
from pyglue.api.events import QuestionAnswered, QuestionAsked
from pyglue.api.questions import QuestionEnd, QuestionView
from pyglue.errors import ErrorCode, HiveError
from pyglue.store.database import Reader, Tx
from pyglue.store.models import QuestionModel


def _view(row: QuestionModel) -> QuestionView:
    return QuestionView(
        id=row.id,
        asker=row.asker,
        to=row.recipient,
        question=row.question,
        options=strict_json.read(bytes(row.options), tuple[str, ...]),
        multi=bool(row.multi),
        asked_at=row.asked_at,
        expires_at=row.expires_at,
        answered_at=row.answered_at,
        answer=row.answer,
        ended=None if row.ended is None else QuestionEnd(row.ended),
    )


def insert(
    tx: Tx,
    *,
    asker: str,
    to: str,
    question: str,
    options: tuple[str, ...],
    multi: bool,
    expires_at: float | None,
) -> int:
    """Store an open question and return its ID."""
    number: int = QuestionModel.insert(
        asker=asker,
        recipient=to,
        question=question,
        options=msgspec.json.encode(options),
        multi=multi,
        asked_at=tx.now,
        expires_at=expires_at,
    ).execute(tx.db)
    tx.emit(asker, QuestionAsked(question=number, to=to))
    return number


def find(reader: Reader, number: int) -> QuestionView | None:
    """Return a question, or None."""
    query = QuestionModel.select().where(QuestionModel.id == number)
    return next((_view(row) for row in query.execute(reader.db)), None)


def get(tx: Tx | Reader, number: int) -> QuestionView:
    """Return a question.

    Raises:
        HiveError: ``not_found``.
    """
    rows = list(QuestionModel.select().where(QuestionModel.id == number).execute(tx.db))
    if not rows:
        raise HiveError(ErrorCode.NOT_FOUND, f"There is no question {number}.")
    return _view(rows[0])


def close(tx: Tx, number: int, answer: str | None, by: str, ended: QuestionEnd) -> None:
    """Record the answer; None if the question ended without one."""
    QuestionModel.update(answered_at=tx.now, answer=answer, ended=ended.value).where(
        QuestionModel.id == number
    ).execute(tx.db)
    expired = ended is QuestionEnd.EXPIRED
    event = QuestionAnswered(question=number, expired=expired, ended=ended)
    tx.emit(by, event)


def open_with(reader: Reader | Tx, name: str) -> tuple[QuestionView, ...]:
    """Return the open questions from and to ``name``, oldest first."""
    rows = (
        QuestionModel.select()
        .where(
            QuestionModel.answered_at.is_null(),
            (QuestionModel.asker == name) | (QuestionModel.recipient == name),
        )
        .order_by(QuestionModel.id)
        .execute(reader.db)
    )
    return tuple(_view(row) for row in rows)


def expired(reader: Reader, now: float) -> tuple[QuestionView, ...]:
    """Return open questions that have expired."""
    rows = (
        QuestionModel.select()
        .where(QuestionModel.answered_at.is_null(), QuestionModel.expires_at <= now)
        .execute(reader.db)
    )
    return tuple(_view(row) for row in rows)


def next_expiry(reader: Reader) -> float | None:
    """Return when the next open question expires."""
    query = QuestionModel.select(fn.MIN(QuestionModel.expires_at)).where(
        QuestionModel.answered_at.is_null()
    )
    found: float | None = query.scalar(reader.db)
    return found


def open_of(tx: Reader | Tx, asker: str) -> int:
    """Return the number of open questions from ``asker``."""
    query = QuestionModel.select().where(
        QuestionModel.asker == asker, QuestionModel.answered_at.is_null()
    )
    return int(query.count(tx.db))


def recent(reader: Reader, limit: int = 100) -> tuple[QuestionView, ...]:
    """Return the open questions, then the latest answered ones."""
    rows = (
        QuestionModel.select()
        .order_by(SQL("answered_at IS NOT NULL"), QuestionModel.id.desc())
        .limit(limit)
        .execute(reader.db)
    )
    return tuple(_view(row) for row in rows)


def open_count(reader: Reader, to: str) -> int:
    """Return the number of open questions to ``to``."""
    query = QuestionModel.select().where(
        QuestionModel.recipient == to, QuestionModel.answered_at.is_null()
    )
    return int(query.count(reader.db))
