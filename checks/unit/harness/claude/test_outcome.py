"""Verdicts on turns in which something other than the model answered.

``recorded_answers.json`` is what the CLI reported for each answer of the kit, in a
first turn, a resumed one and between two calls of the model. The answers themselves are
given to the real CLI in the end-to-end tests.
"""

from typing import Any

import pytest

from checks.kits.harness.answers import NOT_THE_MAILS, RECOVERS
from checks.kits.harness.recorded import RECORDED, result
from pyglue.api.common import AgentState
from pyglue.api.turns import TurnOutcome
from pyglue.harness.claude.outcome import Suspect, judge, state_after

STATES = {
    TurnOutcome.RATE_LIMITED: AgentState.RATE_LIMITED,
    TurnOutcome.BUDGET: AgentState.NO_CREDIT,
    TurnOutcome.AUTH: AgentState.RETRYING,
    TurnOutcome.FAILED: AgentState.RETRYING,
}


@pytest.mark.parametrize(
    "row", RECORDED, ids=lambda row: f"{row['answer']}-{row['when'].replace(' ', '-')}"
)
def test_what_any_message_would_meet_counts_against_none(row: dict[str, Any]) -> None:
    verdict = judge(result(**row), row["error"])
    if row["answer"] in RECOVERS:
        assert verdict.outcome is TurnOutcome.OK
        return
    assert verdict.outcome is not TurnOutcome.OK
    assert verdict.suspect is Suspect.NOBODY
    assert verdict.reason == row["result"]
    assert state_after(verdict) is STATES[verdict.outcome]


def test_every_answer_was_recorded() -> None:
    assert len(NOT_THE_MAILS) >= 40
    assert {row["answer"] for row in RECORDED} == set(NOT_THE_MAILS)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_request_is_looked_into(status: int) -> None:
    found = result(
        is_error=True, result="no", terminal_reason="api_error", status=status
    )
    assert judge(found, "unknown").suspect is Suspect.REQUEST


def test_what_is_no_answer_of_the_models_side_is_looked_into() -> None:
    found = result(is_error=True, result="broke", terminal_reason=None, status=None)
    assert judge(found, None).suspect is Suspect.CRASH


def test_a_turn_that_goes_in_circles_is_the_mails() -> None:
    found = result(is_error=True, result="", terminal_reason="max_turns", status=None)
    assert judge(found, None).suspect is Suspect.MESSAGES
