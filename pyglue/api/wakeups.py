"""What wakes an agent from outside, as the operator sees it."""

from pyglue.api.common import Result


class ScheduleView(Result, frozen=True):
    """A schedule of an agent.nix. ``next_at`` are its next three times, as seconds;
    ``times`` are the same, written in its time zone. None: it never comes again.
    """

    name: str
    at: str
    message: str
    next_at: tuple[float, ...]
    times: tuple[str, ...]


class Wakeups(Result, frozen=True):
    """What wakes an agent from outside."""

    schedule: tuple[ScheduleView, ...]
