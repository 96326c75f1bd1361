"""An inconsistency, and its repair."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """``says`` what is wrong; ``would`` is what ``mend`` does, None: nothing can."""

    agent: str | None
    says: str
    would: str | None = None
    mend: Callable[[], Awaitable[None]] | None = None
