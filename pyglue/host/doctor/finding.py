"""An inconsistency, and its repair."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Finding:
    """``says`` describes the problem; ``would`` the repair by ``repair``, if any.

    ``queues``: ``repair`` queues an operation; the agent is skipped until that is done.
    ``keeps``: ``repair`` turns the files into kept state, which is then examined.
    """

    agent: str | None
    says: str
    would: str | None = None
    repair: Callable[[], Awaitable[None]] | None = None
    queues: bool = False
    keeps: bool = False
