"""The HTTP API as an OpenAPI 3.1 document, made from the types that answer it.

Paths, verbs and summaries are those of the registered views, fields those of the
structs of ``pyglue.api``; only which struct belongs to which view is said here, and a
view without an entry fails the document. ``tools/generate_openapi.py`` writes it to
``docs/openapi.json``, and the dashboard answers ``/api/openapi.json`` with the same.
"""

import inspect
import re
import typing
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from flask import Blueprint, Flask, Response, current_app

from pyglue import __version__
from pyglue.api import operator as api
from pyglue.api.approvals import ApprovalsParams
from pyglue.api.common import Done, Method, Params
from pyglue.api.control import CancelTurnOfParams, SetModelParams
from pyglue.api.journal import JournalParams
from pyglue.api.messages import InboxParams, MessagesParams
from pyglue.api.overview import AgentView
from pyglue.api.telemetry import HistoryParams, StatsParams
from pyglue.web.errors import Problem

blueprint = Blueprint("openapi", __name__)

Json = dict[str, Any]

_REF: Final = "#/components/schemas/{name}"
_STREAM: Final = "text/event-stream"
_ROUTES: Final = re.compile(r"/api/|/agents/<name>/api/|/metrics$")
_VARIABLE: Final = re.compile(r"<(?:(int):)?(\w+)>")
_NAME: Final = {"type": "string", "pattern": "^[a-z][a-z0-9-]{0,8}$"}
_ID: Final = {"type": "integer", "minimum": 1, "maximum": 2**53}
_SEQ: Final = {"type": "integer", "minimum": 0, "maximum": 10**15 - 1}
_INFO: Final = """\
What the dashboard shows, for scripts; answers are hived's own (docs/rpc.md). Times are
seconds since the epoch (UTC) and end in `_at`; amounts are US dollars and end in
`_usd`. A query field that says nothing valid about how much to show is read as its
default. Every refusal is `application/problem+json`: branch on `code`, never on the
text. Approving and denying are no part of this: that is done in the dashboard or by
`hive`."""


@dataclass(frozen=True)
class Query:
    """A query field: a field of a struct, or ``schema`` where it has none."""

    name: str
    of: type[Params] | None = None
    field: str = ""
    schema: Json | None = None
    about: str = ""
    default: object = None


@dataclass(frozen=True)
class Entry:
    """What a view answers: ``result`` as JSON, and other kinds of content."""

    result: type[Any] | None = None
    query: tuple[Query, ...] = ()
    form: tuple[Query, ...] = ()
    other: tuple[str, ...] = ()
    is_stream: bool = False
    token: bool = False


def _call(method: Method[Any, Any], *query: Query) -> Entry:
    return Entry(method.result, query)


def _fields(of: type[Params], *names: str) -> tuple[Query, ...]:
    return tuple(Query(name, of) for name in names)


_LIMIT: Final = Query(
    "limit", InboxParams, about="How many; 50 when not given.", default=50
)
_FIGURES: Final = (
    *_fields(StatsParams, "since", "until", "step"),
    Query("key", StatsParams, "keys", about="May be given several times."),
)
_FROM: Final = (
    Query("since", schema=_SEQ, about="Replay what came after this event."),
    Query("turns", schema={"type": "string"}, about="An agent's name, `all`, `none`."),
)

ENTRIES: Final[dict[str, Entry]] = {
    "openapi.document": Entry(dict),
    "api.status": _call(api.STATUS),
    "api.agents": _call(api.AGENTS),
    "api.agent": _call(api.AGENT),
    "api.approvals": _call(
        api.APPROVALS, *_fields(ApprovalsParams, "state", "agent", "before"), _LIMIT
    ),
    "api.approval": _call(api.APPROVAL),
    "api.questions": _call(api.QUESTIONS),
    "api.inbox": _call(api.INBOX, _LIMIT, *_fields(InboxParams, "clip")),
    "api.messages": _call(
        api.MESSAGES,
        *_fields(MessagesParams, "before", "agent", "kind", "text", "clip"),
        _LIMIT,
    ),
    "api.operations": _call(api.OPERATIONS),
    "api.operation": _call(api.OPERATION),
    "stats.stats": _call(api.STATS, *_fields(StatsParams, "agent"), *_FIGURES),
    "journal.journal": Entry(
        api.JOURNAL.result,
        (
            *_fields(JournalParams, "unit", "lines", "cursor"),
            Query("format", schema={"enum": ["json", "text"]}, default="json"),
            Query(
                "follow",
                schema={"enum": ["0", "1"]},
                about="1 streams: the page, then `journal_news` of docs/rpc.md.",
                default="0",
            ),
        ),
        other=("text/plain", _STREAM),
    ),
    "stream.events": Entry(query=_FROM, other=(_STREAM,), is_stream=True),
    "agent_api.state": Entry(AgentView),
    "agent_api.stats": _call(api.STATS, *_FIGURES),
    "agent_api.history": _call(
        api.HISTORY, *_fields(HistoryParams, "before", "after", "limit")
    ),
    "agent_api.events": Entry(query=_FROM[:1], other=(_STREAM,), is_stream=True),
    "agent_api.model": Entry(
        api.SET_MODEL.result, form=(Query("model", SetModelParams),)
    ),
    "agent_api.cancel": Entry(Done, form=(Query("reason", CancelTurnOfParams),)),
    "agent_api.compact": Entry(Done),
    "metrics.metrics": Entry(other=("text/plain",), token=True),
}


@blueprint.get("/api/openapi.json")
def document() -> Response:
    """Answer this document."""
    body = msgspec.json.encode(describe(current_app))
    return Response(body, content_type="application/json")


def describe(app: Flask) -> Json:
    """Return the document of the views that ``app`` has.

    Raises:
        KeyError: a view of the API has no entry here.
    """
    named, schemas = _schemas()
    paths: Json = {}
    for rule in sorted(app.url_map.iter_rules(), key=lambda one: one.rule):
        if _ROUTES.match(rule.rule) is None:
            continue
        entry, view = ENTRIES[rule.endpoint], app.view_functions[rule.endpoint]
        place = paths.setdefault(_VARIABLE.sub(r"{\2}", rule.rule), {})
        for verb in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            place[verb.lower()] = {
                "operationId": rule.endpoint.replace(".", "_"),
                "tags": [rule.endpoint.partition(".")[0]],
                **_words(view.__doc__),
                "parameters": [
                    *map(_variable, _VARIABLE.findall(rule.rule)),
                    *(_parameter(one, named) for one in entry.query),
                    *_resumed(entry),
                ],
                **_form(entry, verb, named),
                "responses": {
                    "200": _answer(entry, named),
                    "default": {"$ref": "#/components/responses/problem"},
                },
                "security": _security(entry, verb),
            }
    return {
        "openapi": "3.1.0",
        "info": {"title": "hyperhive", "version": __version__, "description": _INFO},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {"problem": _problem(named)},
            "securitySchemes": _SCHEMES,
        },
    }


_SCHEMES: Final[Json] = {
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "hive_7000",
        "description": "The session that a login made; the number is the dashboard's "
        "port, and under https the name begins with `__Host-`.",
    },
    "csrf": {
        "type": "apiKey",
        "in": "header",
        "name": "X-CSRF-Token",
        "description": "Hexadecimal HMAC-SHA256 of `csrf ORIGIN` under the session's "
        "token, where ORIGIN is the dashboard's address without a slash at its end. "
        "A request that changes something also needs the dashboard's own `Origin`.",
    },
    "metrics": {
        "type": "http",
        "scheme": "bearer",
        "description": "What `hive metrics-token` prints; opens nothing else.",
    },
}


def _problem(named: dict[Any, Json]) -> Json:
    return {
        "description": "It was refused, or it failed. 401: no live session; 503 and "
        "429 say in `Retry-After` when to come back.",
        "content": {"application/problem+json": {"schema": named[Problem]}},
    }


def _security(entry: Entry, verb: str) -> list[Json]:
    if entry.token:
        return [{"metrics": []}]
    return [{"session": []} if verb == "GET" else {"session": [], "csrf": []}]


def _words(said: str | None) -> Json:
    """Return summary and description out of a view's docstring."""
    text = inspect.cleandoc(said or "").replace("``", "`")
    first, _, rest = text.partition("\n\n")
    words = {"summary": " ".join(first.split())}
    return {**words, "description": rest} if rest else words


def _variable(found: tuple[str, str]) -> Json:
    kind, name = found
    schema = _ID if kind else _NAME
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _parameter(one: Query, named: dict[Any, Json]) -> Json:
    shown = {"name": one.name, "in": "query", "schema": _schema_of(one, named)}
    return {**shown, "description": one.about} if one.about else shown


def _resumed(entry: Entry) -> list[Json]:
    if not entry.is_stream:
        return []
    about = "As `since`, which browsers send when they come back."
    place = {"name": "Last-Event-ID", "in": "header", "description": about}
    return [{**place, "schema": _SEQ}]


def _schema_of(one: Query, named: dict[Any, Json]) -> Json:
    schema = dict(one.schema or named[_hint(one)])
    if one.default is not None:
        schema["default"] = one.default
    return schema


def _form(entry: Entry, verb: str, named: dict[Any, Json]) -> Json:
    if verb == "GET" or not entry.form:
        return {}
    needed = [one.name for one in entry.form if one.name == "model"]
    schema: Json = {
        "type": "object",
        "properties": {one.name: _schema_of(one, named) for one in entry.form},
        "required": needed,
    }
    content = {"application/x-www-form-urlencoded": {"schema": schema}}
    return {"requestBody": {"content": content, "required": bool(needed)}}


def _answer(entry: Entry, named: dict[Any, Json]) -> Json:
    content: Json = {kind: {"schema": {"type": "string"}} for kind in entry.other}
    if entry.result is not None:
        content = {"application/json": {"schema": named[entry.result]}, **content}
    return {"description": "As asked.", "content": content}


def _hint(one: Query) -> object:
    """Return the type of a query field, without the None that leaving it out means."""
    hint = typing.get_type_hints(one.of, include_extras=True)[one.field or one.name]
    parts = typing.get_args(hint)
    kinds = [kind for kind in parts if kind is not type(None)]
    found: object = kinds[0] if len(kinds) < len(parts) else hint
    return found


def _schemas() -> tuple[dict[Any, Json], Json]:
    """Return the schema of each type that is named, and the components they need."""
    kinds: dict[Any, None] = {Problem: None}
    for entry in ENTRIES.values():
        kinds |= {} if entry.result is None else {entry.result: None}
        kinds |= {_hint(one): None for one in (*entry.query, *entry.form) if one.of}
    found, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    # Docstrings are written for Sphinx, descriptions are Markdown.
    tidy = msgspec.json.encode((found, dict(sorted(components.items()))))
    found, components = msgspec.json.decode(tidy.replace(b"``", b"`"))
    return dict(zip(kinds, found, strict=True)), components
