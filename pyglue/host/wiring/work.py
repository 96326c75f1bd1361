"""Running agents: containers, messages, model, and what blocks their turns."""

from dataclasses import dataclass

from pyglue import __version__, calendar_times
from pyglue.host.agents.lifecycle import Lifecycle
from pyglue.host.agents.sockets import AgentSockets
from pyglue.host.agents.specs import Specs
from pyglue.host.agents.supervisor import Supervisor
from pyglue.host.control.accounts import Accounts
from pyglue.host.control.background_tasks import BackgroundTasks
from pyglue.host.control.budgets import Budgets
from pyglue.host.control.controls import Controls
from pyglue.host.control.credit import Credit
from pyglue.host.control.disk_space import Space
from pyglue.host.control.footprint import Footprints
from pyglue.host.control.logins import Logins
from pyglue.host.control.model_choices import ModelChoices
from pyglue.host.control.resuming import Resuming
from pyglue.host.control.warmth import Warmth
from pyglue.host.core.secret_uses import SecretUses
from pyglue.host.messages.broker import Broker
from pyglue.host.messages.notifications import Notifications
from pyglue.host.messages.questions import Questions
from pyglue.host.messages.reminders import Reminders
from pyglue.host.messages.schedules import Schedules
from pyglue.host.messages.webhooks import Webhooks
from pyglue.host.model.egress import EgressHub
from pyglue.host.model.relay import RelayHub
from pyglue.host.wiring.base import Base


@dataclass(frozen=True, kw_only=True)
class Work:
    """The parts that run agents and carry their messages."""

    broker: Broker
    relay: RelayHub
    egress: EgressHub
    lifecycle: Lifecycle
    notifications: Notifications
    supervisor: Supervisor
    questions: Questions
    reminders: Reminders
    schedules: Schedules
    webhooks: Webhooks
    secret_uses: SecretUses
    controls: Controls
    model_choices: ModelChoices
    budgets: Budgets
    credit: Credit
    warmth: Warmth
    space: Space
    footprints: Footprints
    logins: Logins
    resuming: Resuming
    accounts: Accounts
    background_tasks: BackgroundTasks


async def open_work(base: Base) -> Work:
    """Build the parts and let them hear of each other; nothing starts yet."""
    config, store, registry, audit = base.config, base.store, base.registry, base.audit
    transitions = base.transitions
    broker = Broker.of(
        store=store,
        registry=registry,
        transitions=transitions,
        limits=config.messages,
        quotas=config.quotas,
    )
    relay = RelayHub(
        store=store,
        registry=registry,
        transitions=transitions,
        config=config,
        server_name=f"hived {__version__}",
        redactor=base.redactor,
    )
    await relay.open()
    secret_uses = SecretUses(
        config=config, registry=registry, secrets=base.secrets, audit=audit
    )
    egress = EgressHub(
        uses=secret_uses,
        store=store,
        registry=registry,
        transitions=transitions,
        config=config,
        server_name=f"hived {__version__}",
        redactor=base.redactor,
    )
    await egress.open()
    lifecycle = Lifecycle(
        transitions=transitions,
        relay=relay,
        egress=egress,
        sockets=AgentSockets(
            directories=base.directories, config=config, redactor=base.redactor
        ),
        backend=base.backend,
        config=config,
        specs=Specs(config=config, workspaces=base.workspaces),
    )
    notifications = Notifications(store=store, broker=broker, audit=audit)
    await notifications.load()
    base.bus.listen(notifications.on_event)
    schedules = Schedules(
        store=store,
        registry=registry,
        broker=broker,
        zone=calendar_times.zone_of(config.time_zone),
        least_s=config.limits.schedule_minutes * 60,
    )
    schedules.connect(transitions)
    supervisor = Supervisor(
        registry=registry,
        transitions=transitions,
        lifecycle=lifecycle,
        backend=base.backend,
        notifications=notifications,
        config=config,
    )
    questions = Questions(store=store, registry=registry, broker=broker, audit=audit)
    controls = Controls(
        registry=registry,
        transitions=transitions,
        audit=audit,
        limits=config.limits,
        models=config.catalogue,
        grace_s=config.timeouts.drain_s,
        relay=config.relay,
    )
    budgets = Budgets(
        store=store,
        registry=registry,
        transitions=transitions,
        questions=questions,
        controls=controls,
        audit=audit,
        config=config,
    )
    credit = Credit(
        transitions=transitions,
        registry=registry,
        questions=questions,
        controls=controls,
        audit=audit,
        config=config.relay,
    )
    relay.listen(credit.works)
    footprints = Footprints(
        registry=registry,
        transitions=transitions,
        broker=broker,
        controls=controls,
        layout=config.layout,
        quotas=config.quotas,
    )
    space = Space(
        disk=base.disk,
        store=store,
        registry=registry,
        transitions=transitions,
        broker=broker,
        controls=controls,
        audit=audit,
    )
    resuming = Resuming(
        registry=registry,
        controls=controls,
        budgets=budgets,
        space=space,
        footprints=footprints,
    )
    return Work(
        broker=broker,
        relay=relay,
        egress=egress,
        lifecycle=lifecycle,
        notifications=notifications,
        supervisor=supervisor,
        questions=questions,
        reminders=Reminders(store=store, registry=registry, broker=broker),
        schedules=schedules,
        webhooks=Webhooks(
            config=config, registry=registry, broker=broker, secrets=base.secrets
        ),
        secret_uses=secret_uses,
        controls=controls,
        model_choices=ModelChoices(
            registry=registry,
            transitions=transitions,
            controls=controls,
            audit=audit,
            limits=config.limits,
            models=config.catalogue,
        ),
        budgets=budgets,
        credit=credit,
        warmth=Warmth(registry=registry, transitions=transitions, config=config.warm),
        footprints=footprints,
        background_tasks=BackgroundTasks(broker=broker),
        space=space,
        logins=Logins(
            registry=registry,
            controls=controls,
            config=config.relay,
            relays=relay.pids,
        ),
        resuming=resuming,
        accounts=Accounts(
            store=store,
            registry=registry,
            transitions=transitions,
            controls=controls,
            audit=audit,
            config=config.relay,
            windows_of=relay.windows_of,
            used_up_until=relay.used_up_until,
        ),
    )
