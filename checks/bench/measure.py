"""The result of a benchmark, and how samples are taken side by side.

A sample and its reference are taken in turns, so that both see the same machine. All
times are in milliseconds.
"""

import contextlib
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CACHE: Final = Path(__file__).parents[2] / ".cache"


@dataclass(frozen=True)
class Figure:
    """One outcome of a benchmark; ``limit`` is the highest good ratio to ``reference``.

    ``parts`` are medians of what the reference consists of, by name.
    """

    name: str
    samples: tuple[float, ...]
    reference: float
    limit: float
    parts: dict[str, float]
    unit: str = "ms"

    @property
    def median(self) -> float:
        """The median in milliseconds."""
        return statistics.median(self.samples)

    @property
    def p99(self) -> float:
        """The 99th percentile (nearest rank) in milliseconds."""
        ranked = sorted(self.samples)
        return ranked[math.ceil(0.99 * len(ranked)) - 1]

    @property
    def ratio(self) -> float:
        """How often the reference goes into the median."""
        return self.median / self.reference


def since(began: float) -> float:
    """Return the milliseconds since ``time.perf_counter()`` was ``began``."""
    return (time.perf_counter() - began) * 1000


def progress(text: str) -> None:
    """Say how far it is, on standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


@contextlib.contextmanager
def room() -> Iterator[Path]:
    """Give a directory on the checkout's own disk: /tmp may be memory."""
    _CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=_CACHE) as name:
        yield Path(name)
