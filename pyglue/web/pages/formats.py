"""Values formatted for people: times, money, hashes, JSON. Template filters only."""

import functools
import re
import time
from datetime import UTC, datetime
from typing import Final

from markupsafe import Markup, escape

from pyglue import strict_json
from pyglue.api.approvals import ApprovalState
from pyglue.strict_json import JsonError
from pyglue.text.display import named

_STEPS: Final = ((86400, "d"), (3600, "h"), (60, "min"))
_NOW_S: Final = 5
_EXACT_S: Final = 10
_CALLER: Final = re.compile(r"\bsession ([0-9a-f]{8})\b|\bcli uid ([0-9]{1,10})\b")
_COMMAND: Final = re.compile(r"`([^`\n]+)`")
_OPERATION: Final = re.compile(r"\boperation ([0-9]{1,15})\b")


def when(at: float, past: bool = True) -> Markup:
    """Return a time as markup with its distance from now; pages have hundreds."""
    return _time(at, ago(at) if past else until(at), "")


def lasting(at: float) -> Markup:
    """Return the start of a state as markup that shows its duration."""
    seconds = time.time() - at
    away = "just now" if seconds < _NOW_S else f"for {_span(seconds)}"
    return _time(at, away, ' class="lasting"')


def _time(at: float, away: str, css: str) -> Markup:
    text = _datetime(at).isoformat(" ", "seconds")
    day, hour = text[:10], text[11:19]
    return Markup(  # noqa: S704 - digits and words of this module only
        f'<time{css} datetime="{day}T{hour}Z" title="{day} {hour} UTC">{away}</time>'
    )


def who(text: str, mine: str | None) -> str:
    """Return ``text`` with hived's names of callers in the operator's words.

    ``mine`` is the name of the session that reads it.
    """

    def named(found: re.Match[str]) -> str:
        session, uid = found.groups()
        if found.group() == mine:
            return "you"
        if session is not None:
            return f"another browser ({session})"
        return "root on the command line" if uid == "0" else f"uid {uid} on the CLI"

    return _CALLER.sub(named, text)


def linked(text: str) -> Markup:
    """Return a sentence of ours with its operation as a link."""
    link = r'<a href="/operations/\1">operation \1</a>'
    shown = str(escape(named(text)))
    return Markup(_OPERATION.sub(link, shown))  # noqa: S704 - escaped above


def coded(text: str) -> Markup:
    """Return a sentence of ours with its `` `commands` `` as code."""
    shown = str(escape(named(text)))
    return Markup(_COMMAND.sub(r"<code>\1</code>", shown))  # noqa: S704 - escaped above


@functools.lru_cache(maxsize=64)
def badge(state: str) -> Markup:
    """Return the badge of a state of an agent, an approval or an operation."""
    return Markup(
        '<span class="state s-{}" data-testid="state">{}</span>'  # escaped by format
    ).format(state, words(state))


def clock(at: float) -> Markup:
    """Return a time as markup: ``2026-11-21 07:50:12 UTC``."""
    text = _datetime(at).isoformat(" ", "seconds")[:19]
    return _time(at, f"{text} UTC", ' class="clock"')


def hour(at: float) -> Markup:
    """Return a time of this day as markup: ``16:40 UTC``."""
    return _time(at, f"{_datetime(at):%H:%M} UTC", ' class="hour"')


def ago(at: float) -> str:
    """Return how long ago a time was, in its largest unit."""
    seconds = time.time() - at
    if seconds < _NOW_S:
        return "just now"
    return f"{_span(seconds)} ago"


def until(at: float) -> str:
    """Return how far away a time is."""
    seconds = at - time.time()
    return f"in {_span(seconds)}" if seconds > 0 else "now"


def seconds(span: float) -> str:
    """Return how long something took: tenths of a second below ten seconds."""
    return f"{max(span, 0):.1f} s" if span < _EXACT_S else _span(span)


def _span(seconds: float) -> str:
    for size, unit in _STEPS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def _datetime(at: float) -> datetime:
    try:
        return datetime.fromtimestamp(at, UTC)
    except (OverflowError, OSError, ValueError):
        return datetime.fromtimestamp(0, UTC)


def usd(amount: float) -> str:
    """Return an amount of US dollars."""
    return f"${amount:,.2f}"


def short_sha(value: str | None) -> str:
    """Return the first 12 characters of a commit or hash."""
    return (value or "none")[:12]


def words(value: str) -> str:
    """Return a name such as ``rate_limited`` as words."""
    if value == ApprovalState.BUILDING:
        return ApprovalState.BUILDING.word
    return value.replace("_", " ")


def pretty_json(text: str | None) -> str:
    """Return JSON text indented; text that is not JSON is returned unchanged."""
    if text is None:
        return ""
    try:
        return strict_json.indented(text)
    except JsonError:
        return text
