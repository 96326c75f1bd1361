"""Keeps a log readable when somebody makes a daemon complain without end.

hived, the relay and the dashboard put this filter on their log's handlers: the same
complaint is written so often in a while, then counted, and the number comes with the
next that is written. The same is what comes from one logger with one text before its
values are filled in; of a text that comes filled in, by libraries, only how it begins.
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
"""Characters of a text without values that tell kinds apart: its rest may be values."""


@dataclass
class _Kind:
    since: float
    written: int = 0
    left_out: int = 0


class RepeatFilter(logging.Filter):
    """Lets a few of each kind through in a while; what is of no level passes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._kinds: OrderedDict[tuple[str, str], _Kind] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is written; add how many before it were not."""
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
    """Log as every daemon of the hive does."""
    handler = logging.StreamHandler()
    handler.addFilter(RepeatFilter())
    logging.basicConfig(
        level=level,
        format="%(levelname)s %(name)s: %(message)s",
        handlers=[handler],
    )
