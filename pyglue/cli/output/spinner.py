"""A progress indicator on stderr for long calls.

On a terminal a spinner after two seconds, erased at the end. Elsewhere a line after ten
seconds and then every minute.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

from pyglue.api.common import Method, P, R
from pyglue.jsonrpc import SyncClient

_SILENT_S: Final = 2.0
_EVERY_S: Final = 1.0
_SCRIPT_SILENT_S: Final = 10.0
_SCRIPT_EVERY_S: Final = 60.0
_HELLO_S: Final = 5.0
"""hived greets immediately; one that does not is stopped or stuck."""
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
    show = _show if terminal.isatty() else _tell
    thread = threading.Thread(target=show, args=(label, over, terminal), daemon=True)
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


def _tell(label: Label, over: threading.Event, out: TextIO) -> None:
    begun, pause = time.monotonic(), _SCRIPT_SILENT_S
    while not over.wait(pause):
        out.write(f"hive: {label.text} … {time.monotonic() - begun:.0f} s\n")
        out.flush()
        pause = _SCRIPT_EVERY_S


class SpinnerClient(SyncClient):
    """The client of the command line, with a progress indicator for long calls."""

    def __init__(self, path: Path | str, *, timeout: float = 60.0) -> None:
        """Connect and say hello, within a few seconds."""
        super().__init__(path, client="hive", timeout=timeout, hello_s=_HELLO_S)

    def call(
        self, method: Method[P, R], params: P, *, timeout: float | None = None
    ) -> R:
        """Call, and wait for the answer."""
        with spinner("Working"):
            try:
                return super().call(method, params, timeout=timeout)
            except KeyboardInterrupt:
                raise KeyboardInterrupt("hived continues the request.") from None
