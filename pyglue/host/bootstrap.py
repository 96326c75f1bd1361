"""The composition root: the only place that knows all of hived's parts.

``open_hive`` builds them in order (``wiring`` has a module per part), listens, resumes
operations that a crash interrupted, and creates the first agents; ``Hive.close`` shuts
everything down.
"""

import asyncio
import logging
import math
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final

from pyglue.api.operations import OperationKind
from pyglue.clock import wall_clock
from pyglue.config import HiveConfig
from pyglue.host.agents.lifecycle import Lifecycle
from pyglue.host.agents.supervisor import Supervisor
from pyglue.host.api.services import Services
from pyglue.host.changes.systems import Systems
from pyglue.host.control.background_tasks import BackgroundTasks
from pyglue.host.core.audit import Audit
from pyglue.host.core.operations import Operations
from pyglue.host.life.declared import Declared
from pyglue.host.messages.notifications import Notifications
from pyglue.host.model.egress import EgressHub
from pyglue.host.model.relay import RelayHub
from pyglue.host.watch.retention import Pruning
from pyglue.host.wiring.base import Base, open_base
from pyglue.host.wiring.changes import Changes, open_changes
from pyglue.host.wiring.control import Control, open_control
from pyglue.host.wiring.handlers import handlers
from pyglue.host.wiring.services import open_services
from pyglue.host.wiring.sockets import agent_session, serve_operator
from pyglue.host.wiring.work import Work, open_work
from pyglue.jsonrpc import Server
from pyglue.names import SYSTEM
from pyglue.paths import share

_HOUSEKEEPING_S: Final = 600.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, repr=False)
class Hive:
    """A running hived."""

    services: Services
    lifecycle: Lifecycle
    supervisor: Supervisor
    relay: RelayHub
    egress: EgressHub
    background_tasks: BackgroundTasks
    audit: Audit
    server: Server
    tasks: tuple[asyncio.Task[None], ...]

    async def close(self) -> None:
        """Stop every agent and release everything, in order."""
        self.server.close()
        await self.background_tasks.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.services.journal.close()
        await self.services.archives.transfers.close()
        await self.services.operations.close()
        await self.services.proposals.close()
        await self.supervisor.close()
        await self.lifecycle.close()
        self.relay.close()
        self.egress.close()
        await self.services.store.close()
        self.audit.close()


async def open_hive(config: HiveConfig) -> Hive:
    """Build everything, listen, recover, and start the agents that should run.

    Raises:
        HiveError: why hived cannot run, and what to do.
    """
    base = await open_base(config)
    work = await open_work(base)
    control = open_control(base, work)
    changes = await open_changes(base, work)
    services = await open_services(base, work, control, changes)
    operations = changes.operations
    work.lifecycle.sockets.connect(
        lambda agent: agent_session(services, work.lifecycle, agent)
    )
    work.supervisor.connect(lambda name: _start_one(operations, name))
    await base.transitions.all_turns_lost()  # once the metrics are listening
    server = await serve_operator(services)
    interrupted = await operations.start(handlers(base, work, changes))
    declared = Declared(
        config=config,
        registry=base.registry,
        proposals=changes.proposals,
        approvals=changes.approvals,
        store=base.store,
        warnings=base.warnings,
        agents=share() / "agents",
    )
    _start_background(base, work, control, changes, services)
    tasks = (_watched(_start_agents(work.supervisor, declared, interrupted)),)
    return Hive(
        services=services,
        lifecycle=work.lifecycle,
        supervisor=work.supervisor,
        relay=work.relay,
        egress=work.egress,
        background_tasks=work.background_tasks,
        audit=base.audit,
        server=server,
        tasks=tasks,
    )


def _start_background(
    base: Base, work: Work, control: Control, changes: Changes, services: Services
) -> None:
    """Start the background tasks, which run as long as hived does."""
    pruning = Pruning(
        store=base.store,
        history=services.history,
        proposals=changes.proposals,
        layout=base.config.layout,
        retention=base.config.retention,
    )
    background_tasks = work.background_tasks
    background_tasks.start("disk space", control.space.watch)
    background_tasks.start("sizes of agents' files", control.footprints.watch)
    background_tasks.start("questions", work.questions.watch)
    background_tasks.start("reminders", work.reminders.watch)
    background_tasks.start("schedules", work.schedules.watch)
    if services.notifier.is_on:
        background_tasks.start("notifications", services.notifier.watch)
    background_tasks.start("budgets", control.budgets.watch)
    background_tasks.start("new logins", control.logins.watch)
    background_tasks.start("memory pressure", control.warmth.watch)
    background_tasks.every(
        "expiry of approvals", _HOUSEKEEPING_S, services.approvals.expire
    )
    background_tasks.every("retention", _HOUSEKEEPING_S, pruning.prune)
    systems = changes.systems
    if systems is not None:
        background_tasks.start(
            "systems", lambda: _look_after(systems, work.notifications)
        )


async def _start_one(operations: Operations, name: str) -> bool:
    """Start an agent by a queued operation; return whether that succeeded."""
    operation = await operations.request(OperationKind.START, name, by=SYSTEM)
    ended = await operations.get(operation.id, math.inf)
    return ended.error is None


def _watched(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run a task that nothing awaits, and log its failure."""
    task = asyncio.create_task(work)

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s exited: %s", work, error, exc_info=error)

    task.add_done_callback(ended)
    return task


async def _start_agents(
    supervisor: Supervisor, declared: Declared, interrupted: frozenset[str]
) -> None:
    """Start the agents that should run, and create the declared ones."""
    await supervisor.start_wanted(interrupted)
    await declared.run(interrupted)


async def _look_after(systems: Systems, notifications: Notifications) -> None:
    """Clean up GC roots: keep the systems of NixOS agents, release the rest."""
    await systems.start(notifications)
    while True:
        await systems.sweep()
        await wall_clock.elapse(_HOUSEKEEPING_S)
