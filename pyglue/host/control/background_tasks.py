"""Background tasks that run as long as hived does.

A task that fails is restarted with increasing delays: one failed write must not stop
reminders until hived restarts. While a task is failing, warnings and the doctor name
it, and the operator gets one message.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from pyglue.clock import wall_clock
from pyglue.errors import HiveError
from pyglue.host.messages.broker import Broker
from pyglue.limits import RESTARTS_S
from pyglue.names import OPERATOR

_WELL_S: Final = 60.0
"""A task that has run for this long has recovered."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class BackgroundTasks:
    """Starts background tasks, and restarts them if they fail."""

    broker: Broker
    backoff_s: tuple[float, ...] = RESTARTS_S
    well_s: float = _WELL_S
    _problems: dict[str, str] = field(default_factory=dict, init=False)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return the currently failing tasks, with the reasons."""
        return tuple(self._problems.values())

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run ``work``, and call it again whenever it fails or returns."""
        self._tasks.add(asyncio.create_task(self._keep(name, work), name=name))

    def every(
        self, name: str, seconds: float, work: Callable[[], Awaitable[None]]
    ) -> None:
        """Run ``work`` now, and again ``seconds`` after each success.

        If the clock is set forward past that time, it runs immediately.
        """

        async def again() -> None:
            while True:
                await work()
                self._problems.pop(name, None)
                await wall_clock.elapse(seconds)

        self.start(name, again)

    async def close(self) -> None:
        """Cancel all tasks."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        failed = 0
        while True:
            running = asyncio.ensure_future(work())
            try:
                await asyncio.wait({running}, timeout=self.well_s)
                if not running.done():
                    failed = 0
                    self._problems.pop(name, None)
                await running
            except asyncio.CancelledError:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                raise
            except Exception as error:
                _log.exception("%s failed; retrying", name)
                await self._failed(name, error)
            pause = self.backoff_s[min(failed, len(self.backoff_s) - 1)]
            failed += 1
            await asyncio.sleep(pause)

    async def _failed(self, name: str, error: Exception) -> None:
        why = error.message if isinstance(error, HiveError) else "See hived's log."
        text = (
            f"A background task of the hive ({name}) failed and is being retried. {why}"
        )
        known = name in self._problems
        self._problems[name] = text
        if known:
            return
        try:
            await self.broker.notify(OPERATOR, text)
        except Exception:  # must not end the task; the warning is shown anyway
            _log.exception("could not notify the operator of %s", name)
