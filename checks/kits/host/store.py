"""A hived's inner parts on a real store in a temporary directory, for unit tests."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checks.kits.host.backend import Played
from checks.kits.manifest.smallest import MANIFEST
from checks.kits.store.faults import Faults
from pyglue.api.audit import AuditExportParams
from pyglue.api.common import AgentState, Role
from pyglue.api.events import Event
from pyglue.config import HiveConfig, MessageLimits, Timeouts, WarmConfig
from pyglue.host.api.services import AgentServices
from pyglue.host.control.budgets import Budgets
from pyglue.host.control.controls import Controls
from pyglue.host.control.credit import Credit
from pyglue.host.control.model_choices import ModelChoices
from pyglue.host.control.turns import Turns
from pyglue.host.control.warmth import Warmth
from pyglue.host.core import audit_log
from pyglue.host.core.agent import Agent, Everyone, Receiver
from pyglue.host.core.audit import Audit
from pyglue.host.core.events import EventBus
from pyglue.host.core.operations import Operations
from pyglue.host.core.registry import Registry
from pyglue.host.core.secret_uses import SecretUses
from pyglue.host.core.secrets import Secrets
from pyglue.host.core.transitions import Transitions
from pyglue.host.doctor.repair_rows import RowRepair
from pyglue.host.messages.broker import Broker
from pyglue.host.messages.notifications import Notifications
from pyglue.host.messages.questions import Questions
from pyglue.host.messages.reminders import Reminders
from pyglue.host.watch.agent_views import AgentViews
from pyglue.host.watch.history import History
from pyglue.host.watch.live_text import LiveTexts
from pyglue.host.watch.steps import LONG_S, Steps
from pyglue.host.watch.terminals import Terminals
from pyglue.host.watch.turn_events import TurnEvents
from pyglue.manifest.record import PinnedRecord
from pyglue.redaction.redactor import Redactor
from pyglue.store import agents
from pyglue.store.agents import AgentRow
from pyglue.store.database import Store, Tx, open_store


@dataclass(frozen=True, kw_only=True, repr=False)
class Kit(AgentServices):
    """The parts, and every event that was published."""

    model_choices: ModelChoices
    budgets: Budgets
    credit: Credit
    bus: EventBus
    history: History
    steps: Steps
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
        record = PinnedRecord({**MANIFEST, **manifest}, None)
        put(agent, record=record, applied=record, state=AgentState.IDLE)
        return agent

    def disconnect(self, holder: Receiver) -> None:
        """Lose a harness's connection, and its turn with it."""
        self.transitions.harness_lost(holder.agent)
        self.broker.mailbox.disconnected(holder)

    async def holder(self, agent: Agent) -> Receiver:
        """Return a connection's hold on an agent's mail."""
        return Receiver(agent=agent)


@dataclass(frozen=True, kw_only=True)
class _Base:
    """What all other parts use."""

    store: Store
    bus: EventBus
    registry: Registry
    transitions: Transitions
    broker: Broker
    audit: Audit
    questions: Questions
    config: HiveConfig


@dataclass(frozen=True, kw_only=True)
class _Control:
    """What lets turns begin, and ends them."""

    controls: Controls
    budgets: Budgets
    credit: Credit
    model_choices: ModelChoices
    warmth: Warmth
    turns: Turns


async def _base(room: Path, limits: MessageLimits, faults: Faults | None) -> _Base:
    if faults is None:
        store = open_store(room / "hive.db", room / "lock")
    else:
        with faults.around():
            store = open_store(room / "hive.db", room / "lock", retry_s=0.001)
    bus = EventBus(store=store)
    await bus.load()
    registry = Registry()
    transitions = Transitions(store=store, registry=registry)
    await transitions.load()
    broker = Broker.of(
        store=store, registry=registry, transitions=transitions, limits=limits
    )
    audit = Audit(room / "audit.jsonl", room / "audit.key")
    return _Base(
        store=store,
        bus=bus,
        registry=registry,
        transitions=transitions,
        broker=broker,
        audit=audit,
        questions=Questions(store=store, registry=registry, broker=broker, audit=audit),
        config=HiveConfig(state_dir=str(room), runtime_dir=str(room)),
    )


def _control(base: _Base, grace_s: float) -> _Control:
    registry, transitions, audit = base.registry, base.transitions, base.audit
    config = base.config
    controls = Controls(
        registry=registry,
        transitions=transitions,
        audit=audit,
        limits=config.limits,
        models=config.catalogue,
        grace_s=grace_s,
        relay=config.relay,
    )
    budgets = Budgets(
        store=base.store,
        registry=registry,
        transitions=transitions,
        questions=base.questions,
        controls=controls,
        audit=audit,
        config=config,
    )
    credit = Credit(
        transitions=transitions,
        registry=registry,
        questions=base.questions,
        controls=controls,
        audit=audit,
        config=config.relay,
    )
    model_choices = ModelChoices(
        registry=registry,
        transitions=transitions,
        controls=controls,
        audit=audit,
        limits=config.limits,
        models=config.catalogue,
    )
    warmth = Warmth(
        registry=registry, transitions=transitions, config=WarmConfig(memory=1 << 30)
    )
    turns = Turns(
        mailbox=base.broker.mailbox,
        budgets=budgets,
        credit=credit,
        controls=controls,
        model_choices=model_choices,
        warmth=warmth,
    )
    return _Control(
        controls=controls,
        budgets=budgets,
        credit=credit,
        model_choices=model_choices,
        warmth=warmth,
        turns=turns,
    )


def _secret_uses(base: _Base) -> SecretUses:
    config, audit = base.config, base.audit
    secrets = Secrets(redactor=Redactor(), config=config, audit=audit)
    return SecretUses(
        config=config, registry=base.registry, secrets=secrets, audit=audit
    )


async def open_kit(
    room: Path,
    limits: MessageLimits | None = None,
    *,
    grace_s: float = 60.0,
    faults: Faults | None = None,
) -> Kit:
    """Open the parts in ``room``; close ``kit.store`` after.

    With ``faults`` its statements can fail, and what is kept is tried again at once.
    """
    base = await _base(room, limits or MessageLimits(), faults)
    control = _control(base, grace_s)
    store, registry, broker, audit = base.store, base.registry, base.broker, base.audit
    events: list[Event] = []
    base.bus.listen(events.append)
    history = History(
        store=store, registry=registry, bus=base.bus, retention=base.config.retention
    )
    steps = steps_of(store, broker, audit)
    redactor = Redactor()
    return Kit(
        store=store,
        registry=registry,
        transitions=base.transitions,
        broker=broker,
        questions=base.questions,
        reminders=Reminders(store=store, registry=registry, broker=broker),
        terminals=Terminals(
            redactor=redactor,
            registry=registry,
            audit=audit,
            config=base.config,
            backend=Played(),
        ),
        controls=control.controls,
        model_choices=control.model_choices,
        turns=control.turns,
        turn_events=TurnEvents(
            store=store, registry=registry, history=history, steps=steps
        ),
        agent_views=AgentViews(store=store, registry=registry),
        budgets=control.budgets,
        credit=control.credit,
        bus=base.bus,
        history=history,
        steps=steps,
        live_texts=LiveTexts(registry=registry, redactor=redactor),
        warmth=control.warmth,
        secret_uses=_secret_uses(base),
        audit=audit,
        events=events,
    )


def steps_of(
    store: Store,
    broker: Broker,
    audit: Audit,
    *,
    late_s: float = Timeouts().late_step_s,
    long_s: float = LONG_S,
) -> Steps:
    """Return what follows the tool calls of turns."""
    return Steps(
        store=store,
        broker=broker,
        notifications=Notifications(store=store, broker=broker, audit=audit),
        late_s=late_s,
        long_s=long_s,
    )


def row_repair(kit: Kit, operations: Operations | None = None) -> RowRepair:
    """Return what the doctor asks about the rows of ``kit``."""
    return RowRepair(
        store=kit.store,
        registry=kit.registry,
        transitions=kit.transitions,
        delivery=kit.broker.delivery,
        operations=operations or Operations(store=kit.store, audit=kit.audit),
    )


def put(agent: Agent | Everyone, **values: Any) -> None:
    """Put an agent into a state by hand: nobody but ``transitions`` may, but tests."""
    vars(agent).update(values)


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
