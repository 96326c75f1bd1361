"""The cost of requests to the model: reserved in advance, settled afterwards."""

from dataclasses import dataclass
from typing import Final

from peewee import Expression, fn

from pyglue.api.relay import ReserveParams, SettleParams
from pyglue.store.database import Reader, Tx
from pyglue.store.models import UsageModel

DAY_S: Final = 86400.0
_DIGITS: Final = 9
"""Decimal digits of sums: rounding removes the remainders of floating point."""


@dataclass(frozen=True, kw_only=True)
class Orphan:
    """A reservation whose relay is gone, with the reserved amount."""

    id: int
    cost_usd: float
    input_tokens: int
    output_tokens: int
    account: str | None


def _on(day: float) -> Expression:
    """Limit a query to one day: later rows are from before the clock was set back."""
    return (UsageModel.at >= day) & (UsageModel.at < day + DAY_S)


def spent(tx: Tx | Reader, agent: str, day: float) -> float:
    """Return the dollars spent or reserved by an agent on the day since ``day``."""
    query = UsageModel.select(fn.SUM(UsageModel.cost_usd)).where(
        UsageModel.agent == agent, _on(day)
    )
    return float(query.scalar(tx.db) or 0.0)


def spent_by_agent(reader: Reader, day: float) -> dict[str, float]:
    """Return the dollars of every agent on the day (UTC) that began at ``day``."""
    rows = reader.execute(
        "SELECT agent, cost_usd FROM cost_day WHERE day = ?", int(day // DAY_S)
    )
    return {str(agent): round(cost, _DIGITS) for agent, cost in rows.fetchall()}


def spent_between(reader: Reader, since: float, until: float) -> dict[str, float]:
    """Return the dollars of every agent's finished requests that began in between.

    What is only reserved does not count: it is far more than most requests cost.
    """
    rows = reader.execute(
        "SELECT agent, sum(cost_usd) FROM usage INDEXED BY usage_by_time "
        "WHERE at >= ? AND at <= ? AND settled = 1 GROUP BY agent",
        since,
        until,
    )
    return {str(agent): round(cost, _DIGITS) for agent, cost in rows.fetchall()}


def spent_by_account(reader: Reader, day: float) -> dict[str | None, float]:
    """Return the dollars of every account on the day since ``day``.

    None: requests from before hives had several accounts.
    """
    rows = (
        UsageModel.select(UsageModel.account, fn.SUM(UsageModel.cost_usd))
        .where(_on(day))
        .group_by(UsageModel.account)
        .tuples()
        .execute(reader.db)
    )
    return {account: float(cost) for account, cost in rows}


def tokens(tx: Tx | Reader, agent: str, day: float) -> int:
    """Return the tokens read, written or reserved by an agent since ``day``."""
    every = (
        UsageModel.input_tokens
        + UsageModel.output_tokens
        + UsageModel.cache_read_tokens
        + UsageModel.cache_write_tokens
    )
    query = UsageModel.select(fn.TOTAL(every)).where(  # a sum that never overflows
        UsageModel.agent == agent, _on(day)
    )
    return int(query.scalar(tx.db) or 0)


def reserve(
    tx: Tx, params: ReserveParams, turn: int | None, account: str | None = None
) -> int:
    """Reserve money and tokens and return the ID of the reservation."""
    number: int = UsageModel.insert(
        agent=params.agent,
        turn=turn,
        model=params.model,
        at=tx.now,
        settled=False,
        cost_usd=params.cost_usd,
        input_tokens=params.input_tokens,
        output_tokens=params.output_tokens,
        account=account,
    ).execute(tx.db)
    return number


def orphans(tx: Tx, open_ones: frozenset[int]) -> tuple[Orphan, ...]:
    """Return the open reservations that no relay will settle."""
    rows = (
        UsageModel.select()
        .where(UsageModel.settled == False)  # noqa: E712 - a column
        .execute(tx.db)
    )
    return tuple(
        Orphan(
            id=row.id,
            cost_usd=row.cost_usd,
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
            account=row.account,
        )
        for row in rows
        if row.id not in open_ones
    )


def settle(tx: Tx, params: SettleParams) -> tuple[str, int | None] | None:
    """Replace a reservation with the actual usage; idempotent.

    Return its agent and turn; None if there is no such reservation.
    """
    UsageModel.update(
        settled=True,
        status=params.status,
        cost_usd=params.cost_usd,
        input_tokens=params.input_tokens,
        output_tokens=params.output_tokens,
        cache_read_tokens=params.cache_read_tokens,
        cache_write_tokens=params.cache_write_tokens,
        account=params.account,
    ).where(
        UsageModel.id == params.reservation,
        UsageModel.settled == False,  # noqa: E712 - a column, not a truth value
    ).execute(tx.db)
    found = tx.execute(
        "SELECT agent, turn FROM usage WHERE id = ?", params.reservation
    ).fetchone()
    return None if found is None else (str(found[0]), found[1])
