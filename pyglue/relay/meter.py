"""The usage of a response, read while it streams; no body is stored.

Usage comes in ``message_start`` and ``message_delta`` events (later numbers replace
earlier ones) or in the single JSON object of an answer that is not streamed. The final
numbers come at the very end. Without them, or with numbers that no API reports
(negative, fractional, above a billion, or not numbers at all), the full reservation is
charged: an agent cannot make an answer cheaper by aborting it.
"""

from dataclasses import replace
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from pyglue import strict_json
from pyglue.errors import ErrorCode, HiveError
from pyglue.limits import RelayLimits
from pyglue.models.catalogue import Tokens
from pyglue.relay.request import Checked
from pyglue.strict_json import JsonError

_USAGE_MARKS: Final = (b'"message_start"', b'"message_delta"')
_Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]


class _CacheCreation(msgspec.Struct, frozen=True):
    ephemeral_1h_input_tokens: _Count | None = None


class _ServerToolUse(msgspec.Struct, frozen=True):
    web_search_requests: _Count | None = None


class _Usage(msgspec.Struct, frozen=True):
    input_tokens: _Count | None = None
    output_tokens: _Count | None = None
    cache_read_input_tokens: _Count | None = None
    cache_creation_input_tokens: _Count | None = None
    cache_creation: _CacheCreation | None = None
    server_tool_use: _ServerToolUse | None = None


class _Message(msgspec.Struct, frozen=True):
    usage: _Usage | None = None


class _Event(msgspec.Struct, frozen=True):
    """An event, or the whole answer: they differ only in the place of ``usage``."""

    type: str = ""
    message: _Message | None = None
    usage: _Usage | None = None


_decode: Final = strict_json.reader(_Event)


class Meter:
    """Counts one answer."""

    def __init__(self, checked: Checked, limits: RelayLimits) -> None:
        self._checked = checked
        self._limits = limits
        self._buffer = bytearray()
        self._taken = 0
        self._latest = _Usage()
        self._is_final = False
        self._is_odd = False

    def feed(self, data: bytes) -> None:
        """Count the next bytes of an answer with status 200.

        Raises:
            HiveError: ``upstream_failed`` for an answer or a line that is too long.
        """
        self._taken += len(data)
        if self._taken > self._limits.answer:
            raise _too_long("answer", self._limits.answer)
        self._buffer += data
        if not self._checked.is_streamed:
            return
        if b"\n" in data:
            *lines, rest = self._buffer.split(b"\n")
            self._buffer = rest
            for line in lines:
                self._line(line)
        if len(self._buffer) > self._limits.line:
            raise _too_long("line", self._limits.line)

    def end(self) -> None:
        """The answer has ended."""
        if not self._checked.is_streamed:
            self._usage(self._buffer, final=True)
        self._buffer = bytearray()

    @property
    def is_complete(self) -> bool:
        """Whether the final numbers have arrived and are plausible."""
        latest = self._latest
        complete = latest.input_tokens is not None and latest.output_tokens is not None
        return self._is_final and complete and not self._is_odd

    def tokens(self) -> Tokens:
        """Return the usage as reported, else as reserved."""
        latest, checked = self._latest, self._checked
        if self._is_odd or latest.input_tokens is None:
            return checked.bound.tokens(checked.max_tokens)
        hourly = latest.cache_creation or _CacheCreation()
        server = latest.server_tool_use or _ServerToolUse()
        used = Tokens(
            input=latest.input_tokens,
            output=latest.output_tokens or 0,
            cache_read=latest.cache_read_input_tokens or 0,
            cache_write=latest.cache_creation_input_tokens or 0,
            cache_write_1h=hourly.ephemeral_1h_input_tokens or 0,
            searches=server.web_search_requests or 0,
        )
        if self.is_complete:
            return used
        if checked.found.server_tools:  # the prompt may have been read again
            return checked.bound.tokens(checked.max_tokens)
        return replace(used, output=max(used.output, checked.max_tokens))

    def _line(self, line: bytearray) -> None:
        if line.startswith(b"data:") and any(mark in line for mark in _USAGE_MARKS):
            self._usage(line[len(b"data:") :], final=False)

    def _usage(self, data: bytearray, *, final: bool) -> None:
        try:
            event = _decode(data)
        except JsonError:
            self._is_odd = True
            return
        usage = event.message.usage if event.message is not None else event.usage
        if usage is None:
            return
        is_last = final or event.type == "message_delta"
        self._is_final |= is_last and usage.output_tokens is not None
        self._latest = _Usage(
            **{
                name: newer if newer is not None else getattr(self._latest, name)
                for name in _Usage.__struct_fields__
                for newer in (getattr(usage, name),)
            }
        )


def _too_long(what: str, limit: int) -> HiveError:
    return HiveError(
        ErrorCode.UPSTREAM_FAILED,
        f"The model API sent a {what} of more than {limit} bytes.",
    )
