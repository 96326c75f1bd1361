"""Everything of one agent under ``/agents/NAME/api``, for its page and for scripts.

Forms obey the rules of all forms (session, Origin, CSRF token). ``events`` replays the
agent's history from hived and goes on with the live events under the same numbers, so
a page that loads or reconnects sees each event once: what the live stream cannot give
any more is read from the history again.
"""

import contextlib
import re
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec
from flask import Blueprint, Response, g, request

from pyglue import names
from pyglue.api.common import Method, Params, Result
from pyglue.api.control import CancelTurnOfParams, SetModelParams
from pyglue.api.events import Event
from pyglue.api.manager import AgentParams
from pyglue.api.operator import AGENT, CANCEL_TURN_OF, COMPACT, HISTORY, SET_MODEL
from pyglue.api.telemetry import HistoryPage, HistoryParams
from pyglue.errors import ErrorCode, HiveError
from pyglue.web.live.hub import Hub, Item, Listener
from pyglue.web.live.stream import admit, alive
from pyglue.web.pages import stats as stats_view
from pyglue.web.pages.common import field, needed
from pyglue.web.rpc import HiveLink, Web, hive, web

P = TypeVar("P", bound=Params)
R = TypeVar("R", bound=Result)

blueprint = Blueprint("agent_api", __name__, url_prefix="/agents/<name>/api")

_BEAT_S: Final = 20.0
_PAGE: Final = 500
_SEQ: Final = re.compile("[0-9]{1,15}")
_KINDS: Final = frozenset({"turn.started", "turn.event", "turn.ended"})


@blueprint.get("/state")
def state(name: str) -> Response:
    """Answer what the agent does now."""
    detail = hive().call(AGENT, AgentParams(agent=names.check(name)))
    return _json(detail.agent)


@blueprint.get("/stats")
def stats(name: str) -> Response:
    """Answer ``stats`` for this agent."""
    return stats_view.answer(names.check(name))


@blueprint.post("/model")
def model(name: str) -> Response:
    """Use another model from the next turn on; form field ``model``."""
    chosen = needed("model", "the name of a model", limit=256)
    return _do(SET_MODEL, SetModelParams(agent=names.check(name), model=chosen))


@blueprint.post("/cancel")
def cancel(name: str) -> Response:
    """Cancel the running turn; its mail waits again."""
    reason = field("reason", limit=1000) if "reason" in request.form else ""
    params = CancelTurnOfParams(agent=names.check(name), reason=reason[:1000])
    return _do(CANCEL_TURN_OF, params)


@blueprint.post("/compact")
def compact(name: str) -> Response:
    """Compact the agent's session."""
    return _do(COMPACT, AgentParams(agent=names.check(name)))


def _do(method: Method[P, R], params: P) -> Response:
    return _json(hive().call(method, params))


def _json(result: object) -> Response:
    return Response(msgspec.json.encode(result), content_type="application/json")


# --- history and what follows -------------------------------------------------------


@blueprint.get("/history")
def history(name: str) -> Response:
    """Answer ``history``; ``?before=``, ``?after=``, ``?limit=``."""
    limit = max(1, min(request.args.get("limit", 200, int), 1000))
    before = request.args.get("before", type=int)
    after = request.args.get("after", type=int)
    if (before or 1) < 1 or (after or 0) < 0 or max(before or 0, after or 0) > 2**53:
        raise HiveError(ErrorCode.BAD_REQUEST, "before and after are event numbers.")
    params = HistoryParams(
        agent=names.check(name), before=before, after=after, limit=limit
    )
    return _json(hive().call(HISTORY, params))


@blueprint.get("/events")
def events(name: str) -> Response:
    """Stream the agent's turns as ``text/event-stream``.

    ``Last-Event-ID`` or ``?since=`` replays what came after; without, from now on.
    """
    admit()
    agent = names.check(name)
    text = request.headers.get("Last-Event-ID") or request.args.get("since", "")
    since = int(text) if _SEQ.fullmatch(text) else None
    follow = _Follow(web(), g.session, agent)
    first = follow.page(since)  # refusals are answered before the stream begins
    start = first.seq if since is None else since
    stack = contextlib.ExitStack()
    listener = stack.enter_context(web().hub.listen(g.session, start))
    pages = None if since is None else first
    body = follow.stream(web().hub, listener, start, pages)
    response = Response(body, content_type="text/event-stream; charset=utf-8")
    response.headers["X-Accel-Buffering"] = "no"
    response.call_on_close(stack.close)
    return response


@dataclass
class _Follow:
    """One stream. It outlives its request, so it is given all that it needs."""

    known: Web
    session: str
    agent: str

    def page(self, after: int | None) -> HistoryPage:
        """Read a page after a number; with None only where the history stands.

        Raises:
            HiveError: what hived refused with.
        """
        link = HiveLink(self.known.socket, self.session)
        try:
            limit = 1 if after is None else _PAGE
            params = HistoryParams(agent=self.agent, after=after, limit=limit)
            return link.call(HISTORY, params)
        finally:
            link.close()

    def stream(
        self, hub: Hub, listener: Listener, seen: int, page: HistoryPage | None
    ) -> Iterator[str]:
        """Give what came after ``seen``: from ``page`` and its followers, then live."""
        yield "retry: 1000\n: connected\n\n"
        checked = time.monotonic()
        try:
            if page is not None:
                seen = yield from self._replay(seen, page)
            while (batch := hub.take(listener, _BEAT_S)) is not None:
                for item in batch:
                    if item.kind == "gap":
                        seen = yield from self._replay(seen, self.page(seen))
                    elif item.seq is None:
                        yield f"data: {item.text}\n\n"
                    elif self._is_ours(item) and item.seq > seen:
                        seen = item.seq
                        yield _event(item.seq, item.text)
                if time.monotonic() - checked >= _BEAT_S:
                    checked = time.monotonic()
                    if not alive(self.known, self.session):
                        return
                if not batch:
                    yield ": beat\n\n"
        except HiveError:
            return  # the client comes back with the last number that it saw

    def _is_ours(self, item: Item) -> bool:
        return item.agent == self.agent and item.kind in _KINDS

    def _replay(self, seen: int, page: HistoryPage) -> Generator[str, None, int]:
        """Give a page and those after it; returns the last number."""
        if page.is_cut and seen > 0:
            reason = "Events from before are not kept."
            gap = {"type": "gap", "seq": page.seq, "reason": reason}
            yield f"data: {msgspec.json.encode(gap).decode()}\n\n"
        while True:
            for event in page.events:
                yield _event(event.seq, _text(event))
            seen = max(seen, page.seq)
            if not page.more:
                return seen
            page = self.page(seen)


def _event(seq: int, text: str) -> str:
    return f"id: {seq}\ndata: {text}\n\n"


def _text(event: Event) -> str:
    shown = {"type": "event", **msgspec.structs.asdict(event)}
    return msgspec.json.encode(shown).decode()
