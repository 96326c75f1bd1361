"""One turn, from its prompt to its result, in a new CLI or one that was kept.

``session`` decides which session it continues; this module only runs it and reports how
it ended. A cancelled turn is interrupted, so that the session stays intact, and its
process is stopped if it does not end in time.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Final

from pyglue.api.turns import TurnOutcome
from pyglue.harness.claude.cli import Cli
from pyglue.harness.claude.events import Tally, count, sentence, tokens_read
from pyglue.harness.claude.launch import Launch, News
from pyglue.harness.claude.outcome import Suspect, Verdict, judge
from pyglue.harness.claude.stream_json import UserMessage
from pyglue.harness.claude.warm import Warm
from pyglue.harness.claude.wire import CliError

INTERRUPT_S: Final = 8.0
"""Time for an interrupted CLI to end its turn."""
_TAIL: Final = 5
_BAD_SESSION: Final = ("No conversation found with session ID", "is already in use")
_DEAF: Final = Verdict(
    outcome=TurnOutcome.FAILED, reason="The hive's own tools did not connect."
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a turn ended, and its metrics. ``cost_usd`` counts the whole session."""

    verdict: Verdict
    is_unknown_session: bool = False
    duration_ms: int = 0
    steps: int = 0
    denials: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    session_cost_usd: float = 0.0

    @property
    def outcome(self) -> TurnOutcome:
        """The verdict's."""
        return self.verdict.outcome

    @property
    def reason(self) -> str | None:
        """The verdict's, as one line that fits a field of the API."""
        reason = self.verdict.reason
        return sentence(reason) if reason else None


class Cancellation:
    """Requests the end of the running turn; set once, by hived or at shutdown."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.reason: str | None = None

    def cancel(self, reason: str) -> None:
        """Request it; the first reason counts."""
        if self.reason is None:
            self.reason = reason
            self._event.set()

    async def wait(self) -> None:
        """Wait for the request."""
        await self._event.wait()


async def run_turn(
    launch: Launch,
    prompt: str,
    tally: Tally,
    cancellation: Cancellation,
    *,
    warm: Warm | None = None,
    news: News | None = None,
) -> Ended:
    """Run the CLI over ``prompt``; every way in which it can end is an ``Ended``.

    With ``warm`` it may be a CLI that is already running, and it may be kept. ``news``
    is delivered to the model while it works; unread messages do not count as delivered.
    """
    stderr: deque[str] = deque(maxlen=_TAIL)
    launch = replace(launch, stderr=stderr.append)
    failure: Verdict | None = None
    cli: Cli | None = None
    ended: Ended | None = None
    try:
        async with _interruptible(cancellation) as running:
            start = Cli.start(launch) if warm is None else warm.take(launch)
            cli = running.cli = await start
            if cancellation.reason is None:
                cli.serving.news = news
                await cli.prompt(prompt)
                failure = await _hear(cli, tally)
    except TimeoutError:
        failure = Verdict(
            outcome=TurnOutcome.FAILED,
            reason="The CLI did not stop after an interrupt.",
        )
    except CliError as error:
        failure = _failure(error, tally, stderr)
    else:
        ended = _ended(tally, failure, cancellation, stderr)
    finally:
        if cli is not None:
            cli.serving.news = None
        if cli is not None and news is not None and news.is_pending:
            await cli.close(0)  # else it would begin a turn of its own over that
        if cli is not None and warm is not None:
            well = ended is not None and ended.outcome is TurnOutcome.OK
            await warm.give(cli, ended_well=well)
        elif cli is not None:
            await cli.close()
    return ended or _ended(tally, failure, cancellation, stderr)


async def _hear(cli: Cli, tally: Tally) -> Verdict | None:
    """Count the CLI's messages up to its result; return the problem, if any."""
    async for message in cli.until_result():
        tally.take(message)
        if (
            isinstance(message, UserMessage)
            and message.echo
            and cli.serving.news is not None
        ):
            cli.serving.news.echoed(message.echo)
        if tally.is_deaf:
            return _DEAF
    return None


@dataclass
class _Running:
    """The CLI to interrupt."""

    cli: Cli | None = None


@contextlib.asynccontextmanager
async def _interruptible(cancellation: Cancellation) -> AsyncIterator[_Running]:
    """Interrupt the body when requested.

    Raises:
        TimeoutError: it did not end in time after the interrupt.
    """
    running = _Running()
    async with asyncio.timeout(None) as limit:
        watch = asyncio.create_task(_interrupt(running, cancellation, limit))
        try:
            yield running
        finally:
            watch.cancel()
            await asyncio.wait({watch})  # not swallowing a cancellation of ours


async def _interrupt(
    running: _Running, cancellation: Cancellation, limit: asyncio.Timeout
) -> None:
    await cancellation.wait()
    limit.reschedule(asyncio.get_running_loop().time() + INTERRUPT_S)
    try:
        if running.cli is not None:
            await running.cli.interrupt()
    except CliError as error:
        _log.info("could not interrupt the CLI: %s", error)


def _ended(
    tally: Tally,
    failure: Verdict | None,
    cancellation: Cancellation,
    stderr: deque[str],
) -> Ended:
    if cancellation.reason is not None:
        verdict = Verdict(outcome=TurnOutcome.CANCELLED, reason=cancellation.reason)
    elif failure is not None:
        verdict = failure
    elif tally.result is None:
        why = f"The CLI exited without a result.{_tail(stderr)}"
        verdict = Verdict(outcome=TurnOutcome.FAILED, reason=why, suspect=Suspect.CRASH)
    else:
        verdict = judge(tally.result, tally.error)
    text = " ".join([*stderr, verdict.reason or ""])
    unknown = any(mark in text for mark in _BAD_SESSION)
    if tally.result is None:
        return Ended(verdict=verdict, is_unknown_session=unknown)
    result = tally.result
    usage = result.usage or {}
    return Ended(
        verdict=verdict,
        is_unknown_session=unknown and verdict.outcome is TurnOutcome.FAILED,
        duration_ms=max(result.duration_ms, 0),
        steps=max(result.num_turns, 0),
        denials=len(result.permission_denials or []),
        input_tokens=tokens_read(usage),
        output_tokens=count(usage.get("output_tokens")),
        session_cost_usd=max(result.total_cost_usd or 0.0, 0.0),
    )


def _failure(error: Exception, tally: Tally, stderr: deque[str]) -> Verdict:
    """A CLI that exited before it read the messages did not exit because of them."""
    return Verdict(
        outcome=TurnOutcome.FAILED,
        reason=f"The CLI failed: {error}.{_tail(stderr)}",
        suspect=Suspect.CRASH if tally.init else Suspect.NOBODY,
    )


def _tail(stderr: deque[str]) -> str:
    return f" Its output: {' / '.join(stderr)}" if stderr else ""


@dataclass(frozen=True, kw_only=True)
class TurnMetrics:
    """A finished turn, as reported to hived."""

    ended: Ended
    tool_calls: int
    cost_usd: float
    retry_after_s: float = 0.0


def no_space(reason: str) -> Verdict:
    """Return the verdict on a turn for which the disk is too full."""
    return Verdict(outcome=TurnOutcome.FAILED, reason=reason, is_disk_full=True)


def not_compacted(ended: Ended, reason: str) -> Ended:
    """Return the end of a turn whose conversation could not be shortened for it.

    The CLI reports no error if the model provider fails during that.
    """
    if ended.outcome is not TurnOutcome.OK:
        return ended
    why = f"The conversation is too long, and could not be compacted: {reason}"
    return Ended(
        verdict=Verdict(outcome=TurnOutcome.FAILED, reason=why, suspect=Suspect.REQUEST)
    )


def as_compacted(ended: Ended) -> Ended:
    """Return the end of a turn during which the session was compacted."""
    if ended.outcome is not TurnOutcome.OK:
        return ended
    return replace(ended, verdict=Verdict(outcome=TurnOutcome.COMPACTED))
