"""The order of the agents table: a column, and whether it is reversed.

The order is the page's own (``?sort=cost``, reversed ``?sort=-cost``), so it works
without scripts, and every link and fragment of the table carries it on. Each column
begins with what an operator looks for first: the most expensive, newest, most urgent.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pyglue.api.common import AgentState
from pyglue.api.overview import AgentView

_URGENT_FIRST: Final = (
    AgentState.FAILED,
    AgentState.NEEDS_LOGIN,
    AgentState.NO_CREDIT,
    AgentState.OVER_BUDGET,
    AgentState.DISK_FULL,
    AgentState.RATE_LIMITED,
    AgentState.RETRYING,
    AgentState.PAUSED,
    AgentState.THINKING,
    AgentState.COMPACTING,
    AgentState.STARTING,
    AgentState.STOPPING,
    AgentState.IDLE,
    AgentState.STOPPED,
)
_RANK: Final = {state: at for at, state in enumerate(_URGENT_FIRST)}


@dataclass(frozen=True, kw_only=True)
class Column:
    """A sortable column: its heading, and both orders in words.

    Agents are compared by ``value``; those without one always come last.
    ``starts_high``: the highest value comes first.
    """

    head: str
    first: str
    reverse: str
    value: Callable[[AgentView], Any]
    starts_high: bool = False


COLUMNS: Final = {
    "name": Column(
        head="Agent", first="A to Z", reverse="Z to A", value=lambda one: one.name
    ),
    "state": Column(
        head="State",
        first="most urgent first",
        reverse="most urgent last",
        value=lambda one: (_RANK[one.state], one.since_at),
    ),
    "model": Column(
        head="Model", first="A to Z", reverse="Z to A", value=lambda one: one.model
    ),
    "context": Column(
        head="Context",
        first="fullest first",
        reverse="emptiest first",
        value=lambda one: one.context_fill,
        starts_high=True,
    ),
    "inbox": Column(
        head="Inbox",
        first="most first",
        reverse="fewest first",
        value=lambda one: one.inbox,
        starts_high=True,
    ),
    "turn": Column(
        head="Last turn",
        first="newest first",
        reverse="oldest first",
        value=lambda one: one.last_turn_at,
        starts_high=True,
    ),
    "cost": Column(
        head="Cost today",
        first="highest first",
        reverse="lowest first",
        value=lambda one: one.cost_today_usd,
        starts_high=True,
    ),
}
CHOICES: Final = tuple(
    (sign + name, f"{column.head}: {words}")
    for name, column in COLUMNS.items()
    for sign, words in (("", column.first), ("-", column.reverse))
)
"""All orders, by their name in a query, with their description."""
KNOWN: Final = frozenset(word for word, _ in CHOICES)


def ordered(agents: tuple[AgentView, ...], sort: str) -> tuple[AgentView, ...]:
    """Return ``agents`` in the order ``sort`` if ``KNOWN`` has it, else unchanged."""
    if sort not in KNOWN:
        return agents
    column = COLUMNS[sort.removeprefix("-")]
    has = [one for one in agents if column.value(one) is not None]
    is_high = column.starts_high is not sort.startswith("-")
    has.sort(key=column.value, reverse=is_high)
    return (*has, *(one for one in agents if column.value(one) is None))


def direction(name: str, sort: str) -> str | None:
    """Return how column ``name`` is sorted, as a value of ``aria-sort``, if it is."""
    if sort.removeprefix("-") != name or sort not in KNOWN:
        return None
    is_high = COLUMNS[name].starts_high is not sort.startswith("-")
    return "descending" if is_high else "ascending"
