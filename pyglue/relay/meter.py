"""What an answer used, read from it as it streams by; no body is kept.

Usage comes in ``message_start`` and ``message_delta`` events (later figures replace
earlier ones) or in the one JSON object of an answer that is not streamed. The last
figures come at the very end, so an agent could hang up just before: what a broken
answer used is estimated, from what was seen and from how long the model had (hidden
thinking shows in nothing else), up to what was asked for.
"""

import time
from collections.abc import Callable
from typing import Final

import msgspec

from pyglue.models import Tokens
from pyglue.relay.request import Checked

_LINE_MAX: Final = 4 * 1024 * 1024
_USAGE_MARKS: Final = (b'"message_start"', b'"message_delta"')
_DELTA_MARK: Final = b'"content_block_delta"'
_BYTES_PER_TOKEN: Final = 3
_TOKENS_PER_SECOND: Final = 100


class _CacheCreation(msgspec.Struct, frozen=True):
    ephemeral_1h_input_tokens: int | None = None


class _ServerToolUse(msgspec.Struct, frozen=True):
    web_search_requests: int | None = None


class _Usage(msgspec.Struct, frozen=True):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: _CacheCreation | None = None
    server_tool_use: _ServerToolUse | None = None


class _Message(msgspec.Struct, frozen=True):
    usage: _Usage | None = None


class _Event(msgspec.Struct, frozen=True):
    """An event, or the whole answer: only where ``usage`` stands differs."""

    type: str = ""
    message: _Message | None = None
    usage: _Usage | None = None


class _Delta(msgspec.Struct, frozen=True):
    text: str = ""
    thinking: str = ""
    partial_json: str = ""


class _DeltaEvent(msgspec.Struct, frozen=True):
    delta: _Delta = _Delta()


_decode: Final = msgspec.json.Decoder(_Event).decode
_decode_delta: Final = msgspec.json.Decoder(_DeltaEvent).decode


class Meter:
    """Counts one answer; time runs from when it is made. ``clock`` gives seconds."""

    def __init__(
        self, checked: Checked, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._checked = checked
        self._clock = clock
        self._begun = clock()
        self._buffer = bytearray()
        self._skipping = False
        self._seen_bytes = 0
        self._latest = _Usage()
        self.is_final = False
        """Whether the last figures came."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes of an answer with status 200."""
        if not self._checked.is_streamed:
            if len(self._buffer) <= _LINE_MAX:
                self._buffer += data
            return
        self._buffer += data
        *lines, rest = self._buffer.split(b"\n")
        for line in lines:
            if not self._skipping:
                self._line(bytes(line))
            self._skipping = False
        self._buffer = bytearray(rest)
        if len(rest) > _LINE_MAX:
            self._buffer.clear()
            self._skipping = True

    def end(self) -> None:
        """The answer came to its end."""
        if not self._checked.is_streamed:
            self._usage(bytes(self._buffer), final=True)

    def tokens(self) -> Tokens:
        """Return what was used: as told, or at least so much when it broke off."""
        latest = self._latest
        output = latest.output_tokens or 0
        told = latest.input_tokens is not None
        if not self.is_final:
            estimate = max(
                self._seen_bytes // _BYTES_PER_TOKEN,
                int((self._clock() - self._begun) * _TOKENS_PER_SECOND),
            )
            output = max(output, min(estimate, self._checked.max_tokens))
        hourly = latest.cache_creation or _CacheCreation()
        server = latest.server_tool_use or _ServerToolUse()
        return Tokens(
            input=_count(latest.input_tokens) if told else self._checked.input_tokens,
            output=_count(output),
            cache_read=_count(latest.cache_read_input_tokens),
            cache_write=_count(latest.cache_creation_input_tokens),
            cache_write_1h=_count(hourly.ephemeral_1h_input_tokens),
            searches=_count(server.web_search_requests),
        )

    def _line(self, line: bytes) -> None:
        if not line.startswith(b"data:"):
            return
        data = line[len(b"data:") :]
        if any(mark in data for mark in _USAGE_MARKS):
            self._usage(data, final=False)
        elif _DELTA_MARK in data:
            self._delta(data)

    def _delta(self, data: bytes) -> None:
        try:
            delta = _decode_delta(data).delta
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._seen_bytes += len(data)
            return
        for text in (delta.text, delta.thinking, delta.partial_json):
            self._seen_bytes += len(text.encode("utf-8", "surrogatepass"))

    def _usage(self, data: bytes, *, final: bool) -> None:
        try:
            event = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        usage = event.message.usage if event.message is not None else event.usage
        if usage is None:
            return
        self.is_final = final or event.type == "message_delta"
        self._latest = _Usage(
            **{
                name: newer if newer is not None else getattr(self._latest, name)
                for name in _Usage.__struct_fields__
                for newer in (getattr(usage, name),)
            }
        )


def _count(value: int | None) -> int:
    return max(0, value or 0)
