"""Running agents: their containers, messages, and ways to the model and to hosts."""

from dataclasses import dataclass

from pyglue import __version__
from pyglue.clock import calendar_times
from pyglue.host.agents.lifecycle import Lifecycle
from pyglue.host.agents.sockets import AgentSockets
from pyglue.host.agents.specs import Specs
from pyglue.host.agents.supervisor import Supervisor
from pyglue.host.control.background_tasks import BackgroundTasks
from pyglue.host.core.counts import Counts
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
    background_tasks: BackgroundTasks


async def open_work(base: Base) -> Work:
    """Construct the parts and connect them; nothing starts yet."""
    config, store, registry, audit = base.config, base.store, base.registry, base.audit
    transitions = base.transitions
    broker = Broker.of(
        store=store,
        registry=registry,
        transitions=transitions,
        limits=config.messages,
        quotas=config.quotas,
    )
    relay = await _open_relay(base)
    secret_uses = SecretUses(
        config=config, registry=registry, secrets=base.secrets, audit=audit
    )
    egress = await _open_egress(base, secret_uses)
    lifecycle = _lifecycle(base, relay, egress)
    notifications = Notifications(store=store, broker=broker, audit=audit)
    await notifications.load()
    base.bus.listen(notifications.on_event)
    schedules = Schedules(
        store=store,
        registry=registry,
        broker=broker,
        zone=calendar_times.zone_of(config.time_zone),
        least_s=config.limits.schedule_minutes * 60,
        count=Counts(store=store).add,
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
    return Work(
        broker=broker,
        relay=relay,
        egress=egress,
        lifecycle=lifecycle,
        notifications=notifications,
        supervisor=supervisor,
        questions=Questions(store=store, registry=registry, broker=broker, audit=audit),
        reminders=Reminders(store=store, registry=registry, broker=broker),
        schedules=schedules,
        webhooks=Webhooks(
            config=config,
            registry=registry,
            broker=broker,
            secrets=base.secrets,
            count=Counts(store=store).add,
        ),
        secret_uses=secret_uses,
        background_tasks=BackgroundTasks(broker=broker),
    )


async def _open_relay(base: Base) -> RelayHub:
    relay = RelayHub(
        store=base.store,
        registry=base.registry,
        transitions=base.transitions,
        config=base.config,
        server_name=f"hived {__version__}",
        redactor=base.redactor,
    )
    await relay.open()
    return relay


async def _open_egress(base: Base, uses: SecretUses) -> EgressHub:
    egress = EgressHub(
        uses=uses,
        store=base.store,
        registry=base.registry,
        transitions=base.transitions,
        config=base.config,
        server_name=f"hived {__version__}",
        redactor=base.redactor,
    )
    await egress.open()
    return egress


def _lifecycle(base: Base, relay: RelayHub, egress: EgressHub) -> Lifecycle:
    return Lifecycle(
        transitions=base.transitions,
        relay=relay,
        egress=egress,
        sockets=AgentSockets(
            directories=base.directories, config=base.config, redactor=base.redactor
        ),
        backend=base.backend,
        config=base.config,
        specs=Specs(config=base.config, workspaces=base.workspaces),
    )
