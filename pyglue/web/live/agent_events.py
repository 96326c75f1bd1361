"""``/agents/NAME/api/events``: an agent's turns, past and future.

The stream replays the agent's history from hived and continues with live events under
the same numbers, so a page that loads or reconnects sees each event once: events that
the live stream no longer has are read from the history again.
"""

import contextlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec
from flask import Response, g

from pyglue.api.common import AgentName, Params
from pyglue.api.events import TurnEnded, TurnEvent, TurnStarted
from pyglue.api.metrics import HistoryPage, HistoryParams
from pyglue.api.operator import HISTORY
from pyglue.errors import HiveError
from pyglue.web.live import sse
from pyglue.web.live.hub import Hub, Listener
from pyglue.web.live.ring import Item, text_of
from pyglue.web.live.stream import admit, alive
from pyglue.web.rpc import HiveLink, Web, web

_PAGE: Final = 500
_RETRY_MS: Final = 1000
_KINDS: Final = frozenset({TurnStarted.KIND, TurnEvent.KIND, TurnEnded.KIND})


class Query(Params, frozen=True):
    """An agent's turns after ``since``."""

    agent: AgentName
    since: sse.Seq | None = None


def events(asked: Query) -> Response:
    """Stream the agent's turns as ``text/event-stream``."""
    admit()
    since = sse.resumed(asked.since)
    follow = _Follow(web(), g.session, asked.agent)
    first = follow.page(since)  # errors are answered before the stream begins
    start = first.seq if since is None else since
    stack = contextlib.ExitStack()
    listener = stack.enter_context(web().hub.listen(g.session, start))
    pages = None if since is None else first
    return sse.answer(follow.stream(web().hub, listener, start, pages), stack.close)


@dataclass
class _Follow:
    """One stream. It outlives its request, so it gets everything that it needs."""

    known: Web
    session: str
    agent: str

    def page(self, after: int | None) -> HistoryPage:
        """Read a page after a number; None only returns the end of the history.

        Raises:
            HiveError: hived's error.
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
        """Yield events after ``seen``: ``page``, following pages, then live events."""
        yield f"{sse.opening(_RETRY_MS)}: connected\n\n"
        watch = sse.Watch(lambda: alive(self.known, self.session))
        try:
            if page is not None:
                seen = yield from self._replay(seen, page)
            while (batch := hub.take(listener, sse.BEAT_S)) is not None:
                for item in batch:
                    if item.kind == "gap":
                        seen = yield from self._replay(seen, self.page(seen))
                    elif item.seq is None:
                        yield sse.event(item.text)
                    elif self._is_ours(item) and item.seq > seen:
                        seen = item.seq
                        yield sse.event(item.text, item.seq)
                if watch.has_ended():
                    return
                if not batch:
                    yield sse.BEAT
        except HiveError:
            return  # the client comes back with the last number it saw

    def _is_ours(self, item: Item) -> bool:
        return item.agent == self.agent and item.kind in _KINDS

    def _replay(self, seen: int, page: HistoryPage) -> Generator[str, None, int]:
        """Yield a page and those after it; return the last number."""
        if page.is_cut and seen > 0:
            reason = "Events from before are not kept."
            gap = {"type": "gap", "seq": page.seq, "reason": reason}
            yield sse.event(msgspec.json.encode(gap).decode())
        while True:
            for event in page.events:
                yield sse.event(text_of(event), event.seq)
            seen = max(seen, page.seq)
            if not page.more:
                return seen
            page = self.page(seen)
