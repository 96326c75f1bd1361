"""Whether a name is free: the one check behind every way to create an agent.

``names.check_new`` checks the form of a name; this module checks for conflicts. It runs
in the transaction that takes the name, so that one of two concurrent callers is
refused.
"""

from pyglue.errors import ErrorCode, HiveError
from pyglue.store import agents, approvals, drafts, kept, operations
from pyglue.store.database import Reader, Tx


def check_free(reader: Reader | Tx, name: str, *, again: bool = False) -> None:
    """Refuse a name that is already in use.

    ``again``: accept an agent whose first deploy failed, so it can be proposed again.

    Raises:
        HiveError: ``name_taken``, with what uses it and what to do.
    """
    row = agents.find(reader, name)
    if row is not None and not (again and row.record is None):
        raise _taken(
            f"There is already an agent {name!r}. Choose another name, or propose a "
            "change to it."
        )
    if drafts.get(reader, name) is not None:
        raise _taken(
            f"There is already a draft {name!r}: propose its first commit, or discard "
            "the draft."
        )
    if kept.get(reader, name) is not None:
        raise _taken(
            f"{name!r} was destroyed and its state is kept: restore or purge it, or "
            "choose another name."
        )
    waiting = approvals.pending(reader, name)
    if waiting:
        raise _taken(
            f"An approval for {name!r} is already pending ({waiting[0].id}). Decide "
            "or withdraw it first."
        )
    busy = operations.open_of(reader, name)
    if busy is not None:
        raise _taken(
            f"Operation {busy.id} ({busy.kind.value}) of {name!r} has not finished. "
            "Try again when it has."
        )


def known(reader: Reader) -> frozenset[str]:
    """Return every name in use."""
    rows = reader.execute(
        "SELECT name FROM agent UNION SELECT name FROM draft UNION SELECT name FROM "
        "kept UNION SELECT agent FROM approval WHERE state IN ('pending', 'approved', "
        "'building') UNION SELECT agent FROM operation WHERE state IN ('queued', "
        "'running')"
    )
    return frozenset(str(row[0]) for row in rows.fetchall())


def _taken(sentence: str) -> HiveError:
    return HiveError(ErrorCode.NAME_TAKEN, sentence)
