"""Hides secrets in an answer, even if one is split over two reads.

The relay hides its key, hive-egress the secrets that it put in: who was sent one need
not repeat it, but a gateway in between may repeat headers, and a program behind it may
print them; the agent would read all of that.
"""

from collections.abc import Mapping


class Mask:
    """Passes one answer on without what ``hidden`` names, each with what is instead.

    It only keeps back an end with which one of them begins. Nothing that an agent waits
    for ends like that, so nothing is delayed.
    """

    def __init__(self, hidden: Mapping[bytes, bytes]) -> None:
        """Of two that begin alike, the longer one is hidden whole."""
        longest_first = sorted(hidden.items(), key=lambda one: -len(one[0]))
        self._hidden = tuple(longest_first)
        self._kept = b""

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; return the ones that may be passed on now."""
        data = self.whole(self._kept + data)
        end = len(data) - max(
            (self._begun(data, secret) for secret, _ in self._hidden), default=0
        )
        self._kept = data[end:]
        return data[:end]

    def end(self) -> bytes:
        """Return the bytes kept back: the answer has ended without a secret."""
        kept, self._kept = self._kept, b""
        return kept

    def whole(self, data: bytes) -> bytes:
        """Return a text that has an end of its own."""
        for secret, instead in self._hidden:
            data = data.replace(secret, instead)
        return data

    @staticmethod
    def _begun(data: bytes, secret: bytes) -> int:
        """Return how many bytes at the end are the beginning of the secret."""
        longest = min(len(secret) - 1, len(data))
        for length in range(longest, 0, -1):
            if data.endswith(secret[:length]):
                return length
        return 0
