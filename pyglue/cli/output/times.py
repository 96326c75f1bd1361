"""Times as the CLI prints them."""

import time


def within(expires_at: float, *, now: float | None = None) -> str:
    """Say until when something works, such as ``within 10 minutes``."""
    left = expires_at - (time.time() if now is None else now)
    minutes = max(1, round(left / 60))
    return "within a minute" if minutes == 1 else f"within {minutes} minutes"


def moment(at: float) -> str:
    """Return a date and time in UTC, to the minute."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))
