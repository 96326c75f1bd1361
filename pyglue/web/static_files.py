"""The dashboard's own static files, at addresses that change with their content.

``url_for("static", filename=…)`` gives ``/static/VERSION/…``, where the version is the
hash of all files: scripts import each other by relative addresses, so they change
together. What is asked for at the current version may be kept for good, anything else
(an address without a version, or the one of a page from before an update) is asked for
again each time.
"""

import hashlib
import re
from pathlib import Path
from typing import Any, Final

from flask import Flask, Response

_DIGITS: Final = 12
_VERSION: Final = re.compile(f"[0-9a-f]{{{_DIGITS}}}")
_YEAR_S: Final = 365 * 86400


def init(app: Flask, static: Path) -> str:
    """Serve the files of ``static`` by version, and return that."""
    current = version_of(static)

    def add_version(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static":
            values["filename"] = f"{current}/{values['filename']}"

    def serve(filename: str) -> Response:
        version, _, name = filename.partition("/")
        if not (name and _VERSION.fullmatch(version)):
            return app.send_static_file(filename)
        response = app.send_static_file(name)
        if version == current:
            kept = response.cache_control
            kept.no_cache = None
            kept.public, kept.max_age, kept.immutable = True, _YEAR_S, True
        return response

    app.url_defaults(add_version)
    app.view_functions["static"] = serve
    return current


def version_of(static: Path) -> str:
    """Return the hash of all files below a directory, and of their names."""
    digest = hashlib.sha256()
    for file in sorted(static.rglob("*")):
        if file.is_file():
            content = hashlib.sha256(file.read_bytes()).digest()
            digest.update(str(file.relative_to(static)).encode() + b"\0" + content)
    return digest.hexdigest()[:_DIGITS]
