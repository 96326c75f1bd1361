"""The agent's one session over all its turns: which it is, and keeping it short.

Holds the session's id in the session directory, so that turns continue it over
restarts; a session that the CLI does not know is replaced by a fresh one. Before a
turn, a session that has grown past the manifest's ``autoCompact`` is compacted by
the CLI's own ``/compact``. ``loop`` calls this; one turn at a time.
"""

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from pyglue.api.agent import TurnEventKind, TurnOutcome
from pyglue.api.common import AgentState
from pyglue.harness.events import Emit, Tally
from pyglue.harness.options import CliOptions, replace_file
from pyglue.harness.turn import Cancellation, Ended, run_turn

_COMPACT: Final = "/compact"

_log = logging.getLogger(__name__)


class _Kept(msgspec.Struct, frozen=True):
    """What is remembered of the session between turns and restarts."""

    id: str
    cost_usd: float = 0.0
    context_tokens: int = 0


@dataclass(frozen=True)
class Figures:
    """A finished turn, as hived is told of it."""

    ended: Ended
    tool_calls: int
    cost_usd: float


class Session:
    """Runs turns of one session."""

    def __init__(
        self,
        options: CliOptions,
        directory: Path,
        *,
        compact_at: int | None,
        emit: Emit,
        say: Callable[[AgentState], None],
    ) -> None:
        """``compact_at`` is in tokens of context; ``say`` hears of compaction."""
        self._options = options
        self._file = directory / "hive-session.json"
        self._compact_at = compact_at
        self._emit = emit
        self._say = say
        self._kept = self._read()

    async def turn(
        self, prompt: str, *, model: str, cancellation: Cancellation
    ) -> Figures:
        """Run one turn over ``prompt``."""
        await self._compact_if_long(model, cancellation)
        before = self._kept
        tally = Tally(self._emit)
        ended = await self._run(prompt, model, tally, cancellation)
        if ended.is_unknown_session:
            _log.warning("the session is unknown to the CLI; a fresh one begins")
            self._emit(TurnEventKind.LOG, {"text": "A fresh session begins."})
            self._kept = before = None
            tally = Tally(self._emit)
            ended = await self._run(prompt, model, tally, cancellation)
        cost = ended.session_cost_usd - (before.cost_usd if before else 0.0)
        self._remember(tally, ended)
        return Figures(ended, tally.tool_calls, cost if cost >= 0 else 0.0)

    async def _run(
        self, prompt: str, model: str, tally: Tally, cancellation: Cancellation
    ) -> Ended:
        kept = self._kept
        session = kept.id if kept else str(uuid.uuid4())
        options = self._options.turn(
            model=model, session=session, resume=kept is not None
        )
        return await run_turn(options, prompt, tally, cancellation)

    def _remember(self, tally: Tally, ended: Ended) -> None:
        if tally.session_id is None:
            return  # nothing came back: the next turn tries the same again
        before = self._kept
        self._kept = _Kept(
            tally.session_id,
            ended.session_cost_usd or (before.cost_usd if before else 0.0),
            tally.context_tokens or (before.context_tokens if before else 0),
        )
        replace_file(self._file, msgspec.json.encode(self._kept).decode())

    async def _compact_if_long(self, model: str, cancellation: Cancellation) -> None:
        kept = self._kept
        if kept is None or self._compact_at is None:
            return
        if kept.context_tokens < self._compact_at:
            return
        self._say(AgentState.COMPACTING)
        tally = Tally(self._emit)
        options = self._options.turn(
            model=model, session=kept.id, resume=True, verbatim=False
        )
        ended = await run_turn(options, _COMPACT, tally, cancellation)
        if ended.outcome is not TurnOutcome.OK:
            _log.warning("the session was not compacted: %s", ended.reason)
        # Either way not again before the next turn has measured the context anew.
        self._kept = _Kept(kept.id, ended.session_cost_usd or kept.cost_usd, 0)
        self._say(AgentState.THINKING)

    def _read(self) -> _Kept | None:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=_Kept)
        except (OSError, msgspec.DecodeError):
            return None
