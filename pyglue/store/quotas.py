"""Agents' usage of their quotas, by the hour or the day (UTC).

One row per agent and quota, updated in the transaction that is counted: a write that is
refused or rolled back uses nothing, and a restart forgets nothing.
"""

from enum import StrEnum
from typing import Final

from pyglue.errors import ErrorCode, HiveError
from pyglue.store.database import Reader, Tx

HOUR_S: Final = 3600
DAY_S: Final = 86400


class Quota(StrEnum):
    """The kinds of quotas."""

    WRITTEN = "written"
    PROPOSALS = "proposals"
    PROPOSED = "proposed"
    OPERATIONS = "operations"
    EGRESS = "egress"
    """Traffic through hive-egress: counted afterwards (``add``), never taken."""


_WINDOWS: Final = {
    Quota.WRITTEN: DAY_S,
    Quota.PROPOSALS: HOUR_S,
    Quota.PROPOSED: DAY_S,
    Quota.OPERATIONS: HOUR_S,
    Quota.EGRESS: DAY_S,
}
_SENTENCES: Final = {
    Quota.WRITTEN: "{agent} has reached its limit of {limit} MiB of messages, "
    "questions and reminders today.",
    Quota.PROPOSALS: "{agent} has reached its limit of {limit} proposals an hour.",
    Quota.PROPOSED: "{agent} has reached its limit of {limit} MiB of proposals today.",
    Quota.OPERATIONS: "{agent} has reached its limit of {limit} operations an hour.",
}
_MIB: Final = 1024 * 1024
_IN_MIB: Final = frozenset({Quota.WRITTEN, Quota.PROPOSED})


def take(tx: Tx, agent: str, what: Quota, amount: int, limit: int | None) -> None:
    """Count ``amount`` (bytes or a number); a ``limit`` on bytes is in MiB.

    Raises:
        HiveError: ``rate_limited``, with the time to wait, if it exceeds the limit.
    """
    used, until = _used(tx, agent, what)
    most = None if limit is None else limit * (_MIB if what in _IN_MIB else 1)
    if most is not None and used + amount > most:
        wait = max(1, int(until - tx.now) + 1)
        sentence = _SENTENCES[what].format(agent=agent, limit=limit)
        raise HiveError(
            ErrorCode.RATE_LIMITED,
            f"{sentence} Wait {wait} s, or ask the operator to raise the quota.",
            details={"retry_after_s": wait, "quota": what.value},
        )
    add(tx, agent, what, amount)


def add(tx: Tx, agent: str, what: Quota, amount: int) -> None:
    """Count something that has already happened, whatever the limit."""
    window = _WINDOWS[what]
    tx.execute(
        "INSERT INTO quota (agent, what, since, used) VALUES (?1, ?2, ?3, ?4) "
        "ON CONFLICT (agent, what) DO UPDATE SET since = ?3, "
        "used = CASE WHEN since = ?3 THEN used ELSE 0 END + ?4",
        agent,
        what.value,
        int(tx.now // window) * window,
        amount,
    )


def used_up(reader: Reader | Tx, what: Quota, limit: int, now: float) -> dict[str, int]:
    """Return the agents that used up ``limit`` MiB, and when (Unix time) it resets."""
    window = _WINDOWS[what]
    since = int(now // window) * window
    rows = reader.execute(
        "SELECT agent FROM quota WHERE what = ? AND since = ? AND used >= ?",
        what.value,
        since,
        limit * _MIB,
    )
    return {str(row[0]): since + window for row in rows}


def forget(tx: Tx, agent: str) -> None:
    """Delete the usage of a name that is gone for good."""
    tx.execute("DELETE FROM quota WHERE agent = ?", agent)


def _used(tx: Tx, agent: str, what: Quota) -> tuple[int, float]:
    window = _WINDOWS[what]
    since = int(tx.now // window) * window
    row = tx.execute(
        "SELECT used FROM quota WHERE agent = ? AND what = ? AND since = ?",
        agent,
        what.value,
        since,
    ).fetchone()
    return (0 if row is None else int(row[0])), float(since + window)
