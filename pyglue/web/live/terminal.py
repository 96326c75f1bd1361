"""A terminal in an agent's container: a page, and the WebSocket behind it.

The page's bytes go to hived and on to the harness. Nothing is kept here, so a page that
loses its connection comes back with the terminal's ID and the amount it has shown. A
browser's same-origin rules do not apply to WebSockets: host, origin and session are
checked before the handshake and again in the handler.
"""

import contextlib
import re
import secrets
import threading
import time
from typing import Final

import msgspec
from flask import Blueprint, Flask, g, make_response, render_template, request
from flask_sock import Sock
from msgspec import Struct
from simple_websocket import ConnectionClosed, Server
from werkzeug.wrappers import Response

from pyglue import names, strict_json
from pyglue.api.terminal import (
    CHUNK,
    HARNESS_GONE,
    TERMINAL_ACK,
    TERMINAL_ATTACH,
    TERMINAL_DATA,
    TERMINAL_ENDED,
    TERMINAL_INPUT,
    TERMINAL_OPEN,
    TERMINAL_RESIZE,
    TerminalAckParams,
    TerminalAttachParams,
    TerminalDataParams,
    TerminalInputParams,
    TerminalOpenParams,
    TerminalResizeParams,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import SyncClient
from pyglue.strict_json import JsonError
from pyglue.web.guard import auth
from pyglue.web.live.hub import CLIENT
from pyglue.web.live.stream import admit, alive, until_gone
from pyglue.web.pages.common import status
from pyglue.web.rpc import agent_detail, web

_BEAT_S: Final = 20.0
_TERMINAL: Final = re.compile("[0-9a-f]{32}")


class Typed(Struct, frozen=True, tag="input", forbid_unknown_fields=True):
    """From the page: keys or a paste."""

    data: str


class Resized(Struct, frozen=True, tag="resize", forbid_unknown_fields=True):
    """From the page: its window was resized."""

    columns: int
    rows: int


class Shown(Struct, frozen=True, tag="shown", forbid_unknown_fields=True):
    """From the page: all output before ``offset`` is on the screen."""

    offset: int


def init(app: Flask) -> None:
    """Register the page and its WebSocket."""
    blueprint = Blueprint("terminal", __name__)
    blueprint.before_request(admit)
    blueprint.get("/agents/<name>/terminal")(page)
    sock = Sock()
    sock.route("/agents/<name>/terminal/ws", bp=blueprint)(until_gone(_serve))
    app.register_blueprint(blueprint)


def page(name: str) -> Response:
    """Show the terminal of an agent, or the reason why there is none."""
    detail = agent_detail(name)
    # xterm.js creates <style> elements, with this response's nonce.
    nonce = secrets.token_urlsafe(16)
    allowed = web().config.terminal
    body = render_template(
        "terminal.html",
        status=status(),
        agent=detail.agent,
        nonce=nonce,
        allowed=allowed,
    )
    response = make_response(body)
    response.headers["Content-Security-Policy"] = auth.CSP.replace(
        "style-src 'self'", f"style-src 'self' 'nonce-{nonce}'"
    )
    return response


def _serve(ws: Server, name: str) -> None:
    """Pass bytes between a page and hived until either side ends."""
    try:
        auth.check_host(request)
        admit()
        client = SyncClient(web().socket, client=CLIENT, session=g.session)
    except HiveError as error:
        ws.close(1008, error.message[:100])
        return
    try:
        terminal = _attach(ws, client, names.check(name))
        reader = threading.Thread(target=_show, args=(ws, client), daemon=True)
        reader.start()
        with contextlib.suppress(ConnectionClosed):
            _listen(ws, client, terminal)
    except HiveError as error:
        _tell(ws, "refused", error.code.value, error.message)
    finally:
        client.close()


def _attach(ws: Server, client: SyncClient, agent: str) -> str:
    asked = request.args.get("terminal", "")
    offset = request.args.get("offset", 0, int)
    if not _TERMINAL.fullmatch(asked):
        opened = client.call(TERMINAL_OPEN, TerminalOpenParams(agent=agent))
        asked, offset = opened.terminal, 0
    attached = client.call(
        TERMINAL_ATTACH, TerminalAttachParams(terminal=asked, offset=max(0, offset))
    )
    start = {"type": "open", "terminal": asked, "offset": attached.offset}
    ws.send(msgspec.json.encode(start).decode())
    return asked


def _show(ws: Server, client: SyncClient) -> None:
    """Pass on hived's output; runs in a thread."""
    with contextlib.suppress(ConnectionClosed, OSError, HiveError):
        for note in client.stream(TERMINAL_DATA, TERMINAL_ENDED):
            if isinstance(note, TerminalDataParams):
                ws.send(note.data)
            else:
                _tell(ws, "ended", _code(note.reason), note.reason)
                return
        ws.close(1001, "The connection to the hive was lost.")


def _code(reason: str) -> str:
    return ErrorCode.AGENT_NOT_RUNNING.value if reason == HARNESS_GONE else ""


def _listen(ws: Server, client: SyncClient, terminal: str) -> None:
    checked = time.monotonic()
    while ws.connected:
        text = ws.receive(timeout=_BEAT_S)
        if time.monotonic() - checked >= _BEAT_S:
            checked = time.monotonic()
            if not alive(web(), g.session):
                ws.close(1008, "The session has ended.")
                return
        if text is not None:
            _obey(client, terminal, text)


def _obey(client: SyncClient, terminal: str, text: str | bytes) -> None:
    try:
        message = strict_json.read(text, Typed | Resized | Shown)
        match message:
            case Typed():
                data = message.data.encode("utf-8", "replace")
                for at in range(0, len(data), CHUNK):
                    typed = TerminalInputParams(
                        terminal=terminal, data=data[at : at + CHUNK]
                    )
                    client.notify(TERMINAL_INPUT, typed)
            case Resized():
                size = TerminalResizeParams(
                    terminal=terminal, columns=message.columns, rows=message.rows
                )
                client.notify(TERMINAL_RESIZE, size)
            case Shown():
                shown = TerminalAckParams(terminal=terminal, offset=message.offset)
                client.notify(TERMINAL_ACK, shown)
    except (JsonError, ValueError) as error:
        raise HiveError(
            ErrorCode.BAD_REQUEST, "The page sent invalid input."
        ) from error


def _tell(ws: Server, kind: str, code: str, text: str) -> None:
    message = {"type": kind, "code": code, "text": text}
    with contextlib.suppress(ConnectionClosed, OSError):
        ws.send(msgspec.json.encode(message).decode())
        ws.close(1000, "The terminal has ended.")
