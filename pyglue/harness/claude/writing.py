"""Streams partial model output to viewers.

``turn`` passes every partial message of the CLI to the harness's ``Writing``. It reads
them even without viewers, so that a later viewer sees the beginning; it sends at most a
few texts per second, each with the whole current block, and only while someone watches.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from pyglue import strict_json
from pyglue.api.live_text import LIVE_TEXT_MAX, LiveTextParams, WatchedParams
from pyglue.api.live_text import Writing as Kind
from pyglue.strict_json import JsonError

EVERY_S: Final = 0.25
"""Minimum interval between two texts."""


class _Block(msgspec.Struct, frozen=True):
    type: str = ""


class _Delta(msgspec.Struct, frozen=True):
    type: str = ""
    text: str = ""
    thinking: str = ""


class _Event(msgspec.Struct, frozen=True):
    type: str
    content_block: _Block = _Block()
    delta: _Delta = _Delta()


class _Line(msgspec.Struct, frozen=True):
    event: _Event
    parent_tool_use_id: str | None = None


_read = strict_json.reader(_Line, what="line of the CLI")
_KINDS: Final = {"text": Kind.TEXT, "thinking": Kind.THINKING}


class Writing:
    """The block that the model is writing, if any. ``send`` receives its text."""

    def __init__(
        self, send: Callable[[LiveTextParams], None], *, every_s: float = EVERY_S
    ) -> None:
        self._send = send
        self._every_s = every_s
        self._watched = False
        self._kind: Kind | None = None
        self._parts: list[str] = []
        self._left = 0
        self._due: asyncio.TimerHandle | None = None

    def watch(self, params: WatchedParams) -> None:
        """Note whether anyone watches; a new viewer gets the current text."""
        self._watched = params.watched
        if self._watched and self._parts and self._due is None:
            self._tell()

    def take(self, line: bytes) -> None:
        """Read a partial message; ignore one that cannot be read."""
        try:
            message = _read(line)
        except JsonError:
            return
        if message.parent_tool_use_id is not None:  # a subagent's
            return
        match message.event.type:
            case "content_block_start":
                self.end()
                self._kind = _KINDS.get(message.event.content_block.type)
            case "content_block_delta" if self._kind is not None and self._left:
                delta = message.event.delta
                text = delta.text if self._kind is Kind.TEXT else delta.thinking
                self._add(text[: self._left])
            case "content_block_stop" | "message_stop":
                self.end()

    def end(self) -> None:
        """Forget the block: it is complete, or was abandoned."""
        if self._due is not None:
            self._due.cancel()
        self._kind, self._parts, self._left = None, [], LIVE_TEXT_MAX
        self._due = None

    def _add(self, text: str) -> None:
        if not text:
            return
        self._parts.append(text)
        self._left -= len(text)
        if self._watched and self._due is None:
            self._tell()

    def _tell(self) -> None:
        """Send the text, and check again after a while for more."""
        sent = len(self._parts)
        if self._kind is None:
            return
        self._send(LiveTextParams(kind=self._kind, text="".join(self._parts)))
        loop = asyncio.get_running_loop()
        self._due = loop.call_later(self._every_s, self._look, sent)

    def _look(self, sent: int) -> None:
        self._due = None
        if self._watched and len(self._parts) > sent:
            self._tell()
