"""Agents at work: their containers, mail and model, and what holds them back."""

from dataclasses import dataclass

from pyglue import __version__
from pyglue.host.broker import Broker
from pyglue.host.budgets import Budgets
from pyglue.host.chores import Chores
from pyglue.host.controls import Controls
from pyglue.host.credit import Credit
from pyglue.host.footprint import Footprints
from pyglue.host.lifecycle import Lifecycle
from pyglue.host.notices import Notices
from pyglue.host.questions import Questions
from pyglue.host.relay_api import RelayHub
from pyglue.host.reminders import Reminders
from pyglue.host.space import Space
from pyglue.host.upkeep import Upkeep
from pyglue.host.wiring.base import Base


@dataclass(frozen=True, kw_only=True)
class Work:
    """The parts that run agents and carry their messages."""

    broker: Broker
    relay: RelayHub
    lifecycle: Lifecycle
    notices: Notices
    upkeep: Upkeep
    questions: Questions
    reminders: Reminders
    controls: Controls
    budgets: Budgets
    credit: Credit
    space: Space
    footprints: Footprints
    chores: Chores


async def open_work(base: Base) -> Work:
    """Build the parts and let them hear of each other; nothing starts yet."""
    config, store, registry, audit = base.config, base.store, base.registry, base.audit
    broker = Broker(store, registry, config.messages, config.quotas)
    relay = RelayHub(store, registry, config, server_name=f"hived {__version__}")
    await relay.open()
    lifecycle = Lifecycle(
        store=store,
        registry=registry,
        broker=broker,
        relay=relay,
        rooms=base.rooms,
        backend=base.backend,
        config=config,
    )
    notices = Notices(store, broker, audit)
    await notices.load()
    base.bus.listen(notices.on_event)
    upkeep = Upkeep(
        registry=registry,
        lifecycle=lifecycle,
        backend=base.backend,
        notices=notices,
        config=config,
    )
    questions = Questions(store, registry, broker, audit)
    controls = Controls(
        store=store,
        registry=registry,
        broker=broker,
        audit=audit,
        limits=config.limits,
        grace_s=config.timeouts.drain_s,
    )
    await controls.load()
    controls.listen(relay.refresh)
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
    relay.listen(credit.works)
    return Work(
        broker=broker,
        relay=relay,
        lifecycle=lifecycle,
        notices=notices,
        upkeep=upkeep,
        questions=questions,
        reminders=Reminders(store, registry, broker),
        controls=controls,
        budgets=budgets,
        credit=credit,
        footprints=Footprints(
            registry=registry,
            broker=broker,
            controls=controls,
            layout=config.layout,
            quotas=config.quotas,
        ),
        chores=Chores(broker),
        space=Space(
            disk=base.disk,
            store=store,
            registry=registry,
            broker=broker,
            controls=controls,
            audit=audit,
        ),
    )
