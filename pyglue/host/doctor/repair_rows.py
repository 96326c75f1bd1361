"""Rows of the store that contradict hived's memory, and their repair.

Memory knows the connections, the running turns and the operations in progress; a fault,
or an older version of hived, may have left rows that nothing will ever close. While a
change is on its way between memory and store, they differ: only findings of two
searches in a row are reported. ``repair_repos`` compares deployments with git.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from pyglue.api.operations import Operation
from pyglue.host.core.agent import HIVE, Agent
from pyglue.host.core.operations import Operations
from pyglue.host.core.registry import Registry
from pyglue.host.core.transitions import Transitions
from pyglue.host.doctor.finding import Finding
from pyglue.host.messages.delivery import Delivery
from pyglue.store import agents, control, operations, orphans
from pyglue.store.agents import AgentRow
from pyglue.store.control import Control
from pyglue.store.database import Store, Tx
from pyglue.store.orphans import Left, Live, Orphan

_AGAIN: Final = "queue them again"
_SAYS: Final = {
    Left.LEASED: (
        "{} of its messages are leased to a connection that is gone.",
        _AGAIN,
    ),
    Left.LEASED_IN_TURN: (
        "{} of its messages are leased to a turn that has ended.",
        _AGAIN,
    ),
    Left.TURN: ("{} of its turns are open, but not running.", "record them as lost"),
    Left.MESSAGE: (
        "{} messages are queued for it, but there is no such agent.",
        "give them up",
    ),
    Left.QUESTION: (
        "{} of its open questions concern an agent that does not exist.",
        "cancel them",
    ),
    Left.REMINDER: (
        "{} reminders are pending for it, but there is no such agent.",
        "remove them",
    ),
}


@dataclass(frozen=True, kw_only=True)
class _Seen:
    orphans: frozenset[Orphan]
    rows: Mapping[str, AgentRow]
    controls: Mapping[str, Control]
    ended: frozenset[str]
    """Agents whose turn is running in memory, but has ended in the store."""
    idle: frozenset[Operation]


@dataclass(frozen=True, kw_only=True)
class RowRepair:
    """Examines messages, turns, questions, reminders, operations and agents."""

    store: Store
    registry: Registry
    transitions: Transitions
    delivery: Delivery
    operations: Operations

    async def look(self) -> list[Finding]:
        """Return the rows that contradict memory.

        Raises:
            StoreError: the store is not writable, so nothing can be compared.
        """
        first = await self._seen()
        if not self._contradicts(first):
            return []
        now = await self._seen()
        groups: dict[tuple[str, Left], list[Orphan]] = defaultdict(list)
        for orphan in sorted(first.orphans & now.orphans):
            groups[orphan.agent, orphan.kind].append(orphan)
        found = [
            Finding(
                agent=name,
                says=_SAYS[kind][0].format(len(group)),
                would=_SAYS[kind][1],
                repair=partial(self._close, name, tuple(group)),
            )
            for (name, kind), group in groups.items()
        ]
        found += [self._ended(name) for name in sorted(first.ended & now.ended)]
        for agent in self.registry.all():
            if self._differs(agent, first) and self._differs(agent, now):
                found.append(self._other(agent))
        for operation in first.idle & now.idle:
            found.append(self._idle(operation))
        return found

    async def _seen(self) -> _Seen:
        turns = {
            agent.name: agent.turn
            for agent in self.registry.all()
            if agent.turn is not None and agent.harness is not None
        }
        live = Live(frozenset(self.delivery.receivers), turns)

        def look(tx: Tx) -> _Seen:
            is_open = dict(
                tx.execute("SELECT id, agent FROM turn WHERE ended_at IS NULL")
            )
            return _Seen(
                orphans=orphans.find(tx, live),
                rows={row.name: row for row in agents.all_agents(tx)},
                controls=control.all_rows(tx),
                ended=frozenset(n for n, turn in turns.items() if turn not in is_open),
                idle=frozenset(
                    one
                    for one in operations.unfinished(tx)
                    if not self.operations.works_on(one.id)
                ),
            )

        return await self.store.write(look)

    def _contradicts(self, seen: _Seen) -> bool:
        differs = any(self._differs(agent, seen) for agent in self.registry.all())
        return bool(seen.orphans or seen.ended or seen.idle or differs)

    # --- findings ---------------------------------------------------------------------

    async def _close(self, name: str, group: tuple[Orphan, ...]) -> None:
        def close(tx: Tx) -> None:
            for orphan in group:
                if orphan.kind is Left.TURN:
                    self.transitions.open_turn_lost(tx, name, orphan.id)
                else:
                    orphans.close(tx, orphan)

        await self.store.write(close)
        self.delivery.wake(name)

    def _ended(self, name: str) -> Finding:
        async def repair() -> None:
            agent = self.registry.get(name)
            self.transitions.turn_lost(agent)
            if agent.harness is not None:
                agent.harness.close()  # its turn has ended in the store

        says = f"A turn of {name} is running, but has ended in the store."
        return Finding(
            agent=name,
            says=says,
            would="disconnect its harness, which will reconnect",
            repair=repair,
        )

    @staticmethod
    def _differs(agent: Agent, seen: _Seen) -> bool:
        row = seen.rows.get(agent.name)
        if row is None:
            return False
        stored, here = (row.wanted, row.problem), (agent.wanted, agent.problem)
        known = seen.controls.get(agent.name, Control(agent=agent.name))
        return stored != here or known != agent.control

    def _other(self, agent: Agent) -> Finding:
        return Finding(
            agent=agent.name,
            says=f"The stored state of {agent.name} differs from the one in use.",
            would="store the one in use",
            repair=partial(self.transitions.store_again, agent),
        )

    def _idle(self, operation: Operation) -> Finding:
        async def repair() -> None:
            if not self.operations.works_on(operation.id):
                self.operations.enqueue(operation)

        return Finding(
            agent=None if operation.agent == HIVE else operation.agent,
            says=f"Operation {operation.id} ({operation.kind.value} of "
            f"{operation.agent}) is open, but no handler is working on it.",
            would="continue it",
            repair=repair,
        )
