"""``GET /api/journal/NAME``: an agent's log, or hived's own as ``hive``.

A page as JSON, or as text with ``?format=text``; ``?follow=1`` streams as SSE: the
page, then additions to the log. hived checks names and units.
"""

import datetime
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from flask import Response
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
from pyglue.web.json.fields import converted
from pyglue.web.live import sse
from pyglue.web.live.followed import Followed
from pyglue.web.rpc import hive


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
    """Follow the log, after the last line that a reconnecting browser has seen."""
    if (seen := sse.last_id()) is not None:
        given = {**msgspec.to_builtins(params), "cursor": seen}
        params = converted(given, JournalParams)
    return _FOLLOWED.answer(params)


def _event(page: JournalPage | JournalNews) -> str:
    return sse.event(msgspec.json.encode(page).decode(), page.cursor)


def _news(news: JournalNews) -> str | None:
    return _event(news) if news.lines or news.gap or news.ended else None


_FOLLOWED: Final = Followed(
    call=JOURNAL_FOLLOW,
    note=JOURNAL_NEWS,
    first=_event,
    shown=_news,
    is_last=lambda news: news.ended is not None,
)


def _text(line: JournalLine) -> str:
    if line.at is None:
        return line.text
    at = datetime.datetime.fromtimestamp(line.at, datetime.UTC)
    return f"{at:%Y-%m-%dT%H:%M:%SZ} {line.text}"
