"""The row of counts above the agents table: each is a link that filters by it.

The counts cover the agents that match the filter's text, so that a click shows as many
agents as its chip says.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from pyglue.api.common import AgentState
from pyglue.api.overview import AgentView
from pyglue.web.pages.agent_filter import NEEDS_YOU, WORKING, AgentFilter

_ALWAYS: Final = (
    ("All", ""),
    ("Working", WORKING),
    ("Needs you", NEEDS_YOU),
    ("Idle", AgentState.IDLE),
    ("Stopped", AgentState.STOPPED),
)
_IF_ANY: Final = (("Paused", AgentState.PAUSED),)


@dataclass(frozen=True, kw_only=True)
class Chip:
    """A link to ``query``, which shows ``count`` agents."""

    label: str
    count: int
    state: str
    query: str
    is_current: bool


def chips(
    chosen: AgentFilter, agents: tuple[AgentView, ...], needy: Collection[str]
) -> tuple[Chip, ...]:
    """Return the chips of ``agents``, of which ``needy`` need the operator."""
    found = replace(chosen, state="", sort="").choose(agents)
    made = [
        Chip(
            label=label,
            count=sum(one.is_in_state(agent, needy) for agent in found),
            state=state,
            query=one.query,
            is_current=chosen.state == state,
        )
        for label, state in (*_ALWAYS, *_IF_ANY)
        for one in [replace(chosen, state=state)]
    ]
    always, rest = made[: len(_ALWAYS)], made[len(_ALWAYS) :]
    return (*always, *(one for one in rest if one.count or one.is_current))
