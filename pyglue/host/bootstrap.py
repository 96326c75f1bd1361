"""The composition root: the only place that knows all of hived's parts.

``open_hive`` builds them in order (``wiring`` has a module for each room), goes on
with what a crash interrupted, makes the first agents and listens; ``Hive.close`` takes
it all down again.
"""

import asyncio
import logging
import math
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final

from pyglue.api.operations import OperationKind
from pyglue.config import HiveConfig
from pyglue.host.audit import Audit
from pyglue.host.chores import Chores
from pyglue.host.declared import Declared
from pyglue.host.lifecycle import Lifecycle
from pyglue.host.notices import Notices
from pyglue.host.operations import Operations
from pyglue.host.relay_api import RelayHub
from pyglue.host.retention import Pruning
from pyglue.host.services import Services
from pyglue.host.systems import Systems
from pyglue.host.upkeep import Upkeep
from pyglue.host.wiring.base import open_base
from pyglue.host.wiring.changes import open_changes
from pyglue.host.wiring.machines import machines
from pyglue.host.wiring.services import open_services
from pyglue.host.wiring.sockets import agent_session, serve_operator
from pyglue.host.wiring.work import open_work
from pyglue.jsonrpc import Server
from pyglue.names import SYSTEM
from pyglue.paths import share
from pyglue.store.agents import lose_turns

_HOUSEKEEPING_S: Final = 600.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Hive:
    """A running hived."""

    services: Services
    lifecycle: Lifecycle
    upkeep: Upkeep
    relay: RelayHub
    chores: Chores
    audit: Audit
    server: Server
    tasks: tuple[asyncio.Task[None], ...]

    async def close(self) -> None:
        """Stop every agent and release everything, in order."""
        self.server.close()
        await self.chores.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.services.journal.close()
        await self.services.archives.close()
        await self.services.operations.close()
        await self.services.proposals.close()
        await self.upkeep.close()
        await self.lifecycle.close()
        self.relay.close()
        await self.services.store.close()
        self.audit.close()


async def open_hive(config: HiveConfig) -> Hive:
    """Build, recover, listen, and start what should run.

    Raises:
        HiveError: what keeps hived from running, with what to do.
    """
    base = await open_base(config)
    work = await open_work(base)
    changes = await open_changes(base, work)
    services = await open_services(base, work, changes)
    operations, systems = changes.operations, changes.systems
    work.lifecycle.connect(lambda agent: agent_session(services, work.lifecycle, agent))
    work.upkeep.connect(lambda name: _start_one(operations, name))
    await base.store.write(lose_turns)  # when telemetry hears of it
    server = await serve_operator(services)
    interrupted = await operations.start(machines(base, work, changes))
    declared = Declared(
        config=config,
        registry=base.registry,
        proposals=changes.proposals,
        approvals=changes.approvals,
        store=base.store,
        views=services.views,
        agents=share() / "agents",
    )
    pruning = Pruning(
        store=base.store,
        history=services.history,
        proposals=changes.proposals,
        layout=config.layout,
        retention=config.retention,
    )
    chores = work.chores
    chores.start("disk space", work.space.watch)
    chores.start("sizes of agents' files", work.footprints.watch)
    chores.start("questions", work.questions.watch)
    chores.start("reminders", work.reminders.watch)
    chores.start("budgets", work.budgets.watch)
    chores.every("expiry of approvals", _HOUSEKEEPING_S, services.approvals.expire)
    chores.every("retention", _HOUSEKEEPING_S, pruning.prune)
    if systems is not None:
        chores.start("systems", lambda: _look_after(systems, work.notices))
    tasks = (_watched(_start_agents(work.upkeep, declared, interrupted)),)
    return Hive(
        services=services,
        lifecycle=work.lifecycle,
        upkeep=work.upkeep,
        relay=work.relay,
        chores=chores,
        audit=base.audit,
        server=server,
        tasks=tasks,
    )


async def _start_one(operations: Operations, name: str) -> bool:
    """Start an agent in its turn among its operations; tell if it went well."""
    operation = await operations.request(OperationKind.START, name, by=SYSTEM)
    ended = await operations.get(operation.id, math.inf)
    return ended.error is None


def _watched(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run what nobody waits for, and say so if it fails."""
    task = asyncio.create_task(work)

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s ended: %s", work, error, exc_info=error)

    task.add_done_callback(ended)
    return task


async def _start_agents(
    upkeep: Upkeep, declared: Declared, interrupted: frozenset[str]
) -> None:
    """Run what should run, and make the agents that the config names."""
    await upkeep.start_wanted(interrupted)
    await declared.run(interrupted)


async def _look_after(systems: Systems, notices: Notices) -> None:
    """Keep what NixOS agents run from Nix's garbage collector, and let go the rest."""
    await systems.start(notices)
    while True:
        await systems.sweep()
        await asyncio.sleep(_HOUSEKEEPING_S)
