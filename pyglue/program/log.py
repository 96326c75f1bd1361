"""Rate-limits repeated log messages.

hived, the relay and the dashboard add this filter to their log's handlers: the same
message is written only so often in a period, then counted, and the next one that is
written has the number. Messages are the same if they come from one logger with one text
before its values are inserted; if a library has already inserted them, only the
beginning is compared.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pyglue.limits import HIVED

_KINDS_MAX: Final = 1000
_BEGINNING: Final = 24
"""Characters of a text that distinguish kinds, if it has no values: the rest may be
values."""


@dataclass
class _Kind:
    since: float
    written: int = 0
    left_out: int = 0


class RepeatFilter(logging.Filter):
    """Passes a few messages of each kind per period."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._kinds: OrderedDict[tuple[str, str], _Kind] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is written; add the number of suppressed ones."""
        if record.levelno < logging.WARNING:
            return True
        text = str(record.msg)
        key = (record.name, text if record.args else text[:_BEGINNING])
        now = self._clock()
        kind = self._kinds.setdefault(key, _Kind(now))
        self._kinds.move_to_end(key)
        if len(self._kinds) > _KINDS_MAX:
            self._kinds.popitem(last=False)
        if now - kind.since >= HIVED.log_s:
            kind.since, kind.written = now, 0
        if kind.written >= HIVED.log_burst:
            kind.left_out += 1
            return False
        kind.written += 1
        if kind.left_out:
            record.msg = f"{record.getMessage()} ({kind.left_out} more were suppressed)"
            record.args = ()
            kind.left_out = 0
        return True


def log_to_stderr(level: int = logging.INFO) -> None:
    """Set up logging for a daemon of the hive."""
    handler = logging.StreamHandler()
    handler.addFilter(RepeatFilter())
    logging.basicConfig(
        level=level,
        format="%(levelname)s %(name)s: %(message)s",
        handlers=[handler],
    )
