"""Waiting for a wall-clock time, even if the clock is set in the meantime.

Timers of the event loop count seconds, and do not notice a clock that is set forward by
a day, or a laptop that slept. Code that waits for a time visible to people (a reminder,
an expiry, midnight) waits here: the clock is read again every few seconds.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

TICK_S: Final = 5.0
"""Maximum delay after the clock was set."""


@dataclass(frozen=True)
class Moment:
    """A time on the wall clock and on the monotonic clock."""

    wall: float
    monotonic: float

    def left(self, now: "Moment") -> float:
        """Return the seconds until this time, on whichever clock is first.

        The wall clock continues while the machine sleeps; the other is never set back.
        """
        return min(self.wall - now.wall, self.monotonic - now.monotonic)


def moment(after_s: float = 0.0) -> Moment:
    """Return the time this many seconds from now."""
    return Moment(time.time() + after_s, time.monotonic() + after_s)


async def reach(at: float | None, changed: asyncio.Event, *, seen: float) -> None:
    """Return when the clock shows ``at`` (None: never), or ``changed`` is set.

    Also when the clock was set back since it showed ``seen``, as of which ``at`` was
    worked out: it may be another now.
    """
    while not changed.is_set():
        now = time.time()
        if at is not None and (at <= now or now < seen):
            return
        seen = now
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if at is None else min(at - now, TICK_S)):
                await changed.wait()


async def elapse(
    seconds: float, changed: Callable[[], Awaitable[object]] | None = None
) -> None:
    """Return after ``seconds``, or as soon as the clock was set that far forward.

    Sooner if what ``changed`` waits for comes.
    """
    end = moment(seconds)
    await asyncio.sleep(0)  # others have their turn, however short it is
    while (left := end.left(moment())) > 0:
        if changed is None:
            await asyncio.sleep(min(left, TICK_S))
            continue
        try:
            async with asyncio.timeout(min(left, TICK_S)):
                await changed()
            return
        except TimeoutError:
            continue
