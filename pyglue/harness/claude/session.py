"""The agent's one session across all turns: its id, and compaction.

Its ID is stored (``kept_session``), so that turns continue it across restarts; a
session that the CLI does not know is replaced by a new one. A session larger than the
manifest's ``autoCompact`` is compacted after the turn by the CLI's own ``/compact``;
one that no longer fits in the middle of a turn by the CLI itself, or else from here.
``loop`` calls this; one turn at a time.
"""

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from pyglue.api.common import AgentState
from pyglue.api.turn_events import Log
from pyglue.api.turns import TurnOutcome
from pyglue.harness.claude.events import Tally, sentence
from pyglue.harness.claude.evidence import ask_without_messages
from pyglue.harness.claude.fresh import preface
from pyglue.harness.claude.kept_session import Kept, SessionStore
from pyglue.harness.claude.launch import News
from pyglue.harness.claude.options import CliOptions
from pyglue.harness.claude.outcome import Suspect, Verdict
from pyglue.harness.claude.turn import (
    Cancellation,
    Ended,
    TurnMetrics,
    as_compacted,
    no_space,
    not_compacted,
    run_turn,
)
from pyglue.harness.claude.warm import Warm
from pyglue.harness.joined import Joined
from pyglue.harness.space import Space, is_full

_COMPACT: Final = "/compact"
_REFUSED_MAX: Final = 2
"""How often the API may refuse a conversation until the agent begins a new one."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Work:
    """The work of a turn, over all its attempts."""

    prompt: str
    model: str
    budget_usd: float | None
    cancellation: Cancellation


@dataclass(frozen=True, kw_only=True)
class Session:
    """Runs turns of one session."""

    options: CliOptions
    store: SessionStore
    warm: Warm
    notes: Path
    joined: Joined
    """The messages that reached a turn after its prompt."""
    news: News | None = None
    """Messages to deliver to a running turn."""
    space: Space
    compact_at: int | None
    """Tokens of context."""
    say: Callable[[AgentState], None]
    """Called when a compaction starts or ends."""

    @property
    def has_begun(self) -> bool:
        """Whether there is a conversation to compact."""
        return self.store.id is not None

    @property
    def warm_bytes(self) -> int:
        """The memory of the CLI kept for the next turn; 0: there is none."""
        return self.warm.memory

    @property
    def is_long(self) -> bool:
        """Whether the conversation is large enough to be compacted."""
        kept, limit = self.store.kept, self.compact_at
        return kept is not None and limit is not None and kept.context_tokens >= limit

    async def turn(
        self,
        prompt: str,
        *,
        model: str,
        cancellation: Cancellation,
        budget_usd: float | None = None,
        context_window: int | None = None,
    ) -> TurnMetrics:
        """Run one turn over ``prompt``.

        ``context_window`` is given if the CLI does not know the model's.
        """
        self.options.context_window = context_window
        before = self.store.kept if self.store.id is not None else None
        kept = self.store.kept
        opening = kept.preface if kept and before is None else ""
        work = _Work(
            prompt=opening + prompt,
            model=model,
            budget_usd=budget_usd,
            cancellation=cancellation,
        )
        tally, ended = await self._run(work)
        if ended.is_unknown_session:
            work = self._begin_anew(work, "The CLI does not know the session.")
            before = None
            tally, ended = await self._run(work)
        if ended.verdict.is_too_long and before is not None:
            tally, ended = await self._retry_shorter(work)
            before = before if self.store.id is not None else None
        elif tally.was_compacted and ended.outcome is TurnOutcome.OK:
            ended = as_compacted(ended)
        cost = ended.session_cost_usd - (before.cost_usd if before else 0.0)
        if tally.session_id is not None:  # otherwise the next turn tries the same again
            sent = prompt + self.joined.again()
            self.store.remember(tally.session_id, tally, ended, sent)
        self.warm.spent(max(cost, 0.0))
        if ended.verdict.suspect in (Suspect.REQUEST, Suspect.CRASH):
            ended, more = await self._whose_fault(work, ended, before)
            cost += more
        return TurnMetrics(
            ended=ended,
            tool_calls=tally.tool_calls,
            cost_usd=max(cost, 0.0),
            retry_after_s=tally.retry_after_s,
        )

    async def _whose_fault(
        self, work: _Work, ended: Ended, before: Kept | None
    ) -> tuple[Ended, float]:
        """Find the cause by evidence; return the end with it, and the cost of this.

        A conversation that worked before is replaced when the API has refused it twice;
        a new one contains only the messages.
        """
        well, asked = await ask_without_messages(
            self.options,
            model=work.model,
            budget_usd=work.budget_usd,
            cancellation=work.cancellation,
        )
        suspect = Suspect.MESSAGES if well else Suspect.NOBODY
        kept = self.store.kept
        if well and ended.verdict.suspect is Suspect.REQUEST and kept:
            refused = _REFUSED_MAX
            if before is not None and before.has_worked:
                suspect, refused = Suspect.NOBODY, before.refused + 1
                self.store.keep(msgspec.structs.replace(kept, refused=refused))
            if refused >= _REFUSED_MAX:
                self.begin_fresh(
                    f"The model provider refuses to continue it: {ended.reason}"
                )
        verdict = replace(ended.verdict, suspect=suspect)
        return replace(ended, verdict=verdict), asked.session_cost_usd

    def begin_fresh(self, why: str) -> str:
        """End the conversation; the next turn starts a new one with this reason."""
        kept = self.store.kept
        if kept is None or kept.id is None:
            return "There is no conversation yet; the next turn begins one."
        transcript = self.store.transcript(kept.id)
        summary = preface(
            why, transcript=transcript, notes=self.notes, recent=kept.recent
        )
        self.store.keep(
            Kept(None, has_worked=False, recent=kept.recent, preface=summary)
        )
        text = f"{why} The next turn begins a new session; the old transcript is "
        text += f"kept at {transcript}."
        _log.warning("%s", text)
        self.store.emit(Log(text=sentence(text)))
        return text

    async def _run(self, work: _Work) -> tuple[Tally, Ended]:
        kept, tally = self.store.kept, Tally(emit=self.store.emit)
        full = self.space.problem()
        if full is not None:
            return tally, Ended(verdict=no_space(full))
        session = kept.id if kept else None
        try:
            options = self.options.turn(
                model=work.model,
                session=session or str(uuid.uuid4()),
                resume=session is not None,
                budget_usd=work.budget_usd,
            )
        except OSError as error:  # not because of the messages
            reason = f"Cannot write the CLI's files: {error.strerror or error}."
            if is_full(error):
                return tally, Ended(verdict=no_space(reason))
            return tally, Ended(
                verdict=Verdict(outcome=TurnOutcome.FAILED, reason=reason)
            )
        ended = await run_turn(
            options,
            work.prompt,
            tally,
            work.cancellation,
            warm=self.warm,
            news=self.news,
        )
        return tally, ended

    async def _retry_shorter(self, work: _Work) -> tuple[Tally, Ended]:
        """Compact the conversation, because the CLI could not, or start a new one.

        The agent's notes have what it must not forget.
        """
        kept = self.store.kept
        if kept is not None and kept.id is not None:
            compacted, problem = await self._compacted(
                kept, kept.id, work.model, work.cancellation
            )
            if problem is not None:
                return Tally(emit=self.store.emit), not_compacted(compacted, problem)
        self.say(AgentState.THINKING)
        missed = self.joined.missed()
        tally, ended = await self._run(replace(work, prompt=work.prompt + missed))
        if ended.verdict.is_too_long:
            anew = self._begin_anew(work, "The conversation cannot be compacted.")
            tally, ended = await self._run(anew)
        return tally, as_compacted(ended)

    def _begin_anew(self, work: _Work, why: str) -> _Work:
        """Return the work for a new session, which knows nothing of this turn."""
        _log.warning("%s Starting a new session.", why)
        self.store.emit(Log(text=f"{why} Starting a new session."))
        self.store.forget()
        return replace(work, prompt=work.prompt + self.joined.again())

    async def compact(self, model: str, cancellation: Cancellation) -> str:
        """Compact the conversation; return a sentence about the outcome."""
        kept = self.store.kept
        if kept is None or kept.id is None:
            return "There is no conversation to compact yet."
        ended, problem = await self._compacted(kept, kept.id, model, cancellation)
        if problem is None:
            return "The conversation was compacted."
        _log.warning("could not compact the session: %s", ended.reason)
        return f"The conversation could not be compacted: {ended.reason or problem}"

    async def _compacted(
        self, kept: Kept, session: str, model: str, cancellation: Cancellation
    ) -> tuple[Ended, str | None]:
        """Compact; return the outcome, and the CLI's error if it failed."""
        self.say(AgentState.COMPACTING)
        await self.warm.cool()  # two processes must not write one session
        tally = Tally(emit=self.store.emit)
        try:
            options = self.options.turn(
                model=model, session=session, resume=True, verbatim=False
            )
        except OSError as error:
            reason = f"Cannot write the CLI's files: {error.strerror or error}."
            return Ended(
                verdict=Verdict(outcome=TurnOutcome.FAILED, reason=reason)
            ), reason
        ended = await run_turn(options, _COMPACT, tally, cancellation)
        # In any case, not again before the next turn has measured the context.
        cost = ended.session_cost_usd or kept.cost_usd
        self.store.keep(msgspec.structs.replace(kept, cost_usd=cost, context_tokens=0))
        if ended.outcome is TurnOutcome.OK and tally.was_compacted:
            return ended, None
        return ended, tally.text
