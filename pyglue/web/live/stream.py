"""The two live endpoints: a WebSocket for the pages, SSE for scripts and fallback.

Both read ``hub.Hub``. Without ``?turns=`` a WebSocket leaves out what happens inside
turns (``turn.event``), which only an agent's page shows; ``?turns=alice`` is that
agent's, ``?turns=all`` (the default of SSE) everyone's. ``?since=`` or SSE's
Last-Event-ID resumes. A browser's same-origin rules do not hold for WebSockets: host,
origin and session are checked before the handshake by ``auth.guard`` and ``admit``
and again, by ``admit``, in the handler itself.
"""

import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial, wraps
from typing import Final, ParamSpec

from flask import Blueprint, Flask, Response, g, request
from flask_sock import Sock
from simple_websocket import Server

from pyglue.api.common import NoParams
from pyglue.api.operator import STATUS
from pyglue.errors import ErrorCode, HiveError
from pyglue.web.guard import auth
from pyglue.web.live.hub import Hub, Item, Listener
from pyglue.web.rpc import HiveLink, Web, web

P = ParamSpec("P")

_BEAT_S: Final = 20.0
"""How often an idle stream says that it lives, and checks that its session does."""
_BEAT: Final = '{"type": "beat"}'
"""Pages do not see a WebSocket's own pings; by this they know that it is not dead."""
_SEND_TIMEOUT_S: Final = 20
_SEQ: Final = re.compile("[0-9]{1,15}")
_TURN_EVENT: Final = "turn.event"


def init(app: Flask, hub: Hub) -> None:
    """Register both endpoints."""

    class Wake(threading.Event):
        """Set by the WebSocket's reader when its client is gone."""

        def set(self) -> None:
            super().set()
            hub.wake()

    app.config["SOCK_SERVER_OPTIONS"] = {
        "ping_interval": _BEAT_S,
        "max_message_size": 64 * 1024,
        "event_class": Wake,
    }
    blueprint = Blueprint("stream", __name__)
    sock = Sock()
    blueprint.before_request(admit)
    sock.route("/live", bp=blueprint)(until_gone(_live))
    blueprint.get("/api/events")(events)
    app.register_blueprint(blueprint)


def until_gone(serve: Callable[P, None]) -> Callable[P, None]:
    """Let a WebSocket's handler end where its page is gone, whatever it did then."""

    @wraps(serve)
    def quietly(*args: P.args, **kwargs: P.kwargs) -> None:
        with contextlib.suppress(OSError):
            serve(*args, **kwargs)

    return quietly


def admit() -> None:
    """Refuse a stream that no page or script of the operator opened.

    Raises:
        HiveError: ``forbidden`` for a foreign origin, ``unauthenticated``.
    """
    if "Upgrade" in request.headers or "Origin" in request.headers:
        auth.check_origin(request, auth.check_host(request))
    session = auth.session_of(request, web().config)
    if session is None or not alive(web(), session):
        raise HiveError(ErrorCode.UNAUTHENTICATED, "You are not logged in.")


def alive(known: Web, session: str) -> bool:
    """Ask hived whether a session lives; without hived nothing else can be seen."""
    link = HiveLink(known.socket, session)
    try:
        link.call(STATUS, NoParams())
    except HiveError as error:
        return error.code is not ErrorCode.UNAUTHENTICATED
    finally:
        link.close()
    return True


def _live(ws: Server) -> None:
    """Send events to a page until either side ends."""
    try:
        auth.check_host(request)
        admit()
    except HiveError as error:
        ws.close(1008, error.message[:100])
        return
    # A page that stops reading must not hold this thread for ever.
    limit = struct.pack("ll", _SEND_TIMEOUT_S, 0)
    try:
        with _listen() as listener:
            ws.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
            there = partial(getattr, ws, "connected")
            for item in _items(web(), listener, _turns("none"), there):
                if not ws.connected:
                    return
                ws.send(_BEAT if item is None else item.text)
    except HiveError as error:
        ws.close(1013, error.message[:100])
        return
    if ws.connected:
        ws.close(1001, "The stream is over.")


def events() -> Response:
    """Stream events as ``text/event-stream``."""
    # Registered before the headers go out, so that a refusal can still be one.
    stack = contextlib.ExitStack()
    listener = stack.enter_context(_listen())
    body = _sse(_items(web(), listener, _turns("all")))
    response = Response(body, content_type="text/event-stream; charset=utf-8")
    response.headers["X-Accel-Buffering"] = "no"
    response.call_on_close(stack.close)
    return response


def _sse(items: Iterator[Item | None]) -> Iterator[str]:
    yield "retry: 1000\n: connected\n\n"
    for item in items:
        if item is None:
            yield ": beat\n\n"
        elif item.seq is not None:
            yield f"id: {item.seq}\ndata: {item.text}\n\n"
        else:
            yield f"data: {item.text}\n\n"


def _listen() -> contextlib.AbstractContextManager[Listener]:
    since = request.headers.get("Last-Event-ID") or request.args.get("since", "")
    seen = int(since) if _SEQ.fullmatch(since) else None
    return web().hub.listen(g.session, seen)


def _turns(default: str) -> str:
    return request.args.get("turns", default)


def _items(
    known: Web,
    listener: Listener,
    turns: str,
    wanted: Callable[[], bool] = lambda: True,
) -> Iterator[Item | None]:
    """Give what the stream asked for; None now and then, as a sign of life.

    It outlives its request's context, so it is given all that it needs.
    """
    checked = spoke = time.monotonic()
    while (batch := known.hub.take(listener, _BEAT_S, wanted)) is not None:
        for item in batch:
            if item.kind != _TURN_EVENT or turns in ("all", item.agent):
                spoke = time.monotonic()
                yield item
        now = time.monotonic()
        if now - checked >= _BEAT_S:
            checked = now
            if not alive(known, listener.session):
                known.hub.end_session(listener.session)
        if not batch or now - spoke >= _BEAT_S:
            spoke = now
            yield None
