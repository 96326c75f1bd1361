"""Calendar expressions of systemd's timers: ``Mon..Fri 08:00``.

``proposal_checks`` and ``host.policy`` check them, ``host.messages.schedules`` waits
for them. oncalendar evaluates them; before that, this module refuses expressions that
systemd refuses and the library accepts (steps beyond their range), and the few forms in
which they differ (ranges of one number, or counted from the end of a month). So every
accepted expression means the same as in ``systemd-analyze calendar``: a test compares
generated ones. Only systemd 252 itself leaves out the first of some steps after the end
of a month (``00/13:00`` has no 00:00 there), which this module does not.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from itertools import islice, pairwise
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from oncalendar import BaseIterator, OnCalendarError

from pyglue.errors import ErrorCode, HiveError
from pyglue.text.display import quoted

_LOCALTIME: Final = Path("/etc/localtime")
_DAY_S: Final = 86400
_ALIASES: Final = {
    "anually": "annually",
    "biannually": "semiannually",
    "bi-annually": "semiannually",
    "semi-annually": "semiannually",
}
_ZONE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*")
_TERM: Final = re.compile(r"([0-9]{1,4})(?:\.\.([0-9]{1,4}))?(?:/([0-9]{1,4}))?")
_YEAR, _MONTH, _DAY = (1970, 2199), (1, 12), (1, 31)
_HOUR, _SIXTY = (0, 23), (0, 59)


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """An expression and its time zone."""

    text: str
    rule: str
    """The expression without a time zone, in the library's own words."""
    zone: tzinfo

    def after(self, moment: float) -> float | None:
        """Return the first time after ``moment``; None: there is none before 2200."""
        return next(self._times(moment), None)

    def upcoming(self, moment: float, count: int) -> tuple[float, ...]:
        """Return the next times after ``moment``."""
        return tuple(islice(self._times(moment), count))

    def say(self, at: float) -> str:
        """Format one of its times for people: ``Mon 2026-11-30 08:00 CET``."""
        return written(at, self.zone)

    @property
    def least_s(self) -> int:
        """Minimum seconds between two of its times, if it has one every day."""
        parsed = BaseIterator(self.rule, datetime.now(UTC))
        times = sorted(
            hour * 3600 + minute * 60 + second
            for hour in parsed.hours
            for minute in parsed.minutes
            for second in parsed.seconds
        )
        return min(b - a for a, b in pairwise([*times, times[0] + _DAY_S]))

    def _times(self, moment: float) -> Iterator[float]:
        start = datetime.fromtimestamp(moment, self.zone)
        for found in BaseIterator(self.rule, start):
            at = found.timestamp()
            if at > moment:  # not in an hour that comes twice
                yield at


def parse(text: str, zone: tzinfo) -> Calendar:
    """Parse an expression; ``zone`` applies if it names none.

    Raises:
        HiveError: ``manifest_invalid`` with what is wrong.
    """
    fields = text.split()
    if len(fields) > 1 and fields[-1][0].isalpha():
        zone = named_zone(fields.pop())
    rule = " ".join(fields)
    rule = _ALIASES.get(rule.lower(), rule)
    try:
        if not all(map(_plain, rule.split())):
            raise OnCalendarError
        BaseIterator(rule, datetime.now(UTC))
    except OnCalendarError:
        raise HiveError(
            ErrorCode.MANIFEST_INVALID,
            f"Invalid time {quoted(text, limit=100)}: write a calendar expression of "
            "systemd's, such as “Mon..Fri 08:00”, “*-*-01 06:30” or “hourly”; "
            "systemd-analyze calendar shows what one means.",
        ) from None
    return Calendar(text=text, rule=rule, zone=zone)


def named_zone(name: str) -> ZoneInfo:
    """Return a time zone by its name.

    Raises:
        HiveError: ``manifest_invalid`` if there is none.
    """
    try:
        if _ZONE.fullmatch(name):
            return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # a directory there, another file, nothing
        pass
    raise HiveError(
        ErrorCode.MANIFEST_INVALID,
        f"There is no time zone {quoted(name, limit=60)}: use a name such as "
        "Europe/Berlin or UTC.",
    )


def zone_of(name: str | None) -> ZoneInfo:
    """Return the configured zone; None: this machine's.

    Raises:
        HiveError: ``config_invalid`` if there is none of that name.
    """
    if name is None:
        return local_zone()
    try:
        return named_zone(name)
    except HiveError as error:
        raise HiveError(
            ErrorCode.CONFIG_INVALID, f"Invalid configuration: time_zone: {error}"
        ) from None


def local_zone() -> ZoneInfo:
    """Return this machine's time zone: ``TZ``, else ``/etc/localtime``, else UTC."""
    linked = os.path.realpath(_LOCALTIME).partition("zoneinfo/")[2]
    for name in (os.environ.get("TZ", "").removeprefix(":"), linked):
        try:
            return named_zone(name)
        except HiveError:
            continue
    try:
        with _LOCALTIME.open("rb") as file:
            return ZoneInfo.from_file(file, key="localtime")
    except (OSError, ValueError):
        return ZoneInfo("UTC")


def written(at: float, zone: tzinfo) -> str:
    """Format a time for people, in ``zone``."""
    moment = datetime.fromtimestamp(at, zone)
    form = "%a %Y-%m-%d %H:%M %Z" if moment.second == 0 else "%a %Y-%m-%d %H:%M:%S %Z"
    return moment.strftime(form)


def _plain(field: str) -> bool:
    """Return whether systemd accepts each number of a date or time."""
    if not field[0].isdigit() and field[0] != "*":
        return True  # weekdays, or a word: the library's own
    if ":" in field:
        bounds = (_HOUR, _SIXTY, _SIXTY)
        return all(map(_component, field.split(":"), bounds))
    parts = re.split("[-~]", field)
    dates = (_YEAR, _MONTH, _DAY)[3 - len(parts) :] if len(parts) < 4 else ()
    if "~" in field and not _from_the_end(parts[-1]):
        return False
    return len(parts) == len(dates) and all(map(_component, parts, dates))


def _from_the_end(days: str) -> bool:
    """Return whether systemd accepts days counted from the end of a month.

    The first of them may be 28, and each further one 3 less than the one before it.
    """
    if days == "*":
        return True
    numbers = days.split(",")
    if not all(map(str.isdecimal, numbers)):
        return False
    ordered = sorted(set(map(int, numbers)))
    return all(day <= 28 - 3 * place for place, day in enumerate(ordered))


def _component(text: str, bounds: tuple[int, int]) -> bool:
    return text == "*" or all(_term(term, bounds) for term in text.split(","))


def _term(text: str, bounds: tuple[int, int]) -> bool:
    match = _TERM.fullmatch(text)
    if match is None:
        return False
    start, end, step = match.groups()
    last = bounds[1] if end is None else _number(end, bounds)
    least = int(step or 1) if end or step else 0
    return step != "0" and _number(start, bounds) + least <= last


def _number(text: str, bounds: tuple[int, int]) -> int:
    """Return a number as systemd reads it: 26 is the year 2026."""
    number = int(text)
    if bounds is not _YEAR or number >= 100:
        return number
    return number + (1900 if number >= 70 else 2000)
