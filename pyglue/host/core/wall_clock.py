"""Waiting for moments of the wall clock, which may be set while somebody waits.

Timers of the event loop count seconds, and know nothing of a clock that is set forward
by a day, or of a laptop that slept. Whoever waits for a moment that people see (a
reminder, an expiry, midnight) waits here: the clock is read again every few seconds.
"""

import asyncio
import time
from typing import Final

TICK_S: Final = 5.0
"""How late a moment may be noticed after the clock was set."""


async def reach(moment: float | None, changed: asyncio.Event) -> None:
    """Return when the clock shows ``moment`` (None: never), or ``changed`` is set."""
    while not changed.is_set():
        left = None if moment is None else moment - time.time()
        if left is not None and left <= 0:
            return
        try:
            async with asyncio.timeout(None if left is None else min(left, TICK_S)):
                await changed.wait()
        except TimeoutError:
            continue


async def elapse(seconds: float) -> None:
    """Return after ``seconds``, or as soon as the clock was set that far forward."""
    moment, deadline = time.time() + seconds, time.monotonic() + seconds
    await asyncio.sleep(0)  # others have their turn, however short it is
    while (left := min(moment - time.time(), deadline - time.monotonic())) > 0:
        await asyncio.sleep(min(left, TICK_S))
