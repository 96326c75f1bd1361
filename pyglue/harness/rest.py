"""When the next turn may begin: after holds, failures, and requests to back off.

The pause grows with each failure, lasts as long as the model provider asks, and ends
early when hived or the operator wants something (``control``).
"""

import logging
from dataclasses import dataclass, field
from typing import Final

from pyglue.api.common import AgentState
from pyglue.api.turn_events import Log
from pyglue.api.turns import TurnEndResult, TurnOutcome
from pyglue.clock import wall_clock
from pyglue.harness.claude.events import sentence
from pyglue.harness.claude.outcome import AUTH_TRIES, Pauses, state_after
from pyglue.harness.claude.session import Session
from pyglue.harness.claude.turn import TurnMetrics
from pyglue.harness.control import Control, Hold
from pyglue.harness.link.link import Link
from pyglue.harness.space import Space

_LOOK_S: Final = 15.0
"""How often a full disk is checked for free space."""
_WELL: Final = (TurnOutcome.OK, TurnOutcome.COMPACTED)
_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Rest:
    """Waits between turns, and counts failures in a row."""

    link: Link
    session: Session
    control: Control
    space: Space
    pauses: Pauses
    failures: int = field(default=0, init=False)
    _auth_failures: int = field(default=0, init=False)
    _login: Hold | None = field(default=None, init=False)

    async def until_ready(self) -> None:
        """Wait while paused, over budget, without a login or on a full disk."""
        told_full = False
        while True:
            self.control.look()
            if self.control.take_again():
                self._login, self.failures, self._auth_failures = None, 0, 0
            hold = self.control.hold or self._login
            if hold is not None:
                await self.session.warm.cool()
                self.link.say(*hold)
                told_full = False
                await self.control.changed()
                continue
            full = self.space.problem()
            if full is None:
                return
            if not told_full:
                self.link.say(AgentState.DISK_FULL, full)
                self.link.emit(Log(text=sentence(full)))
                told_full = True
            await self._change_within(min(_LOOK_S, self.pauses.longest_s))

    async def pause(
        self, state: AgentState, detail: str | None, at_least: float = 0.0
    ) -> None:
        """Wait after a failure: at most until hived wants something."""
        self.failures += 1
        seconds = max(self.pauses.after(self.failures), at_least)
        _log.info("waiting %.1f s: %s", seconds, detail)
        detail = f"Next try in {seconds:.0f} s. {detail or ''}".strip()
        self.link.say(state, sentence(detail))
        await self._change_within(seconds)

    async def _change_within(self, seconds: float) -> None:
        """Wait for ``seconds``, at most until hived wants something."""
        await wall_clock.elapse(seconds, self.control.changed)

    async def after(self, metrics: TurnMetrics, end: TurnEndResult) -> None:
        """Return at once after a turn that went well, else after a growing pause.

        Also pauses after a cancelled turn: often the agent is stopped next.
        """
        ended = metrics.ended
        if ended.outcome in (*_WELL, TurnOutcome.CANCELLED):
            self.failures = self._auth_failures = 0
        if ended.outcome in _WELL or self.control.hold is not None:
            return
        if ended.outcome is TurnOutcome.AUTH:
            self._auth_failures += 1
            if self._auth_failures >= AUTH_TRIES:
                self._login = AgentState.NEEDS_LOGIN, ended.reason or ""
                return
        state, why, wait = state_after(ended.verdict), ended.reason, 0.0
        if ended.outcome is TurnOutcome.RATE_LIMITED:
            wait = end.retry_after_s or metrics.retry_after_s
        if state is AgentState.NO_CREDIT:
            why = f"The provider's credit is used up. The provider says: {why}"
        await self.pause(state, why, wait)
