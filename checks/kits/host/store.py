"""A hived's inner parts on a real store in a temporary directory, for unit tests."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checks.kits.manifests import MANIFEST
from pyglue.api.audit import AuditExportParams
from pyglue.api.common import AgentState, Role
from pyglue.api.events import Event
from pyglue.config import HiveConfig, MessageLimits
from pyglue.host.control.budgets import Budgets
from pyglue.host.control.controls import Controls
from pyglue.host.control.credit import Credit
from pyglue.host.core import audit_log
from pyglue.host.core.audit import Audit
from pyglue.host.core.events import EventBus
from pyglue.host.core.registry import Agent, Registry
from pyglue.host.messages.broker import Broker, Holder
from pyglue.host.messages.questions import Questions
from pyglue.host.watch.history import History
from pyglue.host.watch.terminals import Terminals
from pyglue.manifest import PinnedRecord
from pyglue.store import agents
from pyglue.store.agents import AgentRow
from pyglue.store.database import Store, Tx, open_store


@dataclass
class Kit:
    """The parts, and every event that was published."""

    store: Store
    registry: Registry
    broker: Broker
    questions: Questions
    terminals: Terminals
    controls: Controls
    budgets: Budgets
    credit: Credit
    bus: EventBus
    history: History
    audit: Audit
    events: list[Event]

    def audited(self) -> list[tuple[str, str, str | None]]:
        """Return who did what to whom, as the audit log has it."""
        found = audit_log.export(self.audit.path, AuditExportParams()).entries
        return [(one.who, one.what, one.agent) for one in found]

    async def agent(self, name: str, **manifest: Any) -> Agent:
        """Make an agent that runs under the default manifest and these changes."""
        role = self.registry.role(name)
        row = await self.store.write(lambda tx: stored(tx, name, role))
        agent = self.registry.take(row)
        agent.record = PinnedRecord({**MANIFEST, **manifest}, None)
        agent.applied = agent.record
        agent.state = AgentState.IDLE
        return agent

    async def holder(self, agent: Agent) -> Holder:
        """Return a connection's hold on an agent's mail."""
        return Holder(agent)


async def open_kit(
    room: Path, limits: MessageLimits | None = None, *, grace_s: float = 60.0
) -> Kit:
    """Open the parts in ``room``; close ``kit.store`` after."""
    store = open_store(room / "hive.db", room / "lock")
    bus = EventBus(store)
    await bus.load()
    events: list[Event] = []
    bus.listen(events.append)
    registry = Registry(store)
    await registry.load()
    broker = Broker(store, registry, limits or MessageLimits())
    audit = Audit(room / "audit.jsonl", room / "audit.key")
    questions = Questions(store, registry, broker, audit)
    config = HiveConfig(state_dir=str(room), runtime_dir=str(room))
    terminals = Terminals(registry, audit, config)
    controls = Controls(
        store=store,
        registry=registry,
        broker=broker,
        audit=audit,
        limits=config.limits,
        grace_s=grace_s,
    )
    await controls.load()
    budgets = Budgets(
        store=store,
        registry=registry,
        questions=questions,
        controls=controls,
        audit=audit,
        config=config,
    )
    credit = Credit(
        store=store,
        registry=registry,
        questions=questions,
        controls=controls,
        audit=audit,
    )
    history = History(store, registry, bus, config.retention)
    return Kit(
        store=store,
        registry=registry,
        broker=broker,
        questions=questions,
        terminals=terminals,
        controls=controls,
        budgets=budgets,
        credit=credit,
        bus=bus,
        history=history,
        audit=audit,
        events=events,
    )


def stored(tx: Tx, name: str, role: Role) -> AgentRow:
    """Return the row of an agent, made if it is new."""
    agents.create(tx, name, role)
    row = agents.find(tx, name)
    assert row is not None
    return row


async def settled(count: int = 20) -> None:
    """Let tasks that are ready run."""
    for _ in range(count):
        await asyncio.sleep(0)
