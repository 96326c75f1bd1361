"""Shared by several views: the frame's data, form fields, redirects."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import msgspec
from flask import redirect, request
from werkzeug.wrappers import Response

from pyglue import names
from pyglue.api.common import NoParams
from pyglue.api.inbox import MessagesParams
from pyglue.api.journal import JournalUnit
from pyglue.api.messages import BODY_LIMIT, MessageKind, body_too_large
from pyglue.api.operator import AGENTS, STATUS
from pyglue.api.overview import HiveStatus
from pyglue.errors import ErrorCode, HiveError
from pyglue.names import OPERATOR
from pyglue.web.errors import wants_json
from pyglue.web.guard import cookies
from pyglue.web.rpc import hive

T = TypeVar("T")

_OWN_PAGES: Final = re.compile(
    r"/(agents/[a-z0-9-]{1,16}|approvals(/[0-9]{1,16})?|messages(/[0-9]{1,16})?|inbox(\?show=[a-z]{1,8})?|drafts/[a-z0-9-]{1,16}|kept/[a-z0-9-]{1,16}|operations(/[0-9]{1,16})?|activity|charts|doctor|log|notifications|\?[\w%+.&=-]{1,800})?",
    re.ASCII,
)
_ID: Final = re.compile("[1-9][0-9]{0,15}")
_TEXT_MAX: Final = 200
_FATAL: Final = frozenset({ErrorCode.UNAVAILABLE, ErrorCode.UNAUTHENTICATED})


@dataclass(frozen=True)
class Part(Generic[T]):
    """A section's data, or a sentence that explains why there is none."""

    data: T | None
    problem: str | None = None


def part(read: Callable[[], T]) -> Part[T]:
    """Read one section, so that a failure does not affect the page's other sections.

    Raises:
        HiveError: when no section can be read: no hive, no session.
    """
    try:
        return Part(read())
    except HiveError as error:
        if error.code is ErrorCode.UNAVAILABLE:
            status()  # raises if hived itself is unreachable
        elif error.code in _FATAL:
            raise
        return Part(None, error.message)


def status() -> HiveStatus:
    """Return the data of every page's frame."""
    return hive().call(STATUS, NoParams())


def log_units(status: HiveStatus) -> tuple[JournalUnit, ...]:
    """Return an agent's logs: without a journal, harness and container have one."""
    if status.journal:
        return (JournalUnit.HARNESS, JournalUnit.MACHINE)
    return (JournalUnit.HARNESS,)


def agent_names() -> tuple[str, ...]:
    """Return the names that fields for an agent offer; none if they cannot be read."""
    read = part(lambda: hive().call(AGENTS, NoParams()).agents)
    return tuple(one.name for one in read.data or ())


def field(name: str, *, limit: int | None = None) -> str:
    """Return a form field, its line ends as ``\\n``.

    Raises:
        HiveError: ``bad_request`` when it is missing, ``too_large``.
    """
    value = request.form.get(name)
    if value is None:
        raise HiveError(
            ErrorCode.BAD_REQUEST, f"The form is missing the field {name!r}."
        )
    value = value.replace("\r\n", "\n")
    size = len(value.encode())
    if limit is not None and size > limit:
        if limit == BODY_LIMIT:
            raise body_too_large(size)
        raise HiveError(
            ErrorCode.TOO_LARGE,
            f"The text has {size:,} bytes; at most {limit:,}. Shorten it.",
        )
    return value


def needed(name: str, what: str, *, limit: int | None = None) -> str:
    """Return a form field that must not be empty.

    Raises:
        HiveError: ``bad_request`` with a sentence that names ``what``.
    """
    value = field(name, limit=limit).strip()
    if not value:
        raise HiveError(ErrorCode.BAD_REQUEST, f"Enter {what}.")
    return value


def asked_messages(limit: int, clip: int | None = None) -> MessagesParams:
    """Return which messages the query selects.

    Raises:
        HiveError: ``bad_request`` for an unknown kind, ``invalid_name``.
    """
    asked = request.args
    kind = asked.get("kind")
    if kind and kind not in set(MessageKind):
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            f"Invalid kind {kind[:40]!r}: use one of {', '.join(MessageKind)}.",
        )
    return MessagesParams(
        limit=limit,
        before=asked_before(),
        agent=asked_name("agent"),
        peer=asked_name("peer"),
        kind=MessageKind(kind) if kind else None,
        text=asked.get("text", "")[:_TEXT_MAX],
        clip=clip if clip is not None else asked_clip(),
    )


def asked_name(field: str) -> str | None:
    """Return an agent's name in the query, or the operator; None if there is none.

    Raises:
        HiveError: ``invalid_name``.
    """
    who = request.args.get(field)
    return None if not who else who if who == OPERATOR else names.check(who)


def asked_before() -> int | None:
    """Return the ID after which a page of older rows begins; None: the newest."""
    before = request.args.get("before", "")
    return int(before) if _ID.fullmatch(before) else None


def asked_clip() -> int | None:
    """Return the query's maximum number of characters of each body."""
    most = request.args.get("clip", type=int)
    return None if most is None else max(1, min(most, BODY_LIMIT))


def done(
    text: str,
    where: str = "/",
    *,
    operation: int | None = None,
    failed: bool = False,
) -> Response:
    """Answer a form that succeeded: redirect to a page of ours and show ``text`` there.

    The form's field ``back`` may name the page that contains it. ``operation`` is the
    operation that it started; ``failed``: part of it was refused, so the text stays
    until it is closed. The page's script gets the same as JSON and stays on the page.
    """
    back, _, anchor = request.form.get("back", "").partition("#")
    if _OWN_PAGES.fullmatch(back):
        where = f"{back}#{anchor}" if anchor.isalnum() else back
    if wants_json():
        result = {"text": text, "location": where, "operation": operation}
        result |= {"failed": True} if failed else {}
        return Response(msgspec.json.encode(result), content_type="application/json")
    response = redirect(where, 303)
    number = f" (operation {operation})" if operation is not None else ""
    cookies.set_flash(response, text + number)  # type: ignore[arg-type]
    return response
