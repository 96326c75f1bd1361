"""``GET /api/journal/NAME``: an agent's log, or hived's own as ``hive``.

A page as JSON, or as text with ``?format=text``; ``?follow=1`` streams as SSE: the
page, then additions to the log. hived checks names and units. It feeds a stream as the
log grows and otherwise sends a beat, with which this end detects that its client has
disconnected.
"""

import contextlib
import datetime
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import partial
from typing import Annotated, Final

import msgspec
from flask import Response, g
from msgspec import Meta

from pyglue import names
from pyglue.api.journal import (
    JournalLine,
    JournalNews,
    JournalPage,
    JournalParams,
)
from pyglue.api.operator import JOURNAL, JOURNAL_FOLLOW, JOURNAL_NEWS
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import SyncClient
from pyglue.web.json.fields import converted
from pyglue.web.live import sse
from pyglue.web.live.hub import CLIENT
from pyglue.web.live.stream import alive
from pyglue.web.rpc import hive, web

_PATIENCE_S: Final = 90.0
_RETRY_MS: Final = 2000


class Format(StrEnum):
    """The format of a page."""

    JSON = "json"
    TEXT = "text"


_SHAPE: Final = {"pattern": names.PATTERN, "maxLength": names.LENGTH}
LogName = Annotated[str, Meta(extra_json_schema=_SHAPE)]
"""An agent's name or `hive`; there are no other logs."""


class Query(JournalParams, frozen=True):
    """The requested lines and their form: a page as JSON or text, or a stream."""

    agent: LogName
    format: Format = Format.JSON
    follow: bool = False


def answer(asked: Query) -> Response:
    """Answer ``journal``, or stream ``journal_follow``."""
    if not names.is_name(asked.agent):
        raise HiveError(ErrorCode.NOT_FOUND, "There is no agent with that name.")
    params = JournalParams(
        agent=asked.agent, unit=asked.unit, lines=asked.lines, cursor=asked.cursor
    )
    if asked.follow:
        return _stream(params)
    page = hive().call(JOURNAL, params)
    if asked.format is Format.TEXT:
        text = "".join(f"{_text(line)}\n" for line in page.lines)
        return Response(text, content_type="text/plain; charset=utf-8")
    return Response(msgspec.json.encode(page), content_type="application/json")


def _stream(params: JournalParams) -> Response:
    """Follow over a separate connection, which lasts as long as the stream."""
    session = g.session
    if (seen := sse.last_id()) is not None:
        given = {**msgspec.to_builtins(params), "cursor": seen}
        params = converted(given, JournalParams)
    client = SyncClient(web().socket, client=CLIENT, session=session)
    try:
        page = client.call(JOURNAL_FOLLOW, params)
    except BaseException:
        client.close()
        raise
    body = _sse(client, page, partial(alive, web(), session))
    return sse.answer(body, client.close)


def _sse(
    client: SyncClient, page: JournalPage, lives: Callable[[], bool]
) -> Iterator[str]:
    yield sse.opening(_RETRY_MS) + _event(page)
    watch = sse.Watch(lives)
    with contextlib.suppress(HiveError):  # hived has stopped sending
        for news in client.stream(JOURNAL_NEWS, timeout=_PATIENCE_S):
            beat = not (news.lines or news.gap or news.ended)
            yield sse.BEAT if beat else _event(news)
            if news.ended is not None or watch.has_ended(now=beat):
                return


def _event(page: JournalPage | JournalNews) -> str:
    return sse.event(msgspec.json.encode(page).decode(), page.cursor)


def _text(line: JournalLine) -> str:
    if line.at is None:
        return line.text
    at = datetime.datetime.fromtimestamp(line.at, datetime.UTC)
    return f"{at:%Y-%m-%dT%H:%M:%SZ} {line.text}"
