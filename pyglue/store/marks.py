"""Marks of the messages in the operator's inbox: unread, read, done.

A mark is the message's state: an unread one is ``waiting``, so that only unread ones
count towards the limits of an inbox. What is read or done may be deleted in time.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from pyglue.api.events import MessageMarked
from pyglue.api.messages import Mark
from pyglue.errors import ErrorCode, HiveError
from pyglue.store.database import Tx

_STATES: Final = {Mark.UNREAD: "waiting", Mark.READ: "read", Mark.DONE: "done"}
_MARKS: Final = {state: mark for mark, state in _STATES.items()}
_WAITING, _READ = (
    f"message INDEXED BY message_{state} WHERE recipient = ? AND state = '{state}'"
    for state in ("waiting", "read")
)
_UP_TO: Final = {Mark.READ: (_WAITING,), Mark.DONE: (_WAITING, _READ)}
"""The messages that a mark of all up to one changes."""


def of_state(state: str) -> Mark:
    """Return the mark of a message in the operator's inbox; a dropped one is done."""
    return _MARKS.get(state, Mark.DONE)


def mark(
    tx: Tx,
    recipient: str,
    as_: Mark,
    *,
    ids: Sequence[int] = (),
    up_to: int | None = None,
) -> None:
    """Mark messages ``ids``, and all up to ``up_to`` that are not as far.

    Raises:
        HiveError: ``not_found`` if none of ``ids`` is in that inbox, ``bad_request``
            for ``up_to`` with a mark that it does not go with.
    """
    rows = tx.execute(
        "SELECT id, state FROM message WHERE recipient = ? AND id IN "
        "(SELECT value FROM json_each(?))",
        *(recipient, json.dumps(list(ids))),
    ).fetchall()
    if ids and not rows:
        numbers = ", ".join(map(str, ids))
        raise HiveError(
            ErrorCode.NOT_FOUND, f"There is no message {numbers} in this inbox."
        )
    if up_to is not None:
        if as_ not in _UP_TO:
            raise HiveError(
                ErrorCode.BAD_REQUEST,
                f"Messages cannot be marked {as_.value} by up_to: give their ids.",
            )
        for part in _UP_TO[as_]:
            rows += tx.execute(
                f"SELECT id, state FROM {part} AND id <= ?", recipient, up_to
            ).fetchall()
    _set(tx, recipient, as_, {int(number): str(state) for number, state in rows})


def answered(tx: Tx, recipient: str, number: int) -> None:
    """Mark a message done that was answered, if it is in that inbox."""
    rows = tx.execute(
        "SELECT id, state FROM message WHERE recipient = ? AND id = ?",
        *(recipient, number),
    ).fetchall()
    _set(tx, recipient, Mark.DONE, {int(one): str(state) for one, state in rows})


def _set(tx: Tx, recipient: str, as_: Mark, states: Mapping[int, str]) -> None:
    """Mark these messages, whose states are known; only what changes is published."""
    changed = sorted(one for one, state in states.items() if of_state(state) != as_)
    tx.execute(
        "UPDATE message SET state = ?, done_at = CASE WHEN ? THEN NULL "
        "ELSE coalesce(done_at, ?) END WHERE id IN (SELECT value FROM json_each(?))",
        *(_STATES[as_], as_ is Mark.UNREAD, tx.now, json.dumps(changed)),
    )
    for number in changed:
        tx.emit(recipient, MessageMarked(id=number, mark=as_))
