"""Reserves money for requests; near the daily limit, one request at a time.

hived decides (``reserve``), so nothing here can exceed the limit. Far from the limit,
the bound of the body is reserved, which is known at no cost. If hived refuses that, the
provider counts the request. Then the agent's other requests are awaited, because they
probably used less than was reserved for them. As the last resort, the answer is
shortened.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from typing import Final

from pyglue.api.relay import ReserveParams, SettleParams
from pyglue.errors import ErrorCode, HiveError
from pyglue.limits import RelayLimits
from pyglue.relay.link import Link
from pyglue.relay.request import Checked

_LIMITS: Final = 2
"""Daily limits for which an answer may be shortened: money and tokens."""
_DISCONNECTED: Final = 499
_COUNT_USD: Final = 0.0001
"""Reserved for counting, which is free, so that it stops with the budget."""
_ROUNDING_USD: Final = 1e-6

Count = Callable[[str, Checked], Awaitable[int | None]]


class Ledger:
    """Reserves and settles; ``count`` asks the provider for the size of a request."""

    def __init__(self, link: Link, *, count: Count, limits: RelayLimits) -> None:
        self._link = link
        self._count = count
        self._limits = limits
        self._open: Counter[str] = Counter()
        self._settled: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._unused: set[asyncio.Task[None]] = set()
        self._near: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def reserve(self, agent: str, checked: Checked) -> tuple[Checked, int]:
        """Reserve the cost of ``checked``; near the limit, that of a shorter answer.

        Raises:
            HiveError: ``over_budget``; whatever else blocks the agent.
        """
        try:
            return checked, await self._reserve(agent, _aside(agent, checked))
        except HiveError as error:
            if error.code is not ErrorCode.OVER_BUDGET:
                raise
        async with self._near[agent]:
            return await self._reserve_near(agent, checked)

    async def reserve_count(self, agent: str, checked: Checked) -> int:
        """Ask whether the agent may use the model at all, and record that it did."""
        params = ReserveParams(agent=agent, model=checked.model.id, cost_usd=_COUNT_USD)
        return await self._reserve(agent, params)

    async def settle(self, agent: str, params: SettleParams) -> None:
        """Report the usage to hived."""
        try:
            await self._link.settle(params)
        finally:
            self._open[agent] -= 1
            if not self._open[agent]:
                del self._open[agent]
            self._settled[agent].set()

    def forget(self, agent: str) -> None:
        """Drop the state of an agent that no longer exists."""
        if not self._open[agent]:
            del self._open[agent]
            self._settled.pop(agent, None)
            if not self._near[agent].locked():
                del self._near[agent]

    async def _reserve(self, agent: str, params: ReserveParams) -> int:
        task = asyncio.create_task(self._link.reserve(params))
        try:
            number = await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(lambda done: self._give_back(agent, done))
            raise
        self._open[agent] += 1
        return number

    def _give_back(self, agent: str, reserved: asyncio.Task[int]) -> None:
        """Settle a reservation whose client disconnected before anything was sent."""
        if reserved.cancelled() or reserved.exception() is not None:
            return
        self._open[agent] += 1
        unused = SettleParams(
            reservation=reserved.result(), cost_usd=0.0, status=_DISCONNECTED
        )
        task = asyncio.create_task(self.settle(agent, unused))
        self._unused.add(task)
        task.add_done_callback(self._unused.discard)

    async def _reserve_near(self, agent: str, checked: Checked) -> tuple[Checked, int]:
        tokens = await self._count(agent, checked)
        if tokens is not None:
            checked = checked.counted(tokens)
        await self._others(agent)
        for _ in range(_LIMITS):  # each limit may require a shorter answer once
            try:
                return checked, await self._reserve(agent, _aside(agent, checked))
            except HiveError as error:
                shorter = _shortened(checked, error)
                if shorter is None:
                    raise
                checked = shorter
        return checked, await self._reserve(agent, _aside(agent, checked))

    async def _others(self, agent: str) -> None:
        """Return when all requests of this agent are settled, or after a timeout."""
        try:
            async with asyncio.timeout(self._limits.settling_s):
                while self._open[agent]:
                    self._settled[agent].clear()
                    await self._settled[agent].wait()
        except TimeoutError:
            return


def _aside(agent: str, checked: Checked) -> ReserveParams:
    return ReserveParams(
        agent=agent,
        model=checked.model.id,
        cost_usd=checked.max_cost_usd,
        input_tokens=checked.bound.prompt,
        output_tokens=checked.max_tokens,
    )


def _shortened(checked: Checked, error: HiveError) -> Checked | None:
    """Return the request with as many tokens as a limit allows; None if too few."""
    if error.code is not ErrorCode.OVER_BUDGET:
        return None
    details = error.details
    if "limit_tokens" in details:
        left = int(details["limit_tokens"]) - int(details.get("spent_tokens", 0))
        return checked.within_tokens(left - checked.bound.prompt)
    limit, spent = (
        float(details.get(name, 0.0)) for name in ("limit_usd", "spent_usd")
    )
    return checked.within(limit - spent - _ROUNDING_USD)
