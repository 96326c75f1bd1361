"""The two live endpoints: a WebSocket for the pages, SSE for scripts and fallback.

Both read ``hub.Hub``. Without ``?turns=``, a WebSocket leaves out events inside turns
(``turn.event``), which only an agent's page shows; ``?turns=alice`` includes that
agent's, ``?turns=all`` (the default of SSE) everyone's; with ``?steps=true`` a page
gets the tool calls that begin and end instead (``steps``). ``?since=`` or SSE's
Last-Event-ID resumes. A browser's same-origin rules do not apply to WebSockets: host,
origin and session are checked before the handshake by ``auth.guard`` and ``admit``, and
again, by ``admit``, in the handler itself.
"""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial, wraps
from typing import Final, ParamSpec, cast

from flask import Blueprint, Flask, Response, g, request
from flask_sock import Sock
from simple_websocket import Server

from pyglue.api.common import AgentName, NoParams, Params
from pyglue.api.events import TurnEvent
from pyglue.api.operator import STATUS
from pyglue.errors import ErrorCode, HiveError
from pyglue.web.guard import auth, cookies
from pyglue.web.json.fields import Fields
from pyglue.web.live import sse
from pyglue.web.live.hub import Hub, Listener
from pyglue.web.live.ring import Item
from pyglue.web.rpc import HiveLink, Web, web

P = ParamSpec("P")

_BEAT: Final = '{"type": "beat"}'
"""Shows pages, which do not see a WebSocket's own pings, that it is alive."""
_SEND_TIMEOUT_S: Final = 20
_RETRY_MS: Final = 1000


class Query(Params, frozen=True):
    """The requested events: those after ``since``, and whose turns are included.

    With ``steps``, the tool calls that begin and end in turns that are not.
    """

    since: sse.Seq | None = None
    turns: AgentName = "all"
    steps: bool = False


class PageQuery(Query, frozen=True):
    """The same for the WebSocket of a page."""

    turns: AgentName = "none"


_PAGE: Final = Fields(PageQuery)


def init(app: Flask, hub: Hub) -> None:
    """Register the WebSocket."""

    class Wake(threading.Event):
        """Set by the WebSocket's reader when its client has disconnected."""

        def set(self) -> None:
            super().set()
            hub.wake()

    app.config["SOCK_SERVER_OPTIONS"] = {
        "ping_interval": sse.BEAT_S,
        "max_message_size": 64 * 1024,
        "event_class": Wake,
    }
    blueprint = Blueprint("stream", __name__)
    sock = Sock()
    blueprint.before_request(admit)
    sock.route("/live", bp=blueprint)(until_gone(_live))
    app.register_blueprint(blueprint)


def until_gone(serve: Callable[P, None]) -> Callable[P, None]:
    """End a WebSocket's handler when its page has gone, whatever it was doing."""

    @wraps(serve)
    def quietly(*args: P.args, **kwargs: P.kwargs) -> None:
        with contextlib.suppress(OSError):
            serve(*args, **kwargs)

    return quietly


def admit() -> None:
    """Refuse a stream that was not opened by a page or script of the operator.

    Raises:
        HiveError: ``forbidden`` for a foreign origin, ``unauthenticated``.
    """
    if "Upgrade" in request.headers or "Origin" in request.headers:
        auth.check_origin(request, auth.check_host(request))
    session = cookies.session_of(request, web().config)
    if session is None or not alive(web(), session):
        raise HiveError(ErrorCode.UNAUTHENTICATED, "You are not logged in.")


def alive(known: Web, session: str) -> bool:
    """Ask hived whether a session is valid; without hived, nothing is shown anyway."""
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
        asked = cast(PageQuery, _PAGE.read(request.args, {}))
    except HiveError as error:
        ws.close(1008, error.message[:100])
        return
    # A page that stops reading must not block this thread for ever.
    limit = struct.pack("ll", _SEND_TIMEOUT_S, 0)
    try:
        with _listen(asked) as listener:
            ws.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
            there = partial(getattr, ws, "connected")
            for item in _items(web(), listener, asked, there):
                if not ws.connected:
                    return
                ws.send(_BEAT if item is None else item.text)
    except HiveError as error:
        ws.close(1013, error.message[:100])
        return
    if ws.connected:
        ws.close(1001, "The stream has ended.")


def events(asked: Query) -> Response:
    """Stream events as ``text/event-stream``."""
    admit()
    # Registered before the headers are sent, so that an error can still be sent.
    stack = contextlib.ExitStack()
    listener = stack.enter_context(_listen(asked))
    body = _sse(_items(web(), listener, asked))
    return sse.answer(body, stack.close)


def _sse(items: Iterator[Item | None]) -> Iterator[str]:
    yield f"{sse.opening(_RETRY_MS)}: connected\n\n"
    for item in items:
        yield sse.BEAT if item is None else sse.event(item.text, item.seq)


def _listen(asked: Query) -> contextlib.AbstractContextManager[Listener]:
    return web().hub.listen(g.session, sse.resumed(asked.since))


def _items(
    known: Web,
    listener: Listener,
    asked: Query,
    wanted: Callable[[], bool] = lambda: True,
) -> Iterator[Item | None]:
    """Yield the requested events; None from time to time, as a sign of life.

    It outlives the context of its request, so it gets everything that it needs.
    """
    spoke = time.monotonic()
    watch = sse.Watch(lambda: alive(known, listener.session))
    while (batch := known.hub.take(listener, sse.BEAT_S, wanted)) is not None:
        for item in batch:
            shown = _shown(item, asked)
            if shown is not None:
                spoke = time.monotonic()
                yield shown
        if watch.has_ended():
            known.hub.end_session(listener.session)
        if not batch or time.monotonic() - spoke >= sse.BEAT_S:
            spoke = time.monotonic()
            yield None


def _shown(item: Item, asked: Query) -> Item | None:
    """Return the requested part of a message."""
    if item.kind != TurnEvent.KIND or asked.turns in ("all", item.agent):
        return item
    if not asked.steps or item.step is None:
        return None
    return Item(seq=item.seq, kind="step", agent=item.agent, text=item.step)
