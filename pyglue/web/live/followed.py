"""Streams of what a call of hived follows: a log, or the text that a model is writing.

Each has a connection of its own, which lasts as long as the stream, so that hived knows
whether anybody watches. hived sends beats, with which this end detects that its client
has disconnected.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, TypeVar

from flask import Response, g

from pyglue.api.common import Method, Note, Params, Result
from pyglue.errors import HiveError
from pyglue.jsonrpc import SyncClient
from pyglue.web.live import sse
from pyglue.web.live.hub import CLIENT
from pyglue.web.live.stream import alive
from pyglue.web.rpc import web

P = TypeVar("P", bound=Params)
R = TypeVar("R", bound=Result)
N = TypeVar("N", bound=Params)
_SILENCE_S: Final = 90.0
"""How long hived may send nothing, not even a beat."""
_RETRY_MS: Final = 2000


@dataclass(frozen=True, kw_only=True)
class Followed(Generic[P, R, N]):
    """A call, and how its result and its notifications are sent.

    ``shown`` returns the event of a notification, None for a beat; after one for which
    ``is_last`` is true, the stream ends.
    """

    call: Method[P, R]
    note: Note[N]
    first: Callable[[R], str]
    shown: Callable[[N], str | None]
    is_last: Callable[[N], bool] = lambda _: False

    def answer(self, params: P) -> Response:
        """Follow until either side ends it.

        Raises:
            HiveError: hived refuses the call.
        """
        session = g.session
        client = SyncClient(web().socket, client=CLIENT, session=session)
        try:
            result = client.call(self.call, params)
        except BaseException:
            client.close()
            raise
        body = self.sent(client, result, partial(alive, web(), session))
        return sse.answer(body, client.close)

    def sent(
        self, client: SyncClient, result: R, lives: Callable[[], bool]
    ) -> Iterator[str]:
        """Yield the stream, while ``lives`` says that its session is valid."""
        yield sse.opening(_RETRY_MS) + self.first(result)
        watch = sse.Watch(lives)
        with contextlib.suppress(HiveError):  # hived has stopped sending
            for note in client.stream(self.note, timeout=_SILENCE_S):
                event = self.shown(note)
                yield sse.BEAT if event is None else event
                if self.is_last(note) or watch.has_ended(now=event is None):
                    return
