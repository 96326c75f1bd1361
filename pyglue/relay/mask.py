"""Hides the API key in responses, even if it is split over two reads.

The API never repeats its key in an answer, but a gateway in between may repeat headers,
and a program behind it may print them; the agent would read all of that.
"""

from typing import Final

HIDDEN: Final = b"(API key)"


class Mask:
    """Passes one answer on without the key.

    It only keeps back an end with which the key begins. No event ends like that, so
    none is delayed.
    """

    def __init__(self, key: str) -> None:
        self._key = key.encode()
        self._kept = b""

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; return the ones that may be passed on now."""
        data = (self._kept + data).replace(self._key, HIDDEN)
        end = len(data) - self._begun(data)
        self._kept = data[end:]
        return data[:end]

    def end(self) -> bytes:
        """Return the bytes kept back: the answer has ended without the key."""
        kept, self._kept = self._kept, b""
        return kept

    def _begun(self, data: bytes) -> int:
        """Return how many bytes at the end are the beginning of the key."""
        longest = min(len(self._key) - 1, len(data))
        for length in range(longest, 0, -1):
            if data.endswith(self._key[:length]):
                return length
        return 0
