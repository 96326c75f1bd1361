"""An inconsistency, and its repair."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Finding:
    """``says`` what is wrong; ``would`` is what ``mend`` does, None: nothing can.

    ``queues``: ``mend`` queues an operation; until that ends, the agent is left alone.
    ``keeps``: the agent is then one that is kept, and is looked at as such.
    """

    agent: str | None
    says: str
    would: str | None = None
    mend: Callable[[], Awaitable[None]] | None = None
    queues: bool = False
    keeps: bool = False
