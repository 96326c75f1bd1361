"""Changes to agents: proposals, approvals, operations and lifecycle."""

import asyncio
from dataclasses import dataclass

from pyglue.host.archives.imports import Imports
from pyglue.host.changes.approvals import Approvals
from pyglue.host.changes.evaluation import Evaluation
from pyglue.host.changes.pinning import Pinning
from pyglue.host.changes.proposals import Proposals
from pyglue.host.changes.rebuild import RebuildAllHandler
from pyglue.host.changes.redeploy import Redeploy
from pyglue.host.changes.review import Review
from pyglue.host.changes.systems import Systems
from pyglue.host.changes.versions import Versions
from pyglue.host.core.operations import Operations
from pyglue.host.life.destroy import Destroy
from pyglue.host.life.drafts import Drafts
from pyglue.host.wiring.base import Base
from pyglue.host.wiring.work import Work
from pyglue.paths import share


@dataclass(frozen=True, kw_only=True)
class Changes:
    """The parts from commit to deployment; ``systems`` only with NixOS agents."""

    operations: Operations
    systems: Systems | None
    proposals: Proposals
    redeploy: Redeploy
    rebuilding: RebuildAllHandler
    drafts: Drafts
    destroy: Destroy
    imports: Imports
    approvals: Approvals
    versions: Versions


async def open_changes(base: Base, work: Work) -> Changes:
    """Build the parts; no operation resumes before ``Operations.start``."""
    config, store, registry, audit = base.config, base.store, base.registry, base.audit
    operations = Operations(store=store, audit=audit)
    systems = None
    if base.backend.systems:
        systems = await asyncio.to_thread(Systems.of, config, store)
    evaluation = _evaluation(base, systems)
    pinning = Pinning(
        store=store,
        registry=registry,
        evaluation=evaluation,
        operations=operations,
        audit=audit,
        config=config,
        limits_hold=base.backend.limits,
    )
    proposals = Proposals(
        store=store,
        registry=registry,
        evaluation=evaluation,
        pinning=pinning,
        directories=base.directories,
        kept_files=base.kept_files,
        config=config,
        templates=share() / "agents",
    )
    redeploy = Redeploy(
        store=store,
        registry=registry,
        proposals=proposals,
        evaluation=evaluation,
        pinning=pinning,
        config=config,
        systems=systems,
    )
    drafts = _drafts(base, operations)
    await drafts.load()
    destroy = Destroy(store=store, registry=registry, operations=operations)
    await destroy.load()
    imports = _imports(base, operations, proposals)
    await imports.load()
    approvals = _approvals(base, work, operations)
    base.bus.listen(approvals.heard)
    return Changes(
        operations=operations,
        systems=systems,
        proposals=proposals,
        redeploy=redeploy,
        rebuilding=RebuildAllHandler(
            store=store, registry=registry, operations=operations, redeploy=redeploy
        ),
        drafts=drafts,
        destroy=destroy,
        imports=imports,
        approvals=approvals,
        versions=Versions(store=store, config=config, limits_hold=base.backend.limits),
    )


def _approvals(base: Base, work: Work, operations: Operations) -> Approvals:
    return Approvals(
        store=base.store,
        registry=base.registry,
        notifications=work.notifications,
        operations=operations,
        kept_files=base.kept_files,
        audit=base.audit,
        review=Review(
            store=base.store,
            config=base.config,
            webhooks=work.webhooks,
            secret_uses=work.secret_uses,
        ),
        config=base.config,
    )


def _evaluation(base: Base, systems: Systems | None) -> Evaluation:
    return Evaluation(
        registry=base.registry,
        evaluator=base.evaluator,
        config=base.config,
        systems=systems,
        workspaces=base.workspaces,
    )


def _drafts(base: Base, operations: Operations) -> Drafts:
    return Drafts(
        store=base.store,
        registry=base.registry,
        operations=operations,
        layout=base.config.layout,
        quotas=base.config.quotas,
    )


def _imports(base: Base, operations: Operations, proposals: Proposals) -> Imports:
    return Imports(
        store=base.store,
        registry=base.registry,
        operations=operations,
        proposals=proposals,
        directories=base.directories,
        kept_files=base.kept_files,
        config=base.config,
    )
