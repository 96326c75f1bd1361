"""The server name in a TLS ClientHello, read by OpenSSL and not by code of ours.

Called by ``carry`` with the first bytes of a connection. The handshake begins on a
memory buffer and ends when the hello is read; nothing of it is answered.
"""

import ssl
import sys
from typing import Final

HANDSHAKE: Final = 0x16
"""The first byte of a TLS connection."""
ALERT: Final = bytes((0x15, 3, 3, 0, 2, 2, 112))
"""A fatal alert: the name is not recognized."""


class NotAHelloError(Exception):
    """The bytes begin like TLS, but are no ClientHello of TLS 1.2 or later."""


class _Handshake(ssl.SSLObject):
    """One handshake, and what its hello says."""

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
    """Takes bytes until the hello is whole."""

    def __init__(self) -> None:
        self._incoming = ssl.MemoryBIO()
        self._handshake = _CONTEXT.wrap_bio(
            self._incoming, ssl.MemoryBIO(), server_side=True
        )

    @property
    def is_whole(self) -> bool:
        """Whether all of it is there."""
        return getattr(self._handshake, "is_whole", False)

    @property
    def name(self) -> str | None:
        """The server name; None: the hello has none."""
        return getattr(self._handshake, "name", None)

    def feed(self, data: bytes) -> None:
        """Take the next bytes; ``is_whole`` tells whether more are needed.

        Raises:
            NotAHelloError: They are no ClientHello.
        """
        self._incoming.write(data)
        try:
            self._handshake.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError:  # ours, too: the callback ends the handshake
            if not self.is_whole:
                raise NotAHelloError from None


def without_names(found: "sys.UnraisableHookArgs") -> None:
    """Be ``sys.unraisablehook``: keep agents' server names out of the log.

    Python's ssl refuses a name that is not ASCII, and prints a traceback with it.
    """
    if not isinstance(found.exc_value, UnicodeDecodeError):
        sys.__unraisablehook__(found)
