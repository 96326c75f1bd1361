"""Values as people read them: times, money, hashes, JSON. Template filters only."""

import functools
import time
from datetime import UTC, datetime
from typing import Final

import msgspec
from markupsafe import Markup

_STEPS: Final = ((86400, "d"), (3600, "h"), (60, "min"))


def when(at: float, past: bool = True) -> Markup:
    """Return a time as markup that says how far away it is; pages have hundreds."""
    text = _datetime(at).isoformat(" ", "seconds")
    day, hour = text[:10], text[11:19]
    away = ago(at) if past else until(at)
    return Markup(  # noqa: S704 - digits and words of this module only
        f'<time datetime="{day}T{hour}Z" title="{day} {hour} UTC">{away}</time>'
    )


@functools.lru_cache(maxsize=64)
def badge(state: str) -> Markup:
    """Return what shows the state of an agent, an approval or an operation."""
    return Markup(
        '<span class="state s-{}" data-testid="state">{}</span>'  # escaped by format
    ).format(state, words(state))


def clock(at: float) -> str:
    """Return a time as ``2026-11-21 07:50:12 UTC``."""
    return _datetime(at).strftime("%Y-%m-%d %H:%M:%S UTC")


def ago(at: float) -> str:
    """Return how long ago a time was, in its largest unit."""
    seconds = time.time() - at
    if seconds < 5:
        return "now"
    return f"{_span(seconds)} ago"


def until(at: float) -> str:
    """Return how far away a time is."""
    seconds = at - time.time()
    return f"in {_span(seconds)}" if seconds > 0 else "now"


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
    return value.replace("_", " ")


def is_clipped(text: str | None, limit: int) -> bool:
    """Tell whether ``clip`` would cut ``text``."""
    return len(text or "") > limit


def pretty_json(text: str | None) -> str:
    """Return JSON text indented; what is no JSON comes back as it is."""
    if text is None:
        return ""
    try:
        # Formatting works on the text: numbers and key order stay as pinned.
        return msgspec.json.format(text, indent=2)
    except msgspec.DecodeError:
        return text
