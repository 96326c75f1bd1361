"""The HTTP API as an OpenAPI 3.1 document, generated from its rows.

Paths, verbs and descriptions come from ``table``, fields and limits from the structs to
which requests are converted. ``tools/generate_openapi.py`` writes the document to
``docs/openapi.json``; the dashboard serves the same at ``/api/openapi.json``, with its
own address and the name of its cookie.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from pyglue import __version__, strict_json
from pyglue.config import WebConfig
from pyglue.web.guard import auth
from pyglue.web.json.route import JSON, STREAM, Route
from pyglue.web.live import sse
from pyglue.web.problem import CONTENT_TYPE, Problem

Json = dict[str, Any]
Named = dict[object, Json]

_REF: Final = "#/components/schemas/{name}"
_VARIABLE: Final = re.compile(r"<(\w+)>")
_REFUSED: Final = {"$ref": "#/components/responses/problem"}
_INFO: Final = """\
What the dashboard shows, for scripts; answers are hived's own (docs/rpc.md). Times are
seconds since the epoch (UTC) and end in `_at`; amounts are US dollars and end in
`_usd`. Unknown fields and values outside their limits are refused. Every refusal is
`application/problem+json`: branch on `code`, never on the text. Approving and denying
are not included: use the dashboard or `hive`."""
_LICENSE: Final = {"name": "MIT", "identifier": "MIT"}
_STREAMED: Final = (
    "Server-sent events: `data` is one JSON text; send `id` as `Last-Event-ID` to "
    "continue after it. Ignore lines that begin with `:`; they are keep-alives."
)


@dataclass(frozen=True)
class Place:
    """A dashboard's cookie name and address (None: unknown)."""

    cookie: str
    url: str | None = None


def describe(routes: tuple[Route, ...], place: Place) -> Json:
    """Return the document for ``routes``."""
    named, schemas = _schemas(routes)
    paths: Json = {}
    for one in sorted(routes, key=lambda route: (route.path, route.verb)):
        path = paths.setdefault(_VARIABLE.sub(r"{\1}", one.path), {})
        path[one.verb.lower()] = _operation(one, named)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "hyperhive",
            "version": __version__,
            "description": _INFO,
            "license": _LICENSE,
        },
        "servers": [_server(place)],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {"problem": _problem(named)},
            "securitySchemes": _schemes(place),
        },
    }


_TAGS: Final = {
    "agent_api": "One agent: its state, turns and metrics, and commands to it.",
    "api": "The hive: agents, approvals, questions, messages, operations.",
    "journal": "Logs of agents and of hived.",
    "metrics": "Metrics for Prometheus.",
    "openapi": "This document.",
    "stats": "Metrics over time.",
    "stream": "Events as they happen.",
}


def _server(place: Place) -> Json:
    if place.url is not None:
        return {"url": place.url, "description": "This dashboard."}
    port = str(WebConfig().port)
    return {
        "url": "http://{host}:{port}",
        "description": "The address that `hive login` prints.",
        "variables": {"host": {"default": "localhost"}, "port": {"default": port}},
    }


def _operation(one: Route, named: Named) -> Json:
    return {
        "operationId": one.name.replace(".", "_"),
        "tags": [one.name.partition(".")[0]],
        "summary": one.about,
        "description": one.about,
        "parameters": [*_parameters(one, named), *_resumed(one)],
        **_form(one, named),
        "responses": {"200": _answer(one, named), "4XX": _REFUSED, "5XX": _REFUSED},
        "security": _security(one),
    }


def _schemes(place: Place) -> Json:
    return {
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": place.cookie,
            "description": "The session cookie. Its name ends in the dashboard's port; "
            "with https it begins with `__Host-`.",
        },
        "csrf": {
            "type": "apiKey",
            "in": "header",
            "name": "X-CSRF-Token",
            "description": "Hexadecimal HMAC-SHA256 of `csrf ORIGIN` under the "
            "session's token, where ORIGIN is the dashboard's address without a slash "
            "at its end. A request that changes something also needs the dashboard's "
            "own `Origin`.",
        },
        "metrics": {
            "type": "http",
            "scheme": "bearer",
            "description": "The token of `hive metrics-token`; valid for nothing else.",
        },
    }


def _problem(named: Named) -> Json:
    return {
        "description": "The request was refused, or it failed. 401: no valid session; "
        "405: `Allow` lists the methods that the address accepts; 429 and 503: "
        "`Retry-After` says when to try again.",
        "content": {CONTENT_TYPE: {"schema": named[Problem]}},
    }


def _security(one: Route) -> list[Json]:
    if one.token:
        return [{"metrics": []}]
    if one.verb in auth.SAFE_METHODS:
        return [{"session": []}]
    return [{"session": [], "csrf": []}]


def _fields(one: Route) -> Iterator[tuple[str, object, bool, Json]]:
    """Yield each field's name, type, whether it is required, and other schema keys."""
    for field in msgspec.structs.fields(one.fields.shape):
        about = one.words.get(field.name)
        more: Json = {} if about is None else {"description": about}
        required = one.fields.required(field.name)
        if not required and field.default is not None:
            more["default"] = msgspec.to_builtins(field.default)
        yield field.name, field.type, required, more


def _parameters(one: Route, named: Named) -> Iterator[Json]:
    for name, kind, required, more in _fields(one):
        in_path = name in one.fields.path
        if one.verb not in auth.SAFE_METHODS and not in_path:
            continue
        yield {
            "name": name,
            "in": "path" if in_path else "query",
            "required": required or in_path,
            "schema": {**named[kind], **more},
        }


def _resumed(one: Route) -> Iterable[Json]:
    if not one.resumes:
        return ()
    about = "Like `since`; browsers send it when they reconnect."
    schema = msgspec.json.schema(sse.Seq)
    place = {"name": sse.LAST_ID, "in": "header", "required": False}
    return ({**place, "schema": schema, "description": about},)


def _form(one: Route, named: Named) -> Json:
    found = [field for field in _fields(one) if field[0] not in one.fields.path]
    if one.verb in auth.SAFE_METHODS or not found:
        return {}
    needed = [name for name, _, required, _ in found if required]
    schema: Json = {
        "type": "object",
        "properties": {name: {**named[kind], **more} for name, kind, _, more in found},
        "required": needed,
        "additionalProperties": False,
    }
    content = {"application/x-www-form-urlencoded": {"schema": schema}}
    return {"requestBody": {"content": content, "required": bool(needed)}}


def _answer(one: Route, named: Named) -> Json:
    content: Json = {}
    if one.gives is not None:
        content[JSON] = {"schema": named[one.gives]}
    for kind in one.also:
        about = {"description": _STREAMED} if kind == STREAM else {}
        content[kind] = {"schema": {"type": "string", **about}}
    return {"description": "As asked.", "content": content}


def _schemas(routes: tuple[Route, ...]) -> tuple[Named, Json]:
    """Return the schemas of the named types, and the components they need."""
    kinds: dict[object, None] = {Problem: None}
    for one in routes:
        kinds |= {} if one.gives is None else {one.gives: None}
        kinds |= {kind: None for _, kind, _, _ in _fields(one)}
    found, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    # Docstrings are written for Sphinx, descriptions are Markdown.
    tidy = msgspec.json.encode((found, dict(sorted(components.items()))))
    found, components = _null_last(strict_json.read(tidy.replace(b"``", b"`"), Any))
    return dict(zip(kinds, found, strict=True)), components


def _null_last(schema: object) -> Any:  # noqa: ANN401
    """Give alternatives one order, whatever the version of msgspec."""
    if isinstance(schema, list):
        return [_null_last(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    tidy = {name: _null_last(value) for name, value in schema.items()}
    if isinstance(tidy.get("anyOf"), list):
        tidy["anyOf"].sort(key=lambda one: one == {"type": "null"})
    return tidy
