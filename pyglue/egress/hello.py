"""The server name in a TLS ClientHello, parsed by OpenSSL rather than our own code.

Called by ``tunnel`` with the first bytes of a connection. The handshake begins on a
memory buffer and ends once the hello has been read; no response is sent.
"""

import ssl
import sys
from typing import Final

HANDSHAKE: Final = 0x16
"""The first byte of a TLS connection."""
ALERT: Final = bytes((0x15, 3, 3, 0, 2, 2, 112))
"""The fatal alert "unrecognized name"."""


class NotAHelloError(Exception):
    """The bytes begin like TLS, but are not a ClientHello of TLS 1.2 or later."""


class _Handshake(ssl.SSLObject):
    """One handshake, and the contents of its hello."""

    is_whole = False
    name: str | None = None


def _seen(shake: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> int:
    if isinstance(shake, _Handshake):
        shake.is_whole = True
        shake.name = name
    return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = _Handshake
    context.sni_callback = _seen
    return context


_CONTEXT: Final = _context()


class Hello:
    """Parses bytes until the hello is complete."""

    def __init__(self) -> None:
        self._incoming = ssl.MemoryBIO()
        self._handshake = _CONTEXT.wrap_bio(
            self._incoming, ssl.MemoryBIO(), server_side=True
        )

    @property
    def is_whole(self) -> bool:
        """Whether the hello is complete."""
        return getattr(self._handshake, "is_whole", False)

    @property
    def name(self) -> str | None:
        """The server name; None if the hello has none."""
        return getattr(self._handshake, "name", None)

    def feed(self, data: bytes) -> None:
        """Add the next bytes; ``is_whole`` tells whether more are needed.

        Raises:
            NotAHelloError: They are not a ClientHello.
        """
        self._incoming.write(data)
        try:
            self._handshake.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError:  # also caused by our callback, which ends the handshake
            if not self.is_whole:
                raise NotAHelloError from None


def without_names(found: "sys.UnraisableHookArgs") -> None:
    """Keep agents' server names out of the log, as ``sys.unraisablehook``.

    Python's ssl refuses a non-ASCII name, and prints it with a traceback.
    """
    if not isinstance(found.exc_value, UnicodeDecodeError):
        sys.__unraisablehook__(found)
