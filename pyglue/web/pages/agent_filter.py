"""The overview's agent filter: by text and by state.

The query is the page's own (``?q=&state=``), so it works without scripts, and every
link and fragment of the list carries it on.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from pyglue.api.common import AgentState
from pyglue.api.control import BlockReason
from pyglue.api.overview import AgentView

ATTENTION: Final = "attention"
"""Not a state of its own: everything that somebody should look at."""
CHOICES: Final = (ATTENTION, *AgentState)
_TROUBLE: Final = frozenset(
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
    """A search of the agents."""

    q: str = ""
    state: str = ""

    @property
    def query(self) -> str:
        """Return the search as the end of an address: ``?q=…`` or nothing."""
        asked = [(k, v) for k, v in (("q", self.q), ("state", self.state)) if v]
        return f"?{urlencode(asked)}" if asked else ""

    def choose(self, agents: tuple[AgentView, ...]) -> tuple[AgentView, ...]:
        """Return the agents that every word and the state are true of."""
        words = self.q.casefold().split()[:_WORDS_MAX]
        return tuple(
            one
            for one in agents
            if self._is_in_state(one)
            and (not words or all(word in _text(one) for word in words))
        )

    def _is_in_state(self, agent: AgentView) -> bool:
        match self.state:
            case "":
                return True
            case "attention":
                return needs_attention(agent)
            case "paused":
                return agent.paused or agent.state is AgentState.PAUSED
        return agent.state == self.state


def needs_attention(agent: AgentView) -> bool:
    """Tell whether somebody should look at ``agent``."""
    return (
        agent.state in _TROUBLE
        or agent.needs_update
        or agent.problem is not None
        or agent.port_conflict is not None
    )


def in_trouble(agent: AgentView) -> bool:
    """Tell whether ``agent`` runs no turn for a reason that is not its operator's."""
    return agent.state in _TROUBLE


def resumable(agent: AgentView) -> bool:
    """Tell whether a resume is what may help ``agent``; hived says why if it does not.

    Not while the whole hive is paused: the banner resumes that.
    """
    if agent.blocked is not None and agent.blocked.reason in _NOT_RESUMED:
        return False
    held = agent.blocked is not None or agent.paused
    return held or (in_trouble(agent) and agent.state is not AgentState.FAILED)


def _text(agent: AgentView) -> str:
    said = (agent.name, agent.state.replace("_", " "), agent.model, agent.description)
    return "\n".join((*said, agent.detail or "", agent.problem or "")).casefold()
