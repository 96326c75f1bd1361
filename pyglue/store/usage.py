"""What requests to the model cost: reserved before, settled after."""

from peewee import fn

from pyglue.api.relay import SettleParams
from pyglue.store.database import Reader, Tx
from pyglue.store.models import UsageModel


def spent(tx: Tx | Reader, agent: str, since: float) -> float:
    """Return the dollars spent or set aside by an agent since ``since``."""
    query = UsageModel.select(fn.SUM(UsageModel.cost_usd)).where(
        UsageModel.agent == agent, UsageModel.at >= since
    )
    return float(query.scalar(tx.db) or 0.0)


def spent_by_agent(reader: Reader, since: float) -> dict[str, float]:
    """Return the dollars of every agent since ``since``."""
    rows = (
        UsageModel.select(UsageModel.agent, fn.SUM(UsageModel.cost_usd))
        .where(UsageModel.at >= since)
        .group_by(UsageModel.agent)
        .tuples()
        .execute(reader.db)
    )
    return {agent: float(cost) for agent, cost in rows}


def reserve(
    tx: Tx, *, agent: str, turn: int | None, model: str, cost_usd: float
) -> int:
    """Set money aside and return the reservation's id."""
    number: int = UsageModel.insert(
        agent=agent, turn=turn, model=model, at=tx.now, settled=False, cost_usd=cost_usd
    ).execute(tx.db)
    return number


def settle(tx: Tx, params: SettleParams) -> None:
    """Replace a reservation by what was used; a second time changes nothing."""
    UsageModel.update(
        settled=True,
        status=params.status,
        cost_usd=params.cost_usd,
        input_tokens=params.input_tokens,
        output_tokens=params.output_tokens,
        cache_read_tokens=params.cache_read_tokens,
        cache_write_tokens=params.cache_write_tokens,
    ).where(
        UsageModel.id == params.reservation,
        UsageModel.settled == False,  # noqa: E712 - a column, not a truth value
    ).execute(tx.db)
