"""What an agent is doing right now, in words, for its row on the overview.

A tool call is its harness's claim, and shown as text; ``steps.js`` keeps it up to date.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pyglue.api.common import AgentState
from pyglue.api.overview import AgentView
from pyglue.api.questions import QuestionView
from pyglue.names import OPERATOR

_AT_WORK: Final = {
    AgentState.THINKING: "thinks",
    AgentState.COMPACTING: "compacts its session",
    AgentState.STARTING: "starts",
}


@dataclass(frozen=True, kw_only=True)
class Doing:
    """The words; ``call`` is the ID of a running turn's tool call."""

    text: str
    since_at: float | None = None
    call: str | None = None
    is_late: bool = False


NOTHING: Final = Doing(text="")


@dataclass(frozen=True)
class Activity:
    """What all agents are doing; ``asked`` names whom each one is waiting for."""

    asked: dict[str, tuple[str, float]]

    def of(self, agent: AgentView) -> Doing:
        """Return what ``agent`` is doing."""
        step = agent.step
        if step is not None:
            text = step.doing or f"uses {step.text}"
            return Doing(
                text=text, since_at=step.since_at, call=step.call, is_late=step.is_late
            )
        if agent.state in _AT_WORK:
            return Doing(text=_AT_WORK[agent.state])
        if agent.state is AgentState.IDLE and agent.name in self.asked:
            whom, since = self.asked[agent.name]
            who = "your" if whom == OPERATOR else f"{whom}'s"
            return Doing(text=f"waits for {who} answer", since_at=since)
        return NOTHING


def activity(questions: Iterable[QuestionView]) -> Activity:
    """Return it; ``questions`` are all open questions."""
    asked: dict[str, tuple[str, float]] = {}
    for one in questions:
        if not one.answered_at:
            asked.setdefault(one.asker, (one.to, one.asked_at))
    return Activity(asked)
