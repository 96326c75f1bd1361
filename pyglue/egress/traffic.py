"""Traffic between agents and hosts, aggregated until it is reported to hived.

A new host is included in the next report, and then at most every ``fold_s`` seconds.
If an agent requests more than ``hosts`` hosts in that time, the rest are counted as
one.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from pyglue.api.egress import RECORDS_MAX, HostRecord
from pyglue.limits import EgressLimits
from pyglue.net.hosts import Host

OTHERS: Final = "other hosts"
_Key = tuple[str, int, str | None]


@dataclass
class Count:
    """Unreported connections to one host."""

    connections: int = 0
    sent: int = 0
    received: int = 0


@dataclass
class _Agent:
    pending: dict[_Key, Count] = field(default_factory=dict)
    reported: dict[_Key, float] = field(default_factory=dict)


@dataclass
class Traffic:
    """The traffic of all agents."""

    limits: EgressLimits
    _agents: dict[str, _Agent] = field(default_factory=dict)

    def connected(self, agent: str, host: Host, refused: str | None = None) -> None:
        """Count a connection, or a refused one with the reason."""
        self._count(agent, host, refused).connections += 1

    def passed(self, agent: str, host: Host, *, sent: int, received: int) -> None:
        """Count bytes of a running connection, from the agent's point of view."""
        if sent or received:
            count = self._count(agent, host, None)
            count.sent += sent
            count.received += received

    def take(self) -> tuple[HostRecord, ...]:
        """Return the records of the next report, and remove them."""
        now = time.monotonic()
        found: list[HostRecord] = []
        for name, agent in list(self._agents.items()):
            agent.reported = {
                key: at
                for key, at in agent.reported.items()
                if now - at < self.limits.fold_s
            }
            due = [key for key in agent.pending if key not in agent.reported]
            for key in due[: RECORDS_MAX - len(found)]:
                found.append(_record(name, key, agent.pending.pop(key)))
                agent.reported[key] = now
            if not agent.pending and not agent.reported:
                del self._agents[name]
        return tuple(found)

    def give_back(self, records: Iterable[HostRecord]) -> None:
        """Add records again that could not be reported."""
        for one in records:
            key = (one.host, one.port, one.refused)
            count = self._at(one.agent, key)
            count.connections += one.connections
            count.sent += one.sent
            count.received += one.received

    def _count(self, agent: str, host: Host, refused: str | None) -> Count:
        return self._at(agent, (host.name, host.port, refused))

    def _at(self, name: str, key: _Key) -> Count:
        agent = self._agents.setdefault(name, _Agent())
        known = key in agent.pending or key in agent.reported
        if (
            not known
            and len(agent.pending.keys() | agent.reported) >= self.limits.hosts
        ):
            key = (OTHERS, 0, None if key[2] is None else "They were refused.")
        return agent.pending.setdefault(key, Count())


def _record(agent: str, key: _Key, count: Count) -> HostRecord:
    host, port, refused = key
    return HostRecord(
        agent=agent,
        host=host,
        port=port,
        refused=refused,
        connections=count.connections,
        sent=count.sent,
        received=count.received,
    )
