"""Checks whether the model answers at all after a failed turn.

It sends an empty question with the agent's own options, in a session that is not kept:
if that fails too (a key, a proxy, a tool's schema, the CLI itself), the messages are
not the cause. ``session`` asks only if the cause of a failure is unclear, since a
question costs a little.
"""

import logging
from typing import Final

from pyglue.api.turn_events import AnyLiveEvent
from pyglue.api.turns import TurnOutcome
from pyglue.harness.claude.events import Tally
from pyglue.harness.claude.options import CliOptions
from pyglue.harness.claude.turn import Cancellation, Ended, run_turn

QUESTION: Final = (
    "[from the hive itself: no message, nothing to do]\n"
    "This only tests whether the model answers. Call no tool; answer with OK."
)
_ANSWERED: Final = (TurnOutcome.OK, TurnOutcome.MAX_TURNS)

_log = logging.getLogger(__name__)


async def ask_without_messages(
    options: CliOptions,
    *,
    model: str,
    budget_usd: float | None,
    cancellation: Cancellation,
) -> tuple[bool, Ended]:
    """Return whether an empty turn succeeds, and how it ended."""
    asked = options.probe(model=model, budget_usd=budget_usd)
    ended = await run_turn(asked, QUESTION, Tally(emit=_unheard), cancellation)
    _log.info("an empty turn ended: %s (%s)", ended.outcome.value, ended.reason)
    return ended.outcome in _ANSWERED, ended


def _unheard(event: AnyLiveEvent) -> None:
    """Drop an event: this is not a turn of the agent."""
