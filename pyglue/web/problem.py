"""Errors for programs: one ``application/problem+json`` for every layer.

The app, the listener in front of it and gunicorn between them all use it.
"""

from http import HTTPStatus
from typing import Final

import msgspec

from pyglue.api.common import Result

CONTENT_TYPE: Final = "application/problem+json"


class Problem(Result, frozen=True):
    """A refusal for programs (RFC 9457): branch on ``code``, show ``detail``.

    ``code`` is hived's (docs/rpc.md), or the name of an HTTP status.
    """

    title: str
    status: int
    code: str
    detail: str
    type: str = "about:blank"


def body(status: int, code: str, sentence: str) -> bytes:
    """Return the body of an error."""
    title = HTTPStatus(status).phrase
    problem = Problem(title=title, status=status, code=code, detail=sentence)
    return msgspec.json.encode(problem)


def code_of(status: HTTPStatus) -> str:
    """Return the code of an error that only has a status."""
    return status.phrase.lower().replace(" ", "_")
