"""The log of one build, bounded, written to the store while it grows.

Kept are the first lines and the last. The store is written at most every second: each
write is an event, and a build prints thousands of lines.
"""

import asyncio
import logging
import time
from collections import deque
from typing import Final

from pyglue.store import systems as rows
from pyglue.store.database import Store

_HEAD: Final = 400
_TAIL: Final = 600
_EVERY_S: Final = 1.0
_log = logging.getLogger(__name__)


class BuildLog:
    """Collects lines in the event loop. Call ``close`` at the end."""

    def __init__(self, store: Store, approval: int, agent: str) -> None:
        self._store = store
        self._approval = approval
        self._agent = agent
        self._head: list[str] = []
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._count = 0
        self._wrote_at = 0.0
        self._later: asyncio.TimerHandle | None = None

    def add(self, line: str) -> None:
        """Take one line without its end."""
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
        """What is kept of the log."""
        left_out = self._count - len(self._head) - len(self._tail)
        gap = [f"[{left_out} lines omitted]"] if left_out else []
        return "".join(f"{line}\n" for line in (*self._head, *gap, *self._tail))

    async def close(self) -> None:
        """Write what is there."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        text, count = self.text, self._count
        await self._store.write(
            lambda tx: rows.write_log(tx, self._approval, self._agent, text, count)
        )

    def _write(self) -> None:
        self._later = None
        self._wrote_at = time.monotonic()
        text, count = self.text, self._count
        self._store.write(
            lambda tx: rows.write_log(tx, self._approval, self._agent, text, count)
        ).add_done_callback(_unless_written)


def _unless_written(written: "asyncio.Future[None]") -> None:
    """Leave it to the next write, which has all lines, or to ``close``."""
    if not written.cancelled() and (error := written.exception()) is not None:
        _log.info("could not write a build's log yet: %s", error)
