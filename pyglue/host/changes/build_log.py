"""The log of one build, bounded, written to the store while it grows.

The first and the last lines are kept. The store is written at most once a second: each
write is an event, and a build prints thousands of lines.
"""

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from pyglue.store import systems as rows
from pyglue.store.database import Store

_HEAD: Final = 400
_TAIL: Final = 600
_EVERY_S: Final = 1.0
_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class BuildLog:
    """Collects lines in the event loop. Call ``close`` at the end."""

    store: Store
    approval: int
    agent: str
    _head: list[str] = field(default_factory=list, init=False)
    _tail: deque[str] = field(default_factory=lambda: deque(maxlen=_TAIL), init=False)
    _count: int = field(default=0, init=False)
    _wrote_at: float = field(default=0.0, init=False)
    _later: asyncio.TimerHandle | None = field(default=None, init=False)

    def add(self, line: str) -> None:
        """Add one line, without its newline."""
        self._count += 1
        if len(self._head) < _HEAD:
            self._head.append(line)
        else:
            self._tail.append(line)
        if self._later is None:
            wait = max(0.0, self._wrote_at + _EVERY_S - time.monotonic())
            loop = asyncio.get_running_loop()
            self._later = loop.call_later(wait, self._write)

    @property
    def text(self) -> str:
        """The kept lines, with a note in place of those left out."""
        left_out = self._count - len(self._head) - len(self._tail)
        gap = [f"[{left_out} lines omitted]"] if left_out else []
        return "".join(f"{line}\n" for line in (*self._head, *gap, *self._tail))

    async def close(self) -> None:
        """Write the final log."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        text, count = self.text, self._count
        await self.store.write(
            lambda tx: rows.write_log(tx, self.approval, self.agent, text, count)
        )

    def _write(self) -> None:
        self._later = None
        self._wrote_at = time.monotonic()
        text, count = self.text, self._count
        self.store.write(
            lambda tx: rows.write_log(tx, self.approval, self.agent, text, count)
        ).add_done_callback(_unless_written)


def _unless_written(written: "asyncio.Future[None]") -> None:
    """Only log a failure: the next write, or ``close``, contains all lines."""
    if not written.cancelled() and (error := written.exception()) is not None:
        _log.info("could not write a build's log yet: %s", error)
