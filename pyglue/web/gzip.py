"""Static files are served compressed. Pages are not, and must never be.

A page contains the session's form token next to text from a query or an agent; their
compressed length would reveal the token to anyone watching the connection (BREACH).
Static files contain no secrets. Each is compressed once and cached.
"""

import functools
import gzip
from typing import Final

from flask import Flask, Response, request

_ENDPOINTS: Final = frozenset({"static", "vendor.vendor"})
_KINDS: Final = ("text/", "application/javascript", "image/svg+xml")
_LEAST: Final = 1024
_KEPT: Final = 64


def init(app: Flask) -> None:
    """Compress the static files of ``app``."""

    @functools.lru_cache(maxsize=_KEPT)
    def compressed(_path: str, _tag: str, body: bytes) -> bytes:
        return gzip.compress(body, 9, mtime=0)

    @app.after_request
    def pack(response: Response) -> Response:
        if request.endpoint not in _ENDPOINTS or response.status_code != 200:
            return response
        if not response.content_type.startswith(_KINDS):
            return response
        response.vary.add("Accept-Encoding")
        if request.accept_encodings["gzip"] <= 0:
            return response
        response.direct_passthrough = False
        body = response.get_data()
        if len(body) < _LEAST:
            return response
        tag, _weak = response.get_etag()
        response.set_data(compressed(request.path, tag or "", body))
        response.headers["Content-Encoding"] = "gzip"
        response.set_etag(tag or "", weak=True)  # the same file in another encoding
        return response
