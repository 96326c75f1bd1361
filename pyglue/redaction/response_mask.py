"""Masks secrets in a response, even if one is split over two reads.

The relay masks its key, hive-egress the secrets that it inserted: a server need not
repeat them, but a gateway in between may echo headers, and a program behind it may
print them; the agent would read all of that.
"""

from collections.abc import Mapping


class Mask:
    """Masks one response; ``hidden`` has each secret with its replacement.

    It only withholds a suffix that could start a secret. Nothing that an agent waits
    for ends like that, so nothing is delayed.
    """

    def __init__(self, hidden: Mapping[bytes, bytes]) -> None:
        """Of two with the same beginning, the longer one is masked completely."""
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
        """Return the withheld bytes: the response has ended without a secret."""
        kept, self._kept = self._kept, b""
        return kept

    def whole(self, data: bytes) -> bytes:
        """Return a complete text, masked."""
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
