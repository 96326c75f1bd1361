"""``GET /agents/NAME/api/text``: what an agent's model is writing, as SSE.

For the conversation of an agent's page while a turn runs. Each event has the whole text
of the block so far; what counts comes as an event of the turn when it is whole.
"""

from typing import Final

import msgspec

from pyglue.api.live_text import LiveTextParams
from pyglue.api.operator import LIVE_TEXT, LIVE_TEXT_FOLLOW
from pyglue.web.live import sse
from pyglue.web.live.followed import Followed


def _event(live: LiveTextParams) -> str | None:
    return sse.event(msgspec.json.encode(live).decode()) if live.text else None


FOLLOWED: Final = Followed(
    call=LIVE_TEXT_FOLLOW, note=LIVE_TEXT, first=lambda _: sse.BEAT, shown=_event
)
"""``live_text`` until either side ends it."""
