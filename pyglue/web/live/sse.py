"""Server-sent events: how every stream starts, resumes and ends.

A stream occupies a thread for as long as its client reads. It regularly checks whether
its session is still valid, whatever else happens on it.
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
"""How often an idle stream sends a sign of life, and any stream checks its session."""

Seq = Annotated[int, Meta(ge=0, le=10**15 - 1)]
"""The number of an event after which a stream continues."""


def opening(retry_ms: int) -> str:
    """Return the beginning of a stream: how soon a browser reconnects."""
    return f"retry: {retry_ms}\n"


def event(data: str, number: int | str | None = None) -> str:
    """Return one event; ``data`` is JSON, which has no line ends."""
    place = "" if number is None else f"id: {number}\n"
    return f"{place}data: {data}\n\n"


def last_id() -> str | None:
    """Return the ID of the last event, which a reconnecting browser sends."""
    return request.headers.get(LAST_ID) or None


def resumed(since: int | None) -> int | None:
    """Return the number after which a stream continues: the header's, else ``since``.

    Raises:
        HiveError: ``bad_request`` for a header that is not the number of an event.
    """
    seen = last_id()
    return since if seen is None else converted({"since": seen}, _Seen).since


def answer(body: Iterator[str], close: Callable[[], object]) -> Response:
    """Return a stream; ``close`` is called once either side ends it."""
    response = Response(body, content_type=f"{CONTENT_TYPE}; charset=utf-8")
    response.headers["X-Accel-Buffering"] = "no"
    response.call_on_close(close)
    return response


class _Seen(Params, frozen=True):
    since: Seq


class Watch:
    """Checks whether a stream's session is valid, at most once per ``BEAT_S``."""

    def __init__(self, lives: Callable[[], bool]) -> None:
        self._lives = lives
        self._looked = time.monotonic()

    def has_ended(self, *, now: bool = False) -> bool:
        """Return whether the session has ended; ``now`` forces the check."""
        if not now and time.monotonic() - self._looked < BEAT_S:
            return False
        self._looked = time.monotonic()
        return not self._lives()
