"""The beginning and the end of turns, as harnesses ask for them and report them.

A turn begins unless its agent is paused, over budget or too fast, with the model that
hived chose. Its outcome may park the agent, raise the question about credit, or let
the CLI stay warm. The messages of a turn are the ``mailbox``'s.
"""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from pyglue.api.common import SHORT_TEXT_MAX
from pyglue.api.turns import (
    TurnEndParams,
    TurnEndResult,
    TurnOutcome,
    TurnStartParams,
    TurnStartResult,
)
from pyglue.clock import wall_clock
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.control.budgets import Budgets
from pyglue.host.control.controls import Controls
from pyglue.host.control.credit import Credit
from pyglue.host.control.model_choices import ModelChoices
from pyglue.host.control.warmth import Warmth
from pyglue.host.core.agent import Agent, Receiver
from pyglue.host.core.day_limits import Limit
from pyglue.host.messages.mailbox import Mailbox
from pyglue.process import describe_exit
from pyglue.store.database import Tx

_KILLED: Final = describe_exit(-signal.SIGKILL)
_BY_LIMIT: Final = (
    "Claude Code was killed by this agent's memory limit: raise it "
    "(hyperhive.limits.memoryMax), or give the agent smaller tasks."
)


@dataclass(kw_only=True)
class Turns:
    """Begins and ends the turns of every agent."""

    mailbox: Mailbox
    budgets: Budgets
    credit: Credit
    controls: Controls
    model_choices: ModelChoices
    warmth: Warmth
    memory_kills: Callable[[str], int] = lambda _name: 0
    """Returns how many of an agent's processes its memory limit has killed."""

    async def begin(
        self, receiver: Receiver, params: TurnStartParams
    ) -> TurnStartResult:
        """Begin a turn with the messages that the harness has taken.

        Raises:
            HiveError: ``conflict`` if another harness has connected;
                ``rate_limited``, ``over_budget``, ``paused`` or
                ``model_not_allowed``. Then its messages are queued again.
        """
        agent = receiver.agent
        if not receiver.is_current:
            raise HiveError(
                ErrorCode.CONFLICT, "Another harness of this agent has connected."
            )
        left: list[float | None] = []

        def check(tx: Tx) -> None:
            self.controls.check_turn(agent)
            left.append(self.budgets.check(tx, agent))

        try:
            self._check_rate(agent)
            model = self.model_choices.next(agent, params.model)
            turn = await self.mailbox.turn_start(
                receiver, model, seen=params.messages, check=check
            )
        except HiveError as error:
            self.mailbox.delivery.release_loose(receiver)
            if error.code is ErrorCode.OVER_BUDGET and "limit" in error.details:
                limit = Limit(str(error.details["limit"]))
                await self.budgets.reached(
                    agent, limit, float(error.details["until_at"])
                )
            raise
        self.warmth.turn_began(agent, warm=params.warm)
        receiver.killed = self.memory_kills(agent.name)
        self.controls.begun(agent)
        info = self.model_choices.models.resolve(model)
        if info is not None and info.is_own:
            return TurnStartResult(turn=turn, model=model, context_window=info.context)
        return TurnStartResult(turn=turn, model=model, budget_usd=left[0])

    @staticmethod
    def _check_rate(agent: Agent) -> None:
        if not agent.turns.take(1, time.monotonic()):
            raise HiveError(
                ErrorCode.RATE_LIMITED,
                f"Turns of {agent.name} begin too quickly. Wait a second.",
                details={"retry_after_s": 1.0},
            )

    async def end(self, receiver: Receiver, params: TurnEndParams) -> TurnEndResult:
        """End a turn as its harness reports it; park the agent if money ran out.

        Raises:
            HiveError: ``conflict`` if it is not this agent's running turn.
        """
        agent = receiver.agent
        params = self._with_cause(receiver, params)
        await self.mailbox.turn_end(receiver, params)
        if params.outcome is TurnOutcome.BUDGET:
            limit = await self.budgets.used_up(agent)
            if limit is not None:
                await self.budgets.reached(agent, limit, None)
            elif not params.budget_used:
                await self.credit.used_up(agent, params.reason)
        until = agent.retry_at
        wait = 0.0 if until is None else until.left(wall_clock.moment())
        keeps = receiver.is_current and self.warmth.offered(agent, params.warm_bytes)
        return TurnEndResult(retry_after_s=wait if wait > 0 else None, keep_warm=keeps)

    def _with_cause(self, receiver: Receiver, params: TurnEndParams) -> TurnEndParams:
        """If the CLI died by SIGKILL at the agent's memory limit, add that cause."""
        reason = params.reason or ""
        killed = self.memory_kills(receiver.agent.name)
        if _KILLED not in reason or killed <= receiver.killed:
            return params
        text = f"{_BY_LIMIT} {reason}"[:SHORT_TEXT_MAX]
        return msgspec.structs.replace(params, reason=text)
