"""Counts events outside turns: schedules, webhook deliveries, notifications.

``watch.turn_metrics`` records metrics at the end of a turn; these are recorded as they
happen, under the names by which they are shown: ``schedule:…`` and ``webhook:…`` for
an agent, ``notify:…`` for the hive.
"""

from dataclasses import dataclass

from pyglue.store import metrics
from pyglue.store.database import Store


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Adds one to a metric."""

    store: Store

    def add(self, agent: str, key: str) -> None:
        """Add one to ``key`` of an agent, or of ``hive``, with the next commit."""
        self.store.post(lambda tx: metrics.record(tx, agent, {key: 1.0}))
