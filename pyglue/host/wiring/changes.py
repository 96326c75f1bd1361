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
    """The parts between a commit and what runs; ``systems`` only where Nix builds."""

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
    """Build the parts; no operation goes on before ``Operations.start``."""
    config, store, registry, audit = base.config, base.store, base.registry, base.audit
    operations = Operations(store=store, audit=audit)
    systems = None
    if base.backend.systems:
        systems = await asyncio.to_thread(Systems.of, config, store)
    evaluation = Evaluation(
        registry=registry,
        evaluator=base.evaluator,
        config=config,
        systems=systems,
        workspaces=base.workspaces,
    )
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
    drafts = Drafts(
        store=store,
        registry=registry,
        operations=operations,
        layout=config.layout,
        quotas=config.quotas,
    )
    await drafts.load()
    destroy = Destroy(store=store, registry=registry, operations=operations)
    await destroy.load()
    imports = Imports(
        store=store,
        registry=registry,
        operations=operations,
        proposals=proposals,
        directories=base.directories,
        kept_files=base.kept_files,
        config=config,
    )
    await imports.load()
    approvals = Approvals(
        store=store,
        registry=registry,
        notifications=work.notifications,
        operations=operations,
        kept_files=base.kept_files,
        audit=audit,
        review=Review(
            store=store,
            config=config,
            webhooks=work.webhooks,
            secret_uses=work.secret_uses,
        ),
        config=config,
    )
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
