"""The services behind the sockets: views, history, archives, doctor and the rest."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from pyglue.api.events import NotificationsChanged
from pyglue.clock import calendar_times
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.agents.ports import Ports
from pyglue.host.api.services import Services
from pyglue.host.api.sessions import Sessions
from pyglue.host.archives.backup import Backups
from pyglue.host.archives.calls import Archives
from pyglue.host.archives.export import Exports
from pyglue.host.archives.transfers import Transfers
from pyglue.host.changes.manager_operations import ManagerOperations
from pyglue.host.changes.submissions import Submissions
from pyglue.host.core.counts import Counts
from pyglue.host.life.kept import Kept
from pyglue.host.life.life import Life
from pyglue.host.messages.operator_messages import OperatorMessages
from pyglue.host.messages.queue import Queue
from pyglue.host.watch.agent_views import AgentViews
from pyglue.host.watch.files import Files
from pyglue.host.watch.history import History
from pyglue.host.watch.journal import Journal
from pyglue.host.watch.live_text import LiveTexts
from pyglue.host.watch.notifier import Notifier
from pyglue.host.watch.spending import Spending
from pyglue.host.watch.steps import Steps
from pyglue.host.watch.terminals import Terminals
from pyglue.host.watch.turn_events import TurnEvents
from pyglue.host.watch.turn_metrics import TurnMetrics
from pyglue.host.watch.views import Views
from pyglue.host.wiring.base import Base
from pyglue.host.wiring.changes import Changes
from pyglue.host.wiring.control import Control
from pyglue.host.wiring.doctor import open_doctor, open_exposure, open_repair
from pyglue.host.wiring.work import Work
from pyglue.limits import MIB

if TYPE_CHECKING:
    from pyglue.host.push.browsers import Browsers


async def open_services(
    base: Base, work: Work, control: Control, changes: Changes
) -> Services:
    """Build the services that only read, and join them with the other parts."""
    config, store, registry = base.config, base.store, base.registry
    ports = await _ports(base)
    sessions = Sessions(store=store, config=config, audit=base.audit)
    await sessions.load()
    journal = Journal(registry=registry, backend=base.backend)
    base.bus.listen(journal.heard)
    repair = open_repair(base, work, changes)
    notifier = await _notifier(base)
    steps, history = _steps(base, work), _history(base)
    return Services(
        config=config,
        store=store,
        registry=registry,
        transitions=base.transitions,
        broker=work.broker,
        questions=work.questions,
        reminders=work.reminders,
        audit=base.audit,
        secrets=base.secrets,
        secret_uses=work.secret_uses,
        workspaces=base.workspaces,
        webhooks=work.webhooks,
        notifier=notifier,
        proposals=changes.proposals,
        approvals=changes.approvals,
        submissions=_submissions(base, changes),
        manager_operations=_manager_operations(base, changes),
        versions=changes.versions,
        operations=changes.operations,
        life=_life(base, changes),
        sessions=sessions,
        controls=control.controls,
        model_choices=control.model_choices,
        accounts=control.accounts,
        turns=control.turns,
        warmth=control.warmth,
        resuming=control.resuming,
        queue=_queue(base, work),
        operator_messages=OperatorMessages(store=store, broker=work.broker),
        bus=base.bus,
        backend=base.backend,
        doctor=open_doctor(base, work, control, repair, steps, notifier),
        exposure=open_exposure(base, ports),
        journal=journal,
        files=Files(known=registry.get, layout=config.layout),
        terminals=_terminals(base),
        history=history,
        turn_events=_turn_events(base, history, steps),
        agent_views=AgentViews(store=store, registry=registry),
        live_texts=LiveTexts(registry=registry, redactor=base.redactor),
        archives=_archives(base, work, changes),
        repair=repair,
        turn_metrics=_turn_metrics(base),
        ports=ports,
        views=_views(base, work, control, changes, ports, steps, notifier),
    )


async def _ports(base: Base) -> Ports | None:
    if not base.config.web.agent_ports:
        return None
    ports = Ports(registry=base.registry, layout=base.config.layout)
    await ports.load()
    return ports


async def _notifier(base: Base) -> Notifier:
    notifier = Notifier(
        config=base.config,
        zone=calendar_times.zone_of(base.config.time_zone),
        browsers=await asyncio.to_thread(_browsers, base),
        count=Counts(store=base.store).add,
        changed=partial(base.store.emit, None, NotificationsChanged()),
    )
    base.bus.listen(notifier.heard)
    return notifier


def _views(
    base: Base,
    work: Work,
    control: Control,
    changes: Changes,
    ports: Ports | None,
    steps: Steps,
    notifier: Notifier,
) -> Views:
    browsers = notifier.browsers
    return Views(
        space=control.space,
        background_tasks=work.background_tasks,
        ports=ports,
        controls=control.controls,
        model_choices=control.model_choices,
        warmth=control.warmth,
        steps=steps,
        spending=Spending(store=base.store, bus=base.bus),
        systems=changes.systems,
        store=base.store,
        registry=base.registry,
        bus=base.bus,
        backend=base.backend,
        relay=work.relay,
        egress=work.egress,
        warnings=base.warnings,
        config=base.config,
        webhooks=work.webhooks,
        secret_uses=work.secret_uses,
        push_key=None if browsers is None else browsers.key,
    )


def _terminals(base: Base) -> Terminals:
    return Terminals(
        registry=base.registry,
        audit=base.audit,
        config=base.config,
        backend=base.backend,
        redactor=base.redactor,
    )


def _history(base: Base) -> History:
    return History(
        store=base.store,
        registry=base.registry,
        bus=base.bus,
        retention=base.config.retention,
        size_max=base.config.quotas.history_mib * MIB,
    )


def _turn_metrics(base: Base) -> TurnMetrics:
    return TurnMetrics(
        store=base.store,
        registry=base.registry,
        bus=base.bus,
        layout=base.config.layout,
        models=base.config.catalogue,
    )


def _browsers(base: Base) -> "Browsers | None":
    """Open the subscriptions if Web Push is on: only then load cryptography."""
    if not base.config.notify.web_push.enable:
        return None
    from pyglue.host.push.browsers import Browsers

    try:
        return Browsers(
            config=base.config,
            audit=base.audit,
            changed=partial(base.store.emit, None, NotificationsChanged()),
        )
    except OSError as error:
        raise HiveError(
            ErrorCode.CONFIG_INVALID,
            f"Cannot use {base.config.layout.web_push}: {error.strerror}.",
        ) from error


def _life(base: Base, changes: Changes) -> Life:
    return Life(
        drafts=changes.drafts,
        kept=Kept(store=base.store, kept_files=base.kept_files),
        destroy=changes.destroy,
        redeploy=changes.redeploy,
        rebuilding=changes.rebuilding,
    )


def _turn_events(base: Base, history: History, steps: Steps) -> TurnEvents:
    return TurnEvents(
        store=base.store, registry=base.registry, history=history, steps=steps
    )


def _submissions(base: Base, changes: Changes) -> Submissions:
    return Submissions(
        store=base.store, proposals=changes.proposals, quotas=base.config.quotas
    )


def _manager_operations(base: Base, changes: Changes) -> ManagerOperations:
    return ManagerOperations(
        store=base.store,
        registry=base.registry,
        operations=changes.operations,
        redeploy=changes.redeploy,
        quotas=base.config.quotas,
    )


def _archives(base: Base, work: Work, changes: Changes) -> Archives:
    layout = base.config.layout
    return Archives(
        transfers=Transfers(layout.quarantine),
        exports=Exports(
            store=base.store,
            audit=base.audit,
            layout=layout,
            hidden=work.secret_uses.hidden_in_files,
        ),
        imports=changes.imports,
        backups=Backups(
            audit=base.audit, layout=layout, hidden=work.secret_uses.hidden_in_files
        ),
    )


def _queue(base: Base, work: Work) -> Queue:
    return Queue(
        store=base.store,
        registry=base.registry,
        transitions=base.transitions,
        broker=work.broker,
        audit=base.audit,
    )


def _steps(base: Base, work: Work) -> Steps:
    return Steps(
        store=base.store,
        broker=work.broker,
        notifications=work.notifications,
        late_s=base.config.timeouts.late_step_s,
    )
