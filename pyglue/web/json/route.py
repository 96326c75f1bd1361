"""A row of the HTTP API: path, call and description, and the resulting view."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import msgspec
from flask import Flask, Response, request
from werkzeug.datastructures import MultiDict

from pyglue.api.common import Method, Params
from pyglue.errors import ErrorCode
from pyglue.web.json.fields import Fields
from pyglue.web.live import sse
from pyglue.web.rpc import hive

JSON: Final = "application/json"
TEXT: Final = "text/plain"
STREAM: Final = sse.CONTENT_TYPE
_VARIABLE: Final = re.compile(r"<(\w+)>")
_CSRF: Final = "csrf"
"""The field of all our forms that ``auth`` has already checked."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """One row. ``takes`` are the parameters for ``answer``.

    ``gives`` is the type of its JSON, ``also`` lists other content types. A route that
    ``resumes`` continues after ``Last-Event-ID``; one with a ``token`` has no session.
    """

    name: str
    path: str
    about: str
    takes: type[Params]
    answer: Callable[[Any], Response]
    gives: object | None = None
    also: tuple[str, ...] = ()
    verb: str = "GET"
    renamed: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    """Descriptions of fields whose struct has none."""
    resumes: bool = False
    token: bool = False

    @cached_property
    def fields(self) -> Fields:
        """Return the fields of a request."""
        found = _VARIABLE.findall(self.path)
        return Fields(self.takes, path=found, renamed=self.renamed)

    def view(self, **path: str) -> Response:
        """Answer a request."""
        if self.verb == "GET":
            return self.answer(self.fields.read(request.args, path))
        asked = self.fields.read(_form(), path, too_long=ErrorCode.TOO_LARGE)
        return self.answer(asked)


def call(
    name: str,
    path: str,
    method: Method[Any, Any],
    about: str,
    *,
    verb: str = "GET",
    part: str = "",
    renamed: Mapping[str, str] | None = None,
    words: Mapping[str, str] | None = None,
) -> Route:
    """Return a route with hived's answer, or one ``part`` of it."""
    gives = method.result
    shape: Any = msgspec.Raw
    if part:
        gives = {one.name: one.type for one in msgspec.structs.fields(method.result)}[
            part
        ]
        shape = msgspec.defstruct("Part", [(part, msgspec.Raw)])
    passed = Method(method.name, method.params, shape)

    def answer(params: Params) -> Response:
        result = hive().call(passed, params)
        raw = getattr(result, part) if part else result
        return Response(bytes(raw), content_type=JSON)

    return Route(
        name=name,
        path=path,
        about=about,
        takes=method.params,
        answer=answer,
        gives=gives,
        verb=verb,
        renamed=renamed or {},
        words=words or {},
    )


def register(app: Flask, routes: tuple[Route, ...]) -> None:
    """Register these routes with ``app``."""
    for one in routes:
        app.add_url_rule(one.path, one.name, one.view, methods=[one.verb])


def _form() -> MultiDict[str, str]:
    """Return the fields of a form, stripped, with line ends as ``\\n``."""
    return MultiDict(
        (name, text.replace("\r\n", "\n").strip())
        for name, text in request.form.items(multi=True)
        if name != _CSRF
    )
