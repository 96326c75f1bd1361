"""Times as the CLI prints them."""

import time
from typing import Final

_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def within(expires_at: float, *, now: float | None = None) -> str:
    """Return how long something remains valid, such as ``within 10 minutes``."""
    left = expires_at - (time.time() if now is None else now)
    minutes = max(1, round(left / 60))
    return "within a minute" if minutes == 1 else f"within {minutes} minutes"


def moment(at: float) -> str:
    """Return a date and time in UTC, to the minute."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))


def lasting(since_at: float, *, now: float | None = None) -> str:
    """Return a duration in its largest unit: ``12 min``."""
    seconds = max(0.0, (time.time() if now is None else now) - since_at)
    size, unit = next((one for one in _UNITS if seconds >= one[0]), _UNITS[-1])
    return f"{int(seconds // size)} {unit}"
