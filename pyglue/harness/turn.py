"""One turn: one CLI process, from its prompt to its result.

Driven through ``ClaudeSDKClient``. ``session`` decides which session it continues;
this only runs it and says how it ended. A cancelled turn is interrupted, so that the
session stays whole, and its process is stopped if it does not end in time.
"""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from typing import Final

from claude_agent_sdk import (
    ClaudeAgentOptions,
    ClaudeSDKClient,
    ClaudeSDKError,
    ResultMessage,
)

from pyglue.api.agent import TurnOutcome
from pyglue.harness.events import Tally, count, sentence, tokens_read

INTERRUPT_S: Final = 8.0
"""How long an interrupted CLI may take to end its turn."""
_TAIL: Final = 5
_UNKNOWN_SESSION: Final = "No conversation found with session ID"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ended:
    """How a turn ended, and its figures. ``cost_usd`` counts the whole session."""

    outcome: TurnOutcome
    reason: str | None = None
    is_unknown_session: bool = False
    duration_ms: int = 0
    steps: int = 0
    denials: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    session_cost_usd: float = 0.0


class Cancellation:
    """Asks the running turn to end; set once, by hived or at shutdown."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.reason: str | None = None

    def cancel(self, reason: str) -> None:
        """Ask; the first reason counts."""
        if self.reason is None:
            self.reason = reason
            self._event.set()

    async def wait(self) -> None:
        """Return once asked."""
        await self._event.wait()


async def run_turn(
    options: ClaudeAgentOptions, prompt: str, tally: Tally, cancellation: Cancellation
) -> Ended:
    """Run the CLI over ``prompt``; every way that it can end is an ``Ended``."""
    said: deque[str] = deque(maxlen=_TAIL)
    options.stderr = said.append
    client = ClaudeSDKClient(options)
    failure = None
    try:
        async with asyncio.timeout(None) as limit:
            watch = asyncio.create_task(_interrupt(client, cancellation, limit))
            try:
                await client.connect()
                if cancellation.reason is None:
                    await client.query(prompt)
                    async for message in client.receive_response():
                        tally.take(message)
            finally:
                watch.cancel()
                await asyncio.wait({watch})  # not swallowing a cancellation of ours
    except TimeoutError:
        failure = "The CLI did not stop when it was interrupted."
    except (ClaudeSDKError, OSError, ValueError) as error:
        failure = _failure(str(error), said)
    finally:
        await client.disconnect()
    return _ended(tally, failure, cancellation)


async def _interrupt(
    client: ClaudeSDKClient, cancellation: Cancellation, limit: asyncio.Timeout
) -> None:
    await cancellation.wait()
    limit.reschedule(asyncio.get_running_loop().time() + INTERRUPT_S)
    try:
        await client.interrupt()
    except (ClaudeSDKError, OSError) as error:
        _log.info("the CLI could not be interrupted: %s", error)


def _ended(tally: Tally, failure: str | None, cancellation: Cancellation) -> Ended:
    outcome: TurnOutcome
    reason: str | None
    if cancellation.reason is not None:
        outcome, reason = TurnOutcome.CANCELLED, cancellation.reason
    elif failure is not None:
        outcome, reason = TurnOutcome.FAILED, failure
    elif tally.result is None:
        outcome, reason = TurnOutcome.FAILED, "The CLI ended without a result."
    else:
        outcome, reason = _judge(tally.result, tally.error)
    unknown = failure is not None and _UNKNOWN_SESSION in failure
    reason = sentence(reason) if reason else None
    if tally.result is None:
        return Ended(outcome, reason, is_unknown_session=unknown)
    result = tally.result
    usage = result.usage or {}
    return Ended(
        outcome,
        reason,
        duration_ms=max(result.duration_ms, 0),
        steps=max(result.num_turns, 0),
        denials=len(result.permission_denials or []),
        input_tokens=tokens_read(usage),
        output_tokens=count(usage.get("output_tokens")),
        session_cost_usd=max(result.total_cost_usd or 0.0, 0.0),
    )


def _judge(result: ResultMessage, error: str | None) -> tuple[TurnOutcome, str | None]:
    """Say how a finished turn ended. Errors call themselves ``success``: never trust
    ``subtype``.
    """
    if not result.is_error:
        return TurnOutcome.OK, None
    why = result.result or "; ".join(result.errors or []) or result.subtype
    match result.terminal_reason, result.api_error_status, error:
        case "max_turns", _, _:
            outcome = TurnOutcome.MAX_TURNS
        case ("budget_exhausted", _, _) | (_, 402, _) | (_, _, "billing_error"):
            outcome = TurnOutcome.BUDGET
        case (("aborted_streaming" | "aborted_tools"), _, _):
            outcome = TurnOutcome.CANCELLED
        case _, (429 | 529), _:
            outcome = TurnOutcome.RATE_LIMITED
        case _, (401 | 403), _:
            outcome = TurnOutcome.AUTH
        case _:
            outcome = TurnOutcome.FAILED
    return outcome, why


def _failure(error: str, said: deque[str]) -> str:
    tail = f" It wrote: {' / '.join(said)}" if said else ""
    return f"The CLI failed: {error}.{tail}"
