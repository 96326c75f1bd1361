"""The first steps in a hive that has only its manager: how to create an agent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pyglue.api.common import Role
from pyglue.api.overview import AgentView

EXAMPLES: Final = (
    "What can you do, and what do you need me for?",
    (
        "Propose an agent called notes that keeps what I ask it to remember in a file, "
        "and answers questions about it."
    ),
    (
        "Propose an agent called review that reviews the newest commits of a "
        "repository. Ask me which one, and what it may do."
    ),
)
"""Suggested first messages to the manager."""


@dataclass(frozen=True, kw_only=True)
class FirstSteps:
    """Whether they are shown, and the example for the message form."""

    shown: bool
    examples: tuple[str, ...] = EXAMPLES
    chosen: str = ""


def first_steps(agents: Sequence[AgentView], example: str) -> FirstSteps:
    """Return the first steps; ``example`` is the number that a link named."""
    alone = len(agents) == 1 and agents[0].role is Role.MANAGER
    number = int(example) if example in {"1", "2", "3"} else 0
    return FirstSteps(shown=alone, chosen=EXAMPLES[number - 1] if number else "")
