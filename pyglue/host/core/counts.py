"""Counts what happens outside turns: schedules, deliveries of webhooks, notifications.

``watch.telemetry`` records metrics at the end of a turn; these are recorded when they
happen, under the same names wherever they are shown: ``schedule:…``, ``webhook:…`` of
an agent, ``notify:…`` of the hive.
"""

from dataclasses import dataclass

from pyglue.store import stats
from pyglue.store.database import Store


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Adds one to a metric."""

    store: Store

    def add(self, agent: str, key: str) -> None:
        """Count one ``key`` of an agent, or of ``hive``, with the next commit."""
        self.store.post(lambda tx: stats.record(tx, agent, {key: 1.0}))
