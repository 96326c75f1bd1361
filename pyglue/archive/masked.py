"""Hides values of secrets in an agent's file on its way into an archive.

A replacement is as long as the value, so that sizes do not change.
"""

from collections.abc import Mapping
from typing import Final, Protocol

Hidden = Mapping[bytes, bytes]
"""The replacement of each value, of the same length."""
_CHUNK: Final = 1024 * 1024


class Readable(Protocol):
    """A source of bytes."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes; none at its end."""


class Masked:
    """A file without the values."""

    def __init__(self, file: Readable, hidden: Hidden) -> None:
        """Longest first: of two that begin alike, the longer one is hidden whole."""
        self._file = file
        self._hidden = sorted(hidden.items(), key=lambda one: -len(one[0]))
        self._ahead = max(map(len, hidden))
        self._buffer = b""
        self._is_over = False

    def read(self, size: int, /) -> bytes:
        """Return ``size`` bytes, or what is left."""
        while not self._is_over and len(self._buffer) < size + self._ahead:
            data = self._file.read(_CHUNK)
            self._is_over = not data
            # A value that began in the bytes already here is complete now.
            self._buffer += data
            for value, instead in self._hidden:
                self._buffer = self._buffer.replace(value, instead)
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data
