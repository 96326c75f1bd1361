"""Which machine runs which operation."""

from collections.abc import Mapping

from pyglue.api.operations import OperationKind
from pyglue.host.deploy import Deploy
from pyglue.host.drafts import Drafting
from pyglue.host.ending import Destroying
from pyglue.host.importing import Importing
from pyglue.host.operations import Machine
from pyglue.host.removing import Discarding, Purging
from pyglue.host.running import Running
from pyglue.host.wiring.base import Base
from pyglue.host.wiring.changes import Changes
from pyglue.host.wiring.work import Work
from pyglue.paths import share


def machines(
    base: Base, work: Work, changes: Changes
) -> Mapping[OperationKind, Machine]:
    """Return a machine for every kind of operation."""
    deploy = _deploy(base, work, changes)
    running = Running(
        store=base.store,
        registry=base.registry,
        lifecycle=work.lifecycle,
        rooms=base.rooms,
        notices=work.notices,
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
        OperationKind.DRAFT: _drafting(base, work, changes),
        OperationKind.IMPORT: _importing(base, changes),
        OperationKind.DISCARD: Discarding(
            store=base.store,
            registry=base.registry,
            proposals=changes.proposals,
            rooms=base.rooms,
            audit=base.audit,
        ),
        OperationKind.DESTROY: _destroying(base, work, changes),
        OperationKind.PURGE: Purging(
            store=base.store,
            registry=base.registry,
            proposals=changes.proposals,
            rooms=base.rooms,
            audit=base.audit,
        ),
    }


def _deploy(base: Base, work: Work, changes: Changes) -> Deploy:
    return Deploy(
        backend=base.backend,
        systems=changes.systems,
        store=base.store,
        registry=base.registry,
        notices=work.notices,
        lifecycle=work.lifecycle,
        rooms=base.rooms,
        audit=base.audit,
        config=base.config,
    )


def _drafting(base: Base, work: Work, changes: Changes) -> Drafting:
    return Drafting(
        store=base.store,
        registry=base.registry,
        proposals=changes.proposals,
        rooms=base.rooms,
        notices=work.notices,
        layout=base.config.layout,
        templates=share() / "agents",
    )


def _importing(base: Base, changes: Changes) -> Importing:
    return Importing(
        changes.imports,
        store=base.store,
        registry=base.registry,
        proposals=changes.proposals,
        repeats=changes.repeats,
        rooms=base.rooms,
        audit=base.audit,
        config=base.config,
    )


def _destroying(base: Base, work: Work, changes: Changes) -> Destroying:
    return Destroying(
        store=base.store,
        registry=base.registry,
        lifecycle=work.lifecycle,
        upkeep=work.upkeep,
        backend=base.backend,
        rooms=base.rooms,
        questions=work.questions,
        notices=work.notices,
        systems=changes.systems,
    )
