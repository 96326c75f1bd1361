"""``GET /api/journal/NAME``: an agent's log, or hived's own as ``hive``.

``?unit=`` harness or machine, ``?lines=`` up to 5000, ``?cursor=`` for what comes after
it, ``?format=text``; ``?follow=1`` streams as SSE: the page, then what is added to the
log. Names and units are hived's to judge. hived feeds a stream as the log grows and
sends a beat when it does not, by which this end finds out that its client has gone.
"""

import contextlib
import datetime
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import msgspec
from flask import Blueprint, Response, g, request

from pyglue.api.journal import (
    LINES_MAX,
    JournalLine,
    JournalNews,
    JournalPage,
    JournalParams,
    JournalUnit,
)
from pyglue.api.operator import JOURNAL, JOURNAL_FOLLOW, JOURNAL_NEWS
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import SyncClient
from pyglue.web.live.hub import CLIENT
from pyglue.web.live.stream import alive
from pyglue.web.rpc import hive, web

blueprint = Blueprint("journal", __name__, url_prefix="/api")

_LINES: Final = 200
_PATIENCE_S: Final = 90.0
_LOOK_S: Final = 20.0
"""How often it is seen to that the session lives, however much is logged."""


@blueprint.get("/journal/<name>")
def journal(name: str) -> Response:
    """Answer ``journal``, or stream ``journal_follow``."""
    params = _params(name)
    if request.args.get("follow", "0") not in ("", "0"):
        return _stream(params)
    page = hive().call(JOURNAL, params)
    if request.args.get("format") == "text":
        text = "".join(f"{_text(line)}\n" for line in page.lines)
        return Response(text, content_type="text/plain; charset=utf-8")
    return Response(msgspec.json.encode(page), content_type="application/json")


def _params(name: str) -> JournalParams:
    """Return what was asked for.

    Raises:
        HiveError: ``bad_request``; ``not_found`` for what can be nobody's name.
    """
    if len(name) > 64:
        raise HiveError(ErrorCode.NOT_FOUND, "There is no such agent.")
    unit = request.args.get("unit")
    if unit is not None and unit not in set(JournalUnit):
        raise HiveError(
            ErrorCode.BAD_REQUEST, f"unit is one of: {', '.join(JournalUnit)}."
        )
    cursor = request.args.get("cursor") or request.headers.get("Last-Event-ID")
    if cursor is not None and len(cursor) > 512:
        raise HiveError(ErrorCode.BAD_REQUEST, "The cursor is too long.")
    return JournalParams(
        agent=name,
        unit=None if unit is None else JournalUnit(unit),
        lines=max(1, min(request.args.get("lines", _LINES, int), LINES_MAX)),
        cursor=cursor,
    )


def _stream(params: JournalParams) -> Response:
    """Follow over a connection of its own, which lives as long as the stream."""
    session = g.session
    client = SyncClient(web().socket, client=CLIENT, session=session)
    try:
        page = client.call(JOURNAL_FOLLOW, params)
    except BaseException:
        client.close()
        raise
    body = _sse(client, page, partial(alive, web(), session))
    response = Response(body, content_type="text/event-stream; charset=utf-8")
    response.headers["X-Accel-Buffering"] = "no"
    response.call_on_close(client.close)
    return response


def _sse(
    client: SyncClient, page: JournalPage, lives: Callable[[], bool]
) -> Iterator[str]:
    yield "retry: 2000\n" + _event(page)
    looked = time.monotonic()
    with contextlib.suppress(HiveError):  # hived says nothing any more
        for news in client.stream(JOURNAL_NEWS, timeout=_PATIENCE_S):
            beat = not (news.lines or news.gap or news.ended)
            yield ": beat\n\n" if beat else _event(news)
            if news.ended is not None:
                return
            if beat or time.monotonic() - looked > _LOOK_S:
                looked = time.monotonic()
                if not lives():
                    return


def _event(page: JournalPage | JournalNews) -> str:
    text = msgspec.json.encode(page).decode()
    place = "" if page.cursor is None else f"id: {page.cursor}\n"
    return f"{place}data: {text}\n\n"


def _text(line: JournalLine) -> str:
    if line.at is None:
        return line.text
    at = datetime.datetime.fromtimestamp(line.at, datetime.UTC)
    return f"{at:%Y-%m-%dT%H:%M:%SZ} {line.text}"
