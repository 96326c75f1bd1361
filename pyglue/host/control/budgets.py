"""Budgets per day and hour, and the question to the operator when one is used up.

Limits are the lower of the manifest's and the operator's, plus the operator's additions
for today. Money and tokens are checked at each request (``model.relay``), turns at
their start. At a limit the agent is parked, and the operator is asked once whether it
may continue: each yes adds the limit once more, until midnight (UTC). ``turns`` and
``model.relay`` call this.
"""

import asyncio
import datetime
import time
from dataclasses import dataclass, field, replace
from typing import Final

from pyglue.api.questions import QuestionView
from pyglue.clock import wall_clock
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.control.controls import Controls
from pyglue.host.core.agent import Agent
from pyglue.host.core.audit import Audit
from pyglue.host.core.day_limits import Limit, Limits, Used, limits_of, start_of_day
from pyglue.host.core.registry import Registry
from pyglue.host.core.transitions import Transitions
from pyglue.host.messages.questions import Questions
from pyglue.names import OPERATOR
from pyglue.store import agents as agent_rows
from pyglue.store import usage
from pyglue.store.database import Store, Tx

_HOUR_S: Final = 3600.0
_STAY: Final = "Stay parked"


@dataclass(frozen=True, kw_only=True)
class _Park:
    """A parked agent: the limit it reached, until when, and the limits at that time."""

    agent: Agent
    limit: Limit
    until: float
    limits: Limits


@dataclass(frozen=True, kw_only=True)
class Budgets:
    """Parks agents that used up a limit, and asks the operator."""

    store: Store
    registry: Registry
    transitions: Transitions
    questions: Questions
    controls: Controls
    audit: Audit
    config: HiveConfig
    _parks: dict[str, _Park] = field(default_factory=dict, init=False)
    _changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def __post_init__(self) -> None:
        self.questions.listen(self._answered)
        self.transitions.listen(self._limits_changed)

    def check(self, tx: Tx, agent: Agent) -> float | None:
        """Refuse a turn beyond a limit; return the US dollars left, None for no limit.

        Raises:
            HiveError: ``over_budget``; ``details`` has the limit and when it ends.
        """
        limits, day = limits_of(agent, self.config), start_of_day()
        if limits.turns is not None:
            count, first = agent_rows.turns_since(tx, agent.name, tx.now - _HOUR_S)
            if count >= limits.turns:
                until = (first or tx.now) + _HOUR_S
                raise _over(agent, Limit.TURNS, until, limits, Used())
        if limits.tokens is not None:
            used = usage.tokens(tx, agent.name, day)
            if used >= limits.tokens:
                used_up = Used(tokens=used)
                raise _over(agent, Limit.TOKENS, day + usage.DAY_S, limits, used_up)
        if limits.cost_usd is None:
            return None
        spent = usage.spent(tx, agent.name, day)
        left = limits.cost_usd - spent
        if left <= 0:
            used_up = Used(cost_usd=spent)
            raise _over(agent, Limit.COST, day + usage.DAY_S, limits, used_up)
        return left

    async def used_up(self, agent: Agent) -> Limit | None:
        """Return which of today's limits is used up, by hived's own accounting alone.

        If none is, return the limit that the latest request would have exceeded.
        """
        limits, used = limits_of(agent, self.config), await self._used(agent)
        if limits.cost_usd is not None and used.cost_usd >= limits.cost_usd:
            return Limit.COST
        if limits.tokens is not None and used.tokens >= limits.tokens:
            return Limit.TOKENS
        return None if agent.refused is None else Limit(agent.refused)

    async def _used(self, agent: Agent) -> Used:
        day = start_of_day()
        return await self.store.read(
            lambda reader: Used(
                cost_usd=usage.spent(reader, agent.name, day),
                tokens=usage.tokens(reader, agent.name, day),
            )
        )

    async def reached(self, agent: Agent, limit: Limit, until: float | None) -> None:
        """Park the agent until ``until`` (midnight if None), and ask the operator."""
        until = until or start_of_day() + usage.DAY_S
        limits = limits_of(agent, self.config)
        used = await self._used(agent)
        text = _sentence(agent, limit, until, limits, used)
        self._parks[agent.name] = _Park(
            agent=agent, limit=limit, until=until, limits=limits
        )
        self.controls.park(agent, text, until)
        self._changed.set()
        await self._ask(agent, limit, until, text)

    async def watch(self) -> None:
        """Resume agents when their park ends, or when a limit allows it again.

        Runs as long as hived does.
        """
        while True:
            self._changed.clear()
            now = time.time()
            for name, park in list(self._parks.items()):
                if park.until <= now or self.registry.find(name) is not park.agent:
                    self._release(name)
                elif self._is_stale(park, now):
                    await self.look(park.agent)
            first = min((park.until for park in self._parks.values()), default=None)
            await wall_clock.reach(first, self._changed, seen=now)

    def _is_stale(self, park: _Park, now: float) -> bool:
        """Return whether its limits have changed, or the clock was set back."""
        longest = _HOUR_S if park.limit is Limit.TURNS else usage.DAY_S
        limits = limits_of(park.agent, self.config)
        return limits != park.limits or park.until - now > longest

    async def look(self, agent: Agent) -> None:
        """Resume a parked agent unless it exceeds a current limit."""
        park = self._parks.get(agent.name)
        if park is None or park.agent is not agent:
            return
        changed = limits_of(agent, self.config) != park.limits
        try:
            await self.store.write(lambda tx: self.check(tx, agent))
        except HiveError as error:
            if error.code is not ErrorCode.OVER_BUDGET:
                raise
            if changed:  # the open question is about an outdated limit
                await self._settle(agent)
            limit = Limit(str(error.details["limit"]))
            await self.reached(agent, limit, float(error.details["until_at"]))
            return
        if self._parks.get(agent.name) is park:  # unchanged meanwhile
            self._release(agent.name)
            await self._settle(agent)

    def _limits_changed(self, agent: Agent) -> None:
        """Check whether a deploy or a raise changed a parked agent's limits."""
        park = self._parks.get(agent.name)
        if park is None or park.agent is not agent:
            return
        if limits_of(agent, self.config) != park.limits:
            self._changed.set()

    def _release(self, name: str) -> None:
        park = self._parks.pop(name, None)
        agent = self.registry.find(name)
        if park is not None and agent is not None:
            self.controls.unpark(agent)

    async def _settle(self, agent: Agent) -> None:
        """Withdraw the question about a limit that no longer parks the agent."""
        row = agent.control
        if row.question is None or row.asked_for is None:
            return
        await self.transitions.controlled(
            agent, replace(row, question=None, asked_for=None)
        )
        await self.questions.withdraw(row.question)

    # --- asking -----------------------------------------------------------------------

    async def _ask(self, agent: Agent, limit: Limit, until: float, text: str) -> None:
        row, day = agent.control, start_of_day()
        today = row.lift_day == day
        if today and row.question is not None and row.asked_for == limit.value:
            return  # already asked: it is open, or the answer was to stay parked
        amount = self._amount(agent, limit)
        number = await self.questions.ask_operator(
            f"{text} May it continue?",
            (f"Continue today with {amount} more", _STAY),
            expires_at=until,
        )
        fresh = row if today else replace(row, lift_usd=0, lift_tokens=0, lift_turns=0)
        await self.transitions.controlled(
            agent,
            replace(fresh, lift_day=day, question=number, asked_for=limit.value),
        )

    def _amount(self, agent: Agent, limit: Limit) -> str:
        limits = limits_of(agent, self.config, lifted=False)
        match limit:
            case Limit.COST:
                return f"${limits.cost_usd or 0:g}"
            case Limit.TOKENS:
                return f"{limits.tokens or 0} tokens"
            case Limit.TURNS:
                return f"{limits.turns or 0} turns an hour"

    async def _answered(self, question: QuestionView, text: str) -> None:
        for agent in self.registry.all():
            row = agent.control
            if row.question != question.id or row.asked_for is None:
                continue
            go_on = text.split("\n")[0] == question.options[0]
            data = {"limit": row.asked_for, "go_on": go_on}
            self.audit.record(OPERATOR, "budget", agent.name, data)
            if not go_on or row.lift_day != start_of_day():
                return
            limits = limits_of(agent, self.config, lifted=False)
            match Limit(row.asked_for):
                case Limit.COST:
                    lifted = replace(
                        row, lift_usd=row.lift_usd + (limits.cost_usd or 0)
                    )
                case Limit.TOKENS:
                    more = row.lift_tokens + (limits.tokens or 0)
                    lifted = replace(row, lift_tokens=more)
                case Limit.TURNS:
                    more = row.lift_turns + (limits.turns or 0)
                    lifted = replace(row, lift_turns=more)
            await self.transitions.controlled(agent, replace(lifted, question=None))
            self._release(agent.name)
            return


def _over(
    agent: Agent, limit: Limit, until: float, limits: Limits, used: Used
) -> HiveError:
    return HiveError(
        ErrorCode.OVER_BUDGET,
        _sentence(agent, limit, until, limits, used),
        details={"limit": limit.value, "until_at": until},
    )


def _sentence(
    agent: Agent, limit: Limit, until: float, limits: Limits, used: Used
) -> str:
    """Describe the limit reached; ``used`` is included if it is below the limit."""
    at = datetime.datetime.fromtimestamp(until, datetime.UTC)
    end = f"It is parked until {at:%H:%M} UTC, or until the operator lets it continue."
    match limit:
        case Limit.COST:
            most = limits.cost_usd or 0.0
            part = "" if used.cost_usd >= most else f"${used.cost_usd:.2f} of "
            what = f"{part}today's cost limit of ${most:g}"
        case Limit.TOKENS:
            part = "" if used.tokens >= (limits.tokens or 0) else f"{used.tokens} of "
            what = f"{part}today's limit of {limits.tokens} tokens"
        case Limit.TURNS:
            part, what = "", f"its {limits.turns} turns an hour"
    rest = ", and its next request could exceed that" if part else ""
    return f"{agent.name} has used {what}{rest}. {end}"
