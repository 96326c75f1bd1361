"""The handlers of operations, by kind."""

from collections.abc import Mapping

from pyglue.api.operations import OperationKind
from pyglue.host.agents.start_stop import Running
from pyglue.host.archives.importing import ImportHandler
from pyglue.host.changes.deploy import Deploy
from pyglue.host.core.operations import Handler
from pyglue.host.life.destroy import DestroyHandler
from pyglue.host.life.drafts import DraftHandler
from pyglue.host.life.purge import DiscardHandler, PurgeHandler
from pyglue.host.wiring.base import Base
from pyglue.host.wiring.changes import Changes
from pyglue.host.wiring.work import Work
from pyglue.paths import share


def handlers(
    base: Base, work: Work, changes: Changes
) -> Mapping[OperationKind, Handler]:
    """Return a handler for every kind of operation."""
    deploy = _deploy(base, work, changes)
    running = Running(
        registry=base.registry,
        transitions=base.transitions,
        lifecycle=work.lifecycle,
        directories=base.directories,
        notifications=work.notifications,
    )
    return {
        OperationKind.SPAWN: deploy,
        OperationKind.DEPLOY: deploy,
        OperationKind.RESTORE: deploy,
        OperationKind.ROLLBACK: deploy,
        OperationKind.REBUILD: deploy,
        OperationKind.REBUILD_ALL: changes.rebuilding,
        OperationKind.START: running,
        OperationKind.STOP: running,
        OperationKind.RESTART: running,
        OperationKind.DRAFT: _draft_handler(base, work, changes),
        OperationKind.IMPORT: _import_handler(base, changes),
        OperationKind.DISCARD: DiscardHandler(
            store=base.store,
            registry=base.registry,
            proposals=changes.proposals,
            kept_files=base.kept_files,
            audit=base.audit,
        ),
        OperationKind.DESTROY: _destroy_handler(base, work, changes),
        OperationKind.PURGE: PurgeHandler(
            store=base.store,
            registry=base.registry,
            proposals=changes.proposals,
            kept_files=base.kept_files,
            audit=base.audit,
        ),
    }


def _deploy(base: Base, work: Work, changes: Changes) -> Deploy:
    return Deploy(
        backend=base.backend,
        systems=changes.systems,
        store=base.store,
        registry=base.registry,
        transitions=base.transitions,
        notifications=work.notifications,
        lifecycle=work.lifecycle,
        directories=base.directories,
        audit=base.audit,
        config=base.config,
    )


def _draft_handler(base: Base, work: Work, changes: Changes) -> DraftHandler:
    return DraftHandler(
        store=base.store,
        registry=base.registry,
        proposals=changes.proposals,
        directories=base.directories,
        kept_files=base.kept_files,
        notifications=work.notifications,
        layout=base.config.layout,
        templates=share() / "agents",
    )


def _import_handler(base: Base, changes: Changes) -> ImportHandler:
    return ImportHandler(
        imports=changes.imports,
        store=base.store,
        registry=base.registry,
        proposals=changes.proposals,
        redeploy=changes.redeploy,
        directories=base.directories,
        kept_files=base.kept_files,
        audit=base.audit,
        config=base.config,
    )


def _destroy_handler(base: Base, work: Work, changes: Changes) -> DestroyHandler:
    return DestroyHandler(
        store=base.store,
        registry=base.registry,
        transitions=base.transitions,
        drain_s=base.config.timeouts.drain_s,
        lifecycle=work.lifecycle,
        supervisor=work.supervisor,
        backend=base.backend,
        kept_files=base.kept_files,
        questions=work.questions,
        notifications=work.notifications,
        systems=changes.systems,
    )
