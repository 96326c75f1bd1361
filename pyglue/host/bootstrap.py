"""The composition root: the only place that knows all of hived's parts.

``open_hive`` builds them in order, goes on with what a crash interrupted, makes the
first agents and listens; ``Hive.close`` takes it all down again.
"""

import asyncio
import logging
import math
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final

from pyglue import __version__
from pyglue.api.common import PROTOCOL, HelloParams, HelloResult, Role
from pyglue.api.operations import OperationKind
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.agent_api import AgentApi
from pyglue.host.approvals import Approvals
from pyglue.host.archives import Archives
from pyglue.host.audit import Audit
from pyglue.host.backends.base import Backend
from pyglue.host.backends.local import LocalBackend
from pyglue.host.backends.nixos_container import NixosContainerBackend
from pyglue.host.backup import Backups
from pyglue.host.broker import Broker
from pyglue.host.budgets import Budgets
from pyglue.host.clashes import known
from pyglue.host.controls import Controls
from pyglue.host.declared import Declared
from pyglue.host.deploy import Deploy
from pyglue.host.doctor import Doctor
from pyglue.host.drafts import Discarding, Drafting, Drafts
from pyglue.host.ending import Destroying, Ending, Purging
from pyglue.host.events import EventBus
from pyglue.host.export import Exports
from pyglue.host.history import History
from pyglue.host.imports import Importing, Imports
from pyglue.host.journal import Journal
from pyglue.host.kept import Kept
from pyglue.host.life import Life
from pyglue.host.lifecycle import Lifecycle
from pyglue.host.manager_api import ManagerApi
from pyglue.host.notices import Notices
from pyglue.host.operations import Operations
from pyglue.host.operator_api import Services, operator_session
from pyglue.host.ports import Ports
from pyglue.host.proposals import Proposals
from pyglue.host.questions import Questions
from pyglue.host.rebuild import RebuildingAll
from pyglue.host.registry import Agent, Registry
from pyglue.host.relay_api import RelayHub
from pyglue.host.reminders import Reminders
from pyglue.host.rendering import Rendering
from pyglue.host.repair import Repair
from pyglue.host.repair_repos import RepoRepair
from pyglue.host.repair_rooms import RoomRepair
from pyglue.host.repeats import Repeats
from pyglue.host.rooms import Rooms
from pyglue.host.running import Running
from pyglue.host.sessions import Sessions
from pyglue.host.systems import Systems
from pyglue.host.telemetry import Telemetry
from pyglue.host.terminals import Terminals
from pyglue.host.transfers import Transfers
from pyglue.host.upkeep import Upkeep
from pyglue.host.views import Views
from pyglue.jsonrpc import Connection, Handlers, Server, serve
from pyglue.jsonrpc.sockets import Session
from pyglue.names import SYSTEM
from pyglue.nix import Evaluator
from pyglue.paths import share
from pyglue.store import messages
from pyglue.store.database import open_store

_HOUSEKEEPING_S: Final = 600.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Hive:
    """A running hived."""

    services: Services
    lifecycle: Lifecycle
    upkeep: Upkeep
    relay: RelayHub
    audit: Audit
    server: Server
    tasks: tuple[asyncio.Task[None], ...]

    async def close(self) -> None:
        """Stop every agent and release everything, in order."""
        self.server.close()
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


def _backend(config: HiveConfig) -> Backend:
    if config.backend == "local":
        return LocalBackend(config)
    if config.backend == "nixos-container":
        return NixosContainerBackend(config)
    raise HiveError(
        ErrorCode.CONFIG_INVALID,
        f'There is no backend {config.backend!r}; use "local" or "nixos-container".',
    )


async def open_hive(config: HiveConfig) -> Hive:
    """Build, recover, listen, and start what should run.

    Raises:
        HiveError: what keeps hived from running, with what to do.
    """
    layout = config.layout
    rooms = Rooms(config)
    await asyncio.to_thread(rooms.prepare)
    backend = _backend(config)
    evaluator = Evaluator.of(config)
    evaluator.check()
    store = open_store(layout.database, layout.lock)
    audit = Audit(layout.audit_log, layout.state / "private" / "audit.key")
    bus = EventBus(store)
    await bus.load()
    registry = Registry(store)
    await registry.load()
    await store.write(messages.release_all)
    await asyncio.to_thread(rooms.tidy_all)
    names = await store.read(known)
    await asyncio.to_thread(rooms.forget_strays, names)
    broker = Broker(store, registry, config.messages)
    relay = RelayHub(store, registry, config, server_name=f"hived {__version__}")
    await relay.open()
    lifecycle = Lifecycle(
        store=store,
        registry=registry,
        broker=broker,
        relay=relay,
        rooms=rooms,
        backend=backend,
        config=config,
    )
    notices = Notices(store, broker, audit)
    await notices.load()
    bus.listen(notices.on_event)
    upkeep = Upkeep(
        registry=registry,
        lifecycle=lifecycle,
        backend=backend,
        notices=notices,
        config=config,
    )
    questions = Questions(store, registry, broker, audit)
    reminders = Reminders(store, registry, broker)
    controls = Controls(
        store=store,
        registry=registry,
        broker=broker,
        audit=audit,
        limits=config.limits,
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
    operations = Operations(store, audit)
    systems = await asyncio.to_thread(Systems.of, config, store)
    rendering = Rendering(
        store=store,
        registry=registry,
        evaluator=evaluator,
        operations=operations,
        audit=audit,
        config=config,
        systems=systems,
    )
    proposals = Proposals(
        store=store,
        registry=registry,
        rendering=rendering,
        rooms=rooms,
        config=config,
        templates=share() / "agents",
    )
    repeats = Repeats(
        store=store,
        registry=registry,
        proposals=proposals,
        rendering=rendering,
        config=config,
        systems=systems,
    )
    rebuilding = RebuildingAll(
        store=store, registry=registry, operations=operations, repeats=repeats
    )
    drafts = Drafts(store, registry, operations, layout)
    await drafts.load()
    ending = Ending(store, registry, operations)
    await ending.load()
    imports = Imports(
        store=store,
        registry=registry,
        operations=operations,
        proposals=proposals,
        rooms=rooms,
        config=config,
    )
    await imports.load()
    repair = Repair(
        store=store,
        proposals=proposals,
        repos=RepoRepair(store, operations, layout),
        rooms=RoomRepair(store, operations, rooms, backend, layout),
        audit=audit,
    )
    archives = Archives(
        transfers=Transfers(layout.quarantine),
        exports=Exports(store, audit, layout),
        imports=imports,
        backups=Backups(audit, layout),
    )
    approvals = Approvals(
        store=store,
        registry=registry,
        notices=notices,
        operations=operations,
        rooms=rooms,
        audit=audit,
        config=config,
    )
    history = History(store, registry, bus, config.retention)
    ports = Ports(registry, layout) if config.web.agent_ports else None
    if ports is not None:
        await ports.load()
    bus.listen(approvals.heard)
    sessions = Sessions(store, config, audit)
    await sessions.load()
    journal = Journal(registry, backend)
    bus.listen(journal.heard)
    services = Services(
        config=config,
        store=store,
        registry=registry,
        broker=broker,
        questions=questions,
        reminders=reminders,
        audit=audit,
        proposals=proposals,
        approvals=approvals,
        operations=operations,
        life=Life(
            drafts=drafts,
            kept=Kept(store, rooms),
            ending=ending,
            repeats=repeats,
            rebuilding=rebuilding,
        ),
        sessions=sessions,
        controls=controls,
        budgets=budgets,
        bus=bus,
        backend=backend,
        doctor=Doctor(
            registry=registry,
            backend=backend,
            relay=relay,
            evaluator=evaluator,
            repair=repair,
            state_dir=config.state_dir,
        ),
        journal=journal,
        terminals=Terminals(registry, audit, config),
        history=history,
        archives=archives,
        repair=repair,
        telemetry=Telemetry(store, registry, bus, layout),
        ports=ports,
        views=Views(
            ports=ports,
            systems=systems,
            store=store,
            registry=registry,
            bus=bus,
            backend=backend,
            relay=relay,
            config=config,
        ),
    )
    lifecycle.connect(lambda agent: _agent_session(services, lifecycle, agent))
    upkeep.connect(lambda name: _start_one(operations, name))
    server = await serve(
        layout.operator_socket,
        lambda connection, hello: operator_session(services, connection, hello),
        mode=0o660,
        gid=_operators(config),
    )
    deploy = Deploy(
        backend=backend,
        systems=systems,
        store=store,
        registry=registry,
        notices=notices,
        lifecycle=lifecycle,
        rooms=rooms,
        audit=audit,
        config=config,
    )
    running = Running(
        store=store,
        registry=registry,
        lifecycle=lifecycle,
        rooms=rooms,
        notices=notices,
    )
    interrupted = await operations.start(
        {
            OperationKind.SPAWN: deploy,
            OperationKind.DEPLOY: deploy,
            OperationKind.RESTORE: deploy,
            OperationKind.ROLLBACK: deploy,
            OperationKind.REBUILD: deploy,
            OperationKind.REBUILD_ALL: rebuilding,
            OperationKind.START: running,
            OperationKind.STOP: running,
            OperationKind.RESTART: running,
            OperationKind.DRAFT: Drafting(
                store=store,
                registry=registry,
                proposals=proposals,
                rooms=rooms,
                notices=notices,
                layout=layout,
                templates=share() / "agents",
            ),
            OperationKind.IMPORT: Importing(
                imports,
                store=store,
                registry=registry,
                proposals=proposals,
                repeats=repeats,
                rooms=rooms,
                audit=audit,
                config=config,
            ),
            OperationKind.DISCARD: Discarding(
                store=store,
                registry=registry,
                proposals=proposals,
                rooms=rooms,
                audit=audit,
            ),
            OperationKind.DESTROY: Destroying(
                store=store,
                registry=registry,
                lifecycle=lifecycle,
                upkeep=upkeep,
                backend=backend,
                rooms=rooms,
                questions=questions,
                notices=notices,
                systems=systems,
            ),
            OperationKind.PURGE: Purging(
                store=store,
                registry=registry,
                proposals=proposals,
                rooms=rooms,
                audit=audit,
            ),
        }
    )
    declared = Declared(
        config=config,
        registry=registry,
        proposals=proposals,
        approvals=approvals,
        store=store,
        views=services.views,
        agents=share() / "agents",
    )
    tasks = (
        _watched(questions.watch()),
        _watched(reminders.watch()),
        _watched(budgets.watch()),
        _watched(_housekeeping(history, approvals, systems, notices)),
        _watched(_start_agents(upkeep, declared, interrupted)),
    )
    return Hive(
        services=services,
        lifecycle=lifecycle,
        upkeep=upkeep,
        relay=relay,
        audit=audit,
        server=server,
        tasks=tasks,
    )


def _operators(config: HiveConfig) -> int | None:
    """Return the group of ``operator.sock``: the operators', else hive-web's own."""
    if config.operators_gid is not None:
        return config.operators_gid
    return None if config.ids is None else config.ids.web


def _agent_session(services: Services, lifecycle: Lifecycle, agent: Agent) -> Session:
    """Return who answers on this agent's socket."""

    def session(
        connection: Connection, hello: HelloParams
    ) -> tuple[HelloResult, Handlers]:
        if hello.harness is not None:
            lifecycle.hello(agent, connection, hello.harness)
        handlers = AgentApi(
            agent,
            connection,
            store=services.store,
            registry=services.registry,
            broker=services.broker,
            questions=services.questions,
            reminders=services.reminders,
            terminals=services.terminals,
            history=services.history,
            budgets=services.budgets,
            controls=services.controls,
            harness=hello.harness is not None,
        ).handlers()
        if agent.role is Role.MANAGER:
            ManagerApi(
                connection,
                store=services.store,
                registry=services.registry,
                proposals=services.proposals,
                approvals=services.approvals,
                operations=services.operations,
                journal=services.journal,
                drafts=services.life.drafts,
                repeats=services.life.repeats,
            ).add_to(handlers)
        result = HelloResult(
            protocol=PROTOCOL,
            role=agent.role,
            server=f"hived {__version__}",
            agent=agent.name,
        )
        return result, handlers

    return session


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


async def _housekeeping(
    history: History, approvals: Approvals, systems: Systems | None, notices: Notices
) -> None:
    if systems is not None:
        await systems.start(notices)
    while True:
        await approvals.expire()
        if systems is not None:
            await systems.sweep()
        await history.prune()
        await asyncio.sleep(_HOUSEKEEPING_S)
