"""Hides the API key in responses, even if it is split over two reads.

No answer of the API has its key in it. A gateway in between may repeat headers, and a
program behind it may print them; the agent that asked gets to read all of that.
"""

from typing import Final

HIDDEN: Final = b"(API key)"


class Mask:
    """Passes one answer on without the key.

    It keeps back only an end that the key begins with, so events are not delayed: none
    of them ends so.
    """

    def __init__(self, key: str) -> None:
        self._key = key.encode()
        self._kept = b""

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; return what may be passed on now."""
        data = (self._kept + data).replace(self._key, HIDDEN)
        end = len(data) - self._begun(data)
        self._kept = data[end:]
        return data[:end]

    def end(self) -> bytes:
        """Return what was kept back: the answer is over, and the key did not follow."""
        kept, self._kept = self._kept, b""
        return kept

    def _begun(self, data: bytes) -> int:
        """Return how many bytes at the end are a beginning of the key."""
        longest = min(len(self._key) - 1, len(data))
        for length in range(longest, 0, -1):
            if data.endswith(self._key[:length]):
                return length
        return 0
