"""Messages that reach the model during its turn, between two tool calls.

hived notifies of new messages (``news``); only then they are requested. Messages of the
operator and of high priority are delivered in full, and belong to the turn like its
prompt; the model is told once that others are pending. ``cli`` asks here each time that
tool calls have ended, and says which lines the CLI has read: only those messages are
acknowledged with the turn.
"""

import logging
import uuid
from collections.abc import Sequence

from pyglue.api.common import NoParams
from pyglue.api.messages import Message
from pyglue.api.turn_events import Log
from pyglue.api.turns import STEERED_AT_ONCE, STEERED_MAX, SteerResult
from pyglue.errors import HiveError
from pyglue.harness.claude.prompt import render
from pyglue.harness.joined import Joined
from pyglue.harness.link.link import Link

_log = logging.getLogger(__name__)


class Steering:
    """Delivers new messages to the running turn."""

    def __init__(self, link: Link, joined: Joined) -> None:
        self._link = link
        self._joined = joined
        self._is_new = False
        self._newest = 0
        self._given = 0

    def news(self, _params: NoParams) -> None:
        """A message is pending that the turn does not have; hived's notification."""
        self._is_new = True

    def begin(self) -> None:
        """A turn is about to begin; hived repeats what is already pending."""
        self._is_new = False
        self._newest = self._given = 0
        self._joined.begin()

    async def line(self) -> tuple[str, str] | None:
        """Return an ID and the text for the model; None if there is nothing.

        After a failure it is requested again.
        """
        if not self._is_new or self._given > STEERED_MAX - STEERED_AT_ONCE:
            return None
        self._is_new = False
        try:
            found = await self._link.steer()
        except HiveError as error:
            _log.info("could not request new messages: %s", error.message)
            self._is_new = True
            return None
        parts = [render(found.messages)] if found.messages else []
        if found.newest > self._newest and found.waiting:
            self._newest = found.newest
            parts.append(_waiting(found))
        if not parts:
            return None
        if len(found.messages) == STEERED_AT_ONCE:  # there may be more
            self._is_new = True
        self._given += len(found.messages)
        line = str(uuid.uuid4())
        self._joined.gave(line, found.messages)
        return line, "\n\n".join(parts)

    def echoed(self, line: str) -> None:
        """The CLI has read a line: the model gets it with its next call."""
        messages = self._joined.echoed(line)
        if messages:
            self._link.emit(Log(text=_delivered(messages)))

    @property
    def is_pending(self) -> bool:
        """Whether a line is written that the CLI has not read yet."""
        return self._joined.is_pending


def _waiting(found: SteerResult) -> str:
    if found.waiting == 1:
        what = f"1 message is waiting, from {_names(found.senders)}"
    else:
        what = f"{found.waiting} messages are waiting, from {_names(found.senders)}"
    return f"[from the hive itself] {what}: call `recv` when it fits."


def _names(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _delivered(messages: tuple[Message, ...]) -> str:
    which = _names([f"{one.id} from {one.sender}" for one in messages])
    noun = "Message" if len(messages) == 1 else "Messages"
    return f"{noun} {which}: delivered at a tool boundary."
