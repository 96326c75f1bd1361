"""The overview's agent filter: by text and by state or group of states, in an order.

The query is the page's own (``?q=&state=&sort=``), so it works without scripts, and
every link and fragment of the list carries it on.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from pyglue.api.common import AgentState
from pyglue.api.control import BlockReason
from pyglue.api.overview import AgentView
from pyglue.web.pages import agent_order

ATTENTION: Final = "attention"
"""Not a state of its own: every agent that needs attention."""
NEEDS_YOU: Final = "needs-you"
"""Not a state either: every agent that the queue "Needs you" names."""
WORKING: Final = "working"
"""Nor this: every agent that is busy."""
CHOICES: Final = (NEEDS_YOU, ATTENTION, WORKING, *AgentState)
_BUSY: Final = frozenset(
    {
        AgentState.THINKING,
        AgentState.COMPACTING,
        AgentState.STARTING,
        AgentState.STOPPING,
    }
)
_STUCK: Final = frozenset(
    {
        AgentState.FAILED,
        AgentState.NEEDS_LOGIN,
        AgentState.OVER_BUDGET,
        AgentState.NO_CREDIT,
        AgentState.DISK_FULL,
        AgentState.RATE_LIMITED,
        AgentState.RETRYING,
    }
)
_NOT_RESUMED: Final = frozenset(
    {
        BlockReason.STOPPED,
        BlockReason.HIVE_PAUSED,
        BlockReason.STARTING,
        BlockReason.FAILED,
    }
)
_WORDS_MAX: Final = 8


@dataclass(frozen=True)
class AgentFilter:
    """A search for agents, and the order of the result."""

    q: str = ""
    state: str = ""
    sort: str = ""

    @property
    def query(self) -> str:
        """Return the search as the query of an address: ``?q=…`` or nothing."""
        named = (("q", self.q), ("state", self.state), ("sort", self.sort))
        asked = [(k, v) for k, v in named if v]
        return f"?{urlencode(asked)}" if asked else ""

    @property
    def is_search(self) -> bool:
        """Return whether it may leave out agents."""
        return bool(self.q or self.state)

    @property
    def everyone(self) -> str:
        """Return the query of all agents in the same order."""
        return AgentFilter(sort=self.sort).query

    def by(self, column: str) -> str:
        """Return the query for these agents by ``column``, or its reverse."""
        sort = f"-{column}" if self.sort == column else column
        return replace(self, sort=sort).query

    def head(self, column: str) -> str:
        """Return the heading of ``column``."""
        return agent_order.COLUMNS[column].head

    def direction(self, column: str) -> str | None:
        """Return how ``column`` is sorted, as a value of ``aria-sort``."""
        return agent_order.direction(column, self.sort)

    def choose(
        self, agents: tuple[AgentView, ...], needy: Collection[str] = ()
    ) -> tuple[AgentView, ...]:
        """Return the agents that match every word and the state, in order.

        ``needy`` are the names of those that need the operator.
        """
        words = self.q.casefold().split()[:_WORDS_MAX]
        found = tuple(
            one
            for one in agents
            if self.is_in_state(one, needy)
            and (not words or all(word in _text(one) for word in words))
        )
        return agent_order.ordered(found, self.sort)

    def is_in_state(self, agent: AgentView, needy: Collection[str]) -> bool:
        """Return whether ``agent`` matches the state."""
        match self.state:
            case "":
                return True
            case "needs-you":
                return agent.name in needy
            case "attention":
                return needs_attention(agent)
            case "working":
                return agent.state in _BUSY
            case "paused":
                return agent.paused or agent.state is AgentState.PAUSED
        return agent.state == self.state


def needs_attention(agent: AgentView) -> bool:
    """Return whether ``agent`` needs attention."""
    return (
        agent.state in _STUCK
        or agent.needs_update
        or agent.problem is not None
        or agent.port_conflict is not None
    )


def is_stuck(agent: AgentView) -> bool:
    """Return whether ``agent`` runs no turns for a reason besides its operator."""
    return agent.state in _STUCK


def resumable(agent: AgentView) -> bool:
    """Return whether resuming may help ``agent``; if not, hived says why.

    Not while the whole hive is paused: the banner resumes that.
    """
    if agent.blocked is not None and agent.blocked.reason in _NOT_RESUMED:
        return False
    blocked = agent.blocked is not None or agent.paused
    return blocked or (is_stuck(agent) and agent.state is not AgentState.FAILED)


def _text(agent: AgentView) -> str:
    words = (agent.name, agent.state.replace("_", " "), agent.model, agent.description)
    return "\n".join((*words, agent.detail or "", agent.problem or "")).casefold()
