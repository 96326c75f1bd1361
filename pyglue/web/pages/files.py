"""Files of agents in ``/state`` and ``/shared``: lists, a viewer, downloads.

Agents write all of it: names and contents are shown as text, only its first bytes make
a file an image, and a downloaded file cannot run as a page of ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from flask import Blueprint, Response, render_template, request, stream_with_context
from markupsafe import Markup

from pyglue import names
from pyglue.api.files import FileChunk, FileKind, FileParams, FilesParams, FilesResult
from pyglue.api.operator import FILE, FILES
from pyglue.errors import ErrorCode, HiveError
from pyglue.text import file_names
from pyglue.web.pages.common import status
from pyglue.web.pages.highlight import plain
from pyglue.web.pages.markdown import WHOLE, markdown
from pyglue.web.rpc import hive

blueprint = Blueprint("files", __name__)

_IMAGES: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
_IMAGE_MAX: Final = 8 * 1024 * 1024
_LOOKED_AT: Final = 8192
"""Number of bytes by which text is distinguished from other data."""
_SEALED: Final = "default-src 'none'; sandbox; frame-ancestors 'none'"


@dataclass(frozen=True, kw_only=True)
class Content:
    """The content that the viewer shows; neither ``text`` nor ``image``: nothing."""

    size: int
    text: Markup | None = None
    is_markdown: bool = False
    left_out: int = 0
    """Bytes that are not shown."""
    image: str | None = None


@blueprint.get("/agents/<name>/files")
def of_agent(name: str) -> str:
    """Show a directory or a file of an agent's ``/state``."""
    return _show(names.check(name))


@blueprint.get("/shared")
def shared() -> str:
    """Show a directory or a file of ``/shared``."""
    return _show(None)


@blueprint.get("/agents/<name>/files/raw")
def raw_of_agent(name: str) -> Response:
    """Send a file of an agent's ``/state`` unchanged."""
    return _send(names.check(name))


@blueprint.get("/shared/raw")
def raw_shared() -> Response:
    """Send a file of ``/shared`` unchanged."""
    return _send(None)


def _show(agent: str | None) -> str:
    path = request.args.get("path", "")
    found = hive().call(FILES, FilesParams(agent=agent, path=path))
    return render_template(
        "files.html",
        status=status(),
        agent=agent,
        base=f"/agents/{agent}/files" if agent is not None else "/shared",
        top="/state" if agent is not None else "/shared",
        path=path,
        crumbs=_crumbs(path),
        found=found,
        content=_content(agent, path, found),
    )


def _crumbs(path: str) -> list[tuple[str, str]]:
    parts = path.split("/") if path else []
    return [
        (file_names.shown(part), "/".join(parts[: number + 1]))
        for number, part in enumerate(parts)
    ]


def _content(agent: str | None, path: str, found: FilesResult) -> Content | None:
    if found.here.kind is not FileKind.FILE:
        return None
    chunk = hive().call(FILE, FileParams(agent=agent, path=path))
    image = _image(chunk.data) if chunk.size <= _IMAGE_MAX else None
    if image is not None or b"\0" in chunk.data[:_LOOKED_AT]:
        return Content(size=chunk.size, image=image)
    text = chunk.data.decode("utf-8", "replace")
    left_out = max(0, chunk.size - len(chunk.data))
    formatted = path.lower().endswith(".md") and len(text) <= WHOLE
    if formatted and request.args.get("as") != "text":
        return Content(size=chunk.size, text=markdown(text), is_markdown=True)
    return Content(size=chunk.size, text=plain(text), left_out=left_out)


def _image(data: bytes) -> str | None:
    return next((kind for first, kind in _IMAGES if data.startswith(first)), None)


def _send(agent: str | None) -> Response:
    """Send a file: to be saved, or with ``show`` an image for our own page."""
    path = request.args.get("path", "")
    first = hive().call(FILE, FileParams(agent=agent, path=path))
    image = _image(first.data) if "show" in request.args else None
    if "show" in request.args and (image is None or first.size > _IMAGE_MAX):
        raise HiveError(ErrorCode.BAD_REQUEST, "Images of this type are not displayed.")
    body = stream_with_context(_bytes(agent, path, first))
    response = Response(body, content_type=image or "application/octet-stream")
    response.headers["Content-Length"] = str(first.size)
    response.headers["Content-Security-Policy"] = _SEALED
    if image is None:
        name = quote(file_names.shown(path.rpartition("/")[2]) or "file", safe="")
        response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{name}"
    return response


def _bytes(agent: str | None, path: str, first: FileChunk) -> Iterator[bytes]:
    """Yield a file of ``first.size`` bytes; one that shrinks meanwhile ends early."""
    sent, data = 0, first.data
    while data and sent < first.size:
        data = data[: first.size - sent]
        yield data
        sent += len(data)
        if sent < first.size:
            params = FileParams(agent=agent, path=path, offset=sent)
            data = hive().call(FILE, params).data
