"""Server-sent events: how every stream starts, resumes and ends.

A stream holds a thread for as long as its client reads. It looks now and then whether
its session still lives, whatever else happens on it.
"""

import time
from collections.abc import Callable, Iterator
from typing import Annotated, Final

from flask import Response, request
from msgspec import Meta

from pyglue.api.common import Params
from pyglue.web.json.fields import converted

CONTENT_TYPE: Final = "text/event-stream"
LAST_ID: Final = "Last-Event-ID"
BEAT: Final = ": beat\n\n"
BEAT_S: Final = 20.0
"""How often an idle stream shows a sign of life, and any looks after its session."""

Seq = Annotated[int, Meta(ge=0, le=10**15 - 1)]
"""The number of an event, from which a stream goes on."""


def opening(retry_ms: int) -> str:
    """Return what a stream begins with: when a browser that lost it comes back."""
    return f"retry: {retry_ms}\n"


def event(data: str, number: int | str | None = None) -> str:
    """Return one event; ``data`` is JSON, which has no line ends."""
    place = "" if number is None else f"id: {number}\n"
    return f"{place}data: {data}\n\n"


def last_id() -> str | None:
    """Return what a browser names when it comes back: the last event's id."""
    return request.headers.get(LAST_ID) or None


def resumed(since: int | None) -> int | None:
    """Return the number after which a stream goes on: the header's, else ``since``.

    Raises:
        HiveError: ``bad_request`` for a header that is no event's number.
    """
    seen = last_id()
    return since if seen is None else converted({"since": seen}, _Seen).since


def answer(body: Iterator[str], close: Callable[[], object]) -> Response:
    """Return a stream; ``close`` is called when either side ends it."""
    response = Response(body, content_type=f"{CONTENT_TYPE}; charset=utf-8")
    response.headers["X-Accel-Buffering"] = "no"
    response.call_on_close(close)
    return response


class _Seen(Params, frozen=True):
    since: Seq


class Watch:
    """Asks whether a stream's session lives, at most once in ``BEAT_S``."""

    def __init__(self, lives: Callable[[], bool]) -> None:
        self._lives = lives
        self._looked = time.monotonic()

    def has_ended(self, *, now: bool = False) -> bool:
        """Tell whether the session is over; with ``now`` it asks in any case."""
        if not now and time.monotonic() - self._looked < BEAT_S:
            return False
        self._looked = time.monotonic()
        return not self._lives()
