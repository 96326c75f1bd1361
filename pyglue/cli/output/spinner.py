"""A sign of life on the terminal for what takes longer than two seconds.

Only where stderr is a terminal, and gone when it is over: scripts see nothing of it.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO

from pyglue.api.common import Method, P, R
from pyglue.jsonrpc import SyncClient

_SILENT_S: Final = 2.0
_EVERY_S: Final = 1.0
_CLEAR: Final = "\r\x1b[K"


class Sign:
    """What is shown; ``text`` may change."""

    def __init__(self, text: str) -> None:
        self.text = text


@contextmanager
def patience(text: str, out: TextIO | None = None) -> Iterator[Sign]:
    """Show ``text`` and how long it takes by now, while the block runs."""
    sign, over = Sign(text), threading.Event()
    terminal = sys.stderr if out is None else out
    if not terminal.isatty():
        yield sign
        return
    thread = threading.Thread(target=_show, args=(sign, over, terminal), daemon=True)
    thread.start()
    try:
        yield sign
    finally:
        over.set()
        thread.join()


def _show(sign: Sign, over: threading.Event, terminal: TextIO) -> None:
    begun = time.monotonic()
    if over.wait(_SILENT_S):
        return
    while True:
        terminal.write(f"{_CLEAR}{sign.text} … {time.monotonic() - begun:.0f} s")
        terminal.flush()
        if over.wait(_EVERY_S):
            terminal.write(_CLEAR)
            terminal.flush()
            return


class PatientClient(SyncClient):
    """A connection whose long calls show that they go on."""

    def call(
        self, method: Method[P, R], params: P, *, timeout: float | None = None
    ) -> R:
        """Call, and wait for the answer."""
        with patience("The hive is at work"):
            return super().call(method, params, timeout=timeout)
