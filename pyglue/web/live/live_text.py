"""``GET /agents/NAME/api/text``: what an agent's model is writing, as SSE.

For the conversation of an agent's page while a turn runs. Each event has the whole text
of the block so far; what counts comes as an event of the turn when it is whole. Over a
connection of its own, like a followed log, so that hived knows whether anybody watches.
"""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import msgspec
from flask import Response, g

from pyglue.api.live_text import LiveTextFollowParams
from pyglue.api.operator import LIVE_TEXT, LIVE_TEXT_FOLLOW
from pyglue.errors import HiveError
from pyglue.jsonrpc import SyncClient
from pyglue.web.live import sse
from pyglue.web.live.hub import CLIENT
from pyglue.web.live.stream import alive
from pyglue.web.rpc import web

_PATIENCE_S: Final = 90.0
_RETRY_MS: Final = 2000


def answer(asked: LiveTextFollowParams) -> Response:
    """Stream ``live_text`` until either side ends it."""
    session = g.session
    client = SyncClient(web().socket, client=CLIENT, session=session)
    try:
        client.call(LIVE_TEXT_FOLLOW, asked)
    except BaseException:
        client.close()
        raise
    body = _sse(client, partial(alive, web(), session))
    return sse.answer(body, client.close)


def _sse(client: SyncClient, lives: Callable[[], bool]) -> Iterator[str]:
    yield sse.opening(_RETRY_MS) + sse.BEAT
    watch = sse.Watch(lives)
    with contextlib.suppress(HiveError):  # hived has stopped sending
        for said in client.stream(LIVE_TEXT, timeout=_PATIENCE_S):
            beat = not said.text
            yield sse.BEAT if beat else sse.event(msgspec.json.encode(said).decode())
            if watch.has_ended(now=beat):
                return
