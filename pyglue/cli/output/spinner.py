"""A spinner on the terminal for what takes longer than two seconds.

Shown only where stderr is a terminal, and erased at the end: scripts never see it.
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


class Label:
    """The spinner's text, which may change."""

    def __init__(self, text: str) -> None:
        self.text = text


@contextmanager
def spinner(text: str, out: TextIO | None = None) -> Iterator[Label]:
    """Show ``text`` and the elapsed time while the block runs."""
    label, over = Label(text), threading.Event()
    terminal = sys.stderr if out is None else out
    if not terminal.isatty():
        yield label
        return
    thread = threading.Thread(target=_show, args=(label, over, terminal), daemon=True)
    thread.start()
    try:
        yield label
    finally:
        over.set()
        thread.join()


def _show(label: Label, over: threading.Event, terminal: TextIO) -> None:
    begun = time.monotonic()
    if over.wait(_SILENT_S):
        return
    while True:
        terminal.write(f"{_CLEAR}{label.text} … {time.monotonic() - begun:.0f} s")
        terminal.flush()
        if over.wait(_EVERY_S):
            terminal.write(_CLEAR)
            terminal.flush()
            return


class SpinnerClient(SyncClient):
    """A client whose long calls show a spinner."""

    def call(
        self, method: Method[P, R], params: P, *, timeout: float | None = None
    ) -> R:
        """Call, and wait for the answer."""
        with spinner("Working"):
            return super().call(method, params, timeout=timeout)
