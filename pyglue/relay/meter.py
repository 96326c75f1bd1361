"""What an answer used, read from it as it streams by; no body is kept.

Usage comes in ``message_start`` and ``message_delta`` events (later figures replace
earlier ones) or in the one JSON object of an answer that is not streamed.
"""

from typing import Any, Final

import msgspec

from pyglue.models import ModelInfo

_LINE_MAX: Final = 4 * 1024 * 1024
_MARKS: Final = (b'"message_start"', b'"message_delta"')


class _Usage(msgspec.Struct, frozen=True):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class _Message(msgspec.Struct, frozen=True):
    usage: _Usage = _Usage()


class _Event(msgspec.Struct, frozen=True):
    message: _Message = _Message()
    usage: _Usage = _Usage()


_decode: Final = msgspec.json.Decoder(_Event).decode


class Meter:
    """Counts one answer."""

    def __init__(self, model: ModelInfo, *, streamed: bool) -> None:
        self._model = model
        self._streamed = streamed
        self._buffer = bytearray()
        self.input_tokens = 0
        self.output_tokens = 0
        self.cache_read_tokens = 0
        self.cache_write_tokens = 0
        self.seen = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the answer."""
        self._buffer += data
        if self._streamed:
            *lines, rest = self._buffer.split(b"\n")
            for line in lines:
                self._line(bytes(line))
            self._buffer = bytearray(rest)
        if len(self._buffer) > _LINE_MAX:
            self._buffer.clear()

    def finish(self) -> None:
        """The answer is over."""
        if not self._streamed and self._buffer:
            self._read(bytes(self._buffer))
        self._buffer.clear()

    @property
    def cost_usd(self) -> float:
        """Dollars at list price."""
        return self._model.cost_usd(
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cache_read_tokens=self.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens,
        )

    def _line(self, line: bytes) -> None:
        if line.startswith(b"data:") and any(mark in line for mark in _MARKS):
            self._read(line[len(b"data:") :].strip())

    def _read(self, raw: bytes) -> None:
        try:
            event = _decode(raw)
        except msgspec.DecodeError:
            return
        for usage in (event.message.usage, event.usage):
            self._take(usage)

    def _take(self, usage: _Usage) -> None:
        def newer(old: int, new: Any) -> int:  # noqa: ANN401
            return old if new is None else max(0, int(new))

        self.seen = self.seen or usage.output_tokens is not None
        self.input_tokens = newer(self.input_tokens, usage.input_tokens)
        self.output_tokens = newer(self.output_tokens, usage.output_tokens)
        self.cache_read_tokens = newer(
            self.cache_read_tokens, usage.cache_read_input_tokens
        )
        self.cache_write_tokens = newer(
            self.cache_write_tokens, usage.cache_creation_input_tokens
        )
