"""The meaning of a turn's end: outcome, cause, and how long to wait.

Every way in which the CLI can end is classified here; ``turn`` asks for the verdict,
``loop`` for the wait. The CLI marks some errors as ``success``: ``subtype`` is never
trusted.
"""

import random
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from pyglue.api.common import AgentState
from pyglue.api.turns import TurnOutcome
from pyglue.errors import ErrorCode
from pyglue.harness.claude.stream_json import ResultMessage

_STATE_AFTER: Final = {
    TurnOutcome.RATE_LIMITED: AgentState.RATE_LIMITED,
    TurnOutcome.BUDGET: AgentState.NO_CREDIT,
    TurnOutcome.CANCELLED: AgentState.IDLE,
}
STATE_REFUSED: Final = {
    ErrorCode.RATE_LIMITED: AgentState.RATE_LIMITED,
    ErrorCode.OVER_BUDGET: AgentState.OVER_BUDGET,
    ErrorCode.PAUSED: AgentState.PAUSED,
    ErrorCode.MODEL_NOT_ALLOWED: AgentState.RETRYING,  # it was just changed
}
GIVEN_BACK: Final = frozenset(STATE_REFUSED)
"""Refusals of a turn after which hived itself requeues the messages."""
AUTH_TRIES: Final = 2
"""Turns that may fail without a login before the agent waits for one."""


class Suspect(Enum):
    """The possible cause of a failure, according to the CLI's report."""

    NOBODY = auto()
    """Any message would have failed: a limit, a login, the model provider."""
    MESSAGES = auto()
    REQUEST = auto()
    """The API refused the request: its messages, the conversation or something else."""
    CRASH = auto()
    """The CLI broke, perhaps because of the messages."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How a turn ended, and its possible cause (``session`` finds out).

    ``budget_used``: the CLI stopped at its budget. ``is_too_long``: the conversation
    did not fit, and the CLI could not shorten it. ``is_disk_full``: there was not
    enough free space to run it.
    """

    outcome: TurnOutcome
    reason: str | None = None
    suspect: Suspect = Suspect.NOBODY
    budget_used: bool = False
    is_too_long: bool = False
    is_disk_full: bool = False


@dataclass(frozen=True)
class Pauses:
    """Seconds to wait after unsuccessful turns; doubled each time."""

    first_s: float = 5.0
    longest_s: float = 600.0

    def after(self, failures: int) -> float:
        """Return the pause after that many failures in a row, with some jitter."""
        pause = min(self.first_s * 2.0 ** min(failures - 1, 30), self.longest_s)
        return pause * random.uniform(0.8, 1.2)  # noqa: S311


def state_after(verdict: Verdict) -> AgentState:
    """Return the state to wait in after an unsuccessful turn.

    hived decides about the hive's budgets, and the CLI's own is ``budget_used``; the
    remaining case is the provider's credit.
    """
    if verdict.budget_used:
        return AgentState.OVER_BUDGET
    if verdict.is_disk_full:
        return AgentState.DISK_FULL
    return _STATE_AFTER.get(verdict.outcome, AgentState.RETRYING)


def judge(result: ResultMessage, error: str | None) -> Verdict:
    """Classify the end of a turn; ``error`` is the CLI's name for the cause."""
    if not result.is_error:
        return Verdict(outcome=TurnOutcome.OK)
    why = result.result or "; ".join(result.errors or []) or result.subtype
    match result.terminal_reason, result.api_error_status, error:
        case "max_turns", _, _:
            return Verdict(
                outcome=TurnOutcome.MAX_TURNS, reason=why, suspect=Suspect.MESSAGES
            )
        case "budget_exhausted", _, _:
            return Verdict(outcome=TurnOutcome.BUDGET, reason=why, budget_used=True)
        case "prompt_too_long", _, _:
            return Verdict(
                outcome=TurnOutcome.FAILED,
                reason=why,
                suspect=Suspect.REQUEST,
                is_too_long=True,
            )
        case (_, 402, _) | (_, _, "billing_error"):
            return Verdict(outcome=TurnOutcome.BUDGET, reason=why)
        case (("aborted_streaming" | "aborted_tools"), _, _):
            return Verdict(outcome=TurnOutcome.CANCELLED, reason=why)
        case (_, (429 | 503 | 529), _) | (_, _, ("rate_limit" | "overloaded")):
            return Verdict(outcome=TurnOutcome.RATE_LIMITED, reason=why)
        case (_, (401 | 403), _) | (_, _, "authentication_failed"):
            return Verdict(outcome=TurnOutcome.AUTH, reason=why)
        case (_, (400 | 413 | 422), _) | (_, _, "invalid_request"):
            return Verdict(
                outcome=TurnOutcome.FAILED, reason=why, suspect=Suspect.REQUEST
            )
        case ("api_error", _, _) | (_, int(), _) | (_, _, str()):
            return Verdict(outcome=TurnOutcome.FAILED, reason=why)
    return Verdict(outcome=TurnOutcome.FAILED, reason=why, suspect=Suspect.CRASH)
