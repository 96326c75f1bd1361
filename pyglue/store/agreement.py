"""The store's data for the consistency check, read in one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pyglue.api.approvals import ApprovalKind, ApprovalState
from pyglue.store import agents, drafts, kept, operations
from pyglue.store.agents import AgentRow
from pyglue.store.database import Reader
from pyglue.store.kept import Kept


@dataclass(frozen=True, kw_only=True)
class Decision:
    """An approval in short."""

    id: int
    agent: str
    kind: ApprovalKind
    state: ApprovalState
    commit: str


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The data. ``busy`` are the names with an operation in progress."""

    agents: Mapping[str, AgentRow]
    kept: Mapping[str, Kept]
    drafts: frozenset[str]
    approvals: Mapping[int, Decision]
    busy: frozenset[str]

    def of(self, name: str) -> tuple[Decision, ...]:
        """Return the approvals of a name, latest first."""
        found = [one for one in self.approvals.values() if one.agent == name]
        return tuple(sorted(found, key=lambda one: -one.id))

    def knows(self, name: str) -> bool:
        """Return whether the store has anything with files under that name."""
        pending = any(one.state is ApprovalState.PENDING for one in self.of(name))
        return (
            pending
            or name in self.agents
            or name in self.kept
            or name in self.drafts
            or name in self.busy
        )

    def keeping(self, name: str) -> "Snapshot":
        """Return the data after an unknown name has been added to the kept state."""
        found = Kept(name, 0.0, "", "", None, None, None)
        return replace(self, kept={**self.kept, name: found})


def read(reader: Reader) -> Snapshot:
    """Read the data in one snapshot."""
    rows = reader.execute('SELECT id, agent, kind, state, "commit" FROM approval')
    return Snapshot(
        agents={row.name: row for row in agents.all_agents(reader)},
        kept={row.name: row for row in kept.all_kept(reader)},
        drafts=frozenset(row.name for row in drafts.all_drafts(reader)),
        approvals={
            row[0]: Decision(
                id=row[0],
                agent=row[1],
                kind=ApprovalKind(row[2]),
                state=ApprovalState(row[3]),
                commit=row[4],
            )
            for row in rows.fetchall()
        },
        busy=frozenset(row.agent for row in operations.unfinished(reader)),
    )
