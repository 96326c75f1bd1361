"""What changes an agent: proposals, approvals, operations, and its life around them."""

import asyncio
from dataclasses import dataclass

from pyglue.host.approvals import Approvals
from pyglue.host.drafts import Drafts
from pyglue.host.ending import Ending
from pyglue.host.imports import Imports
from pyglue.host.operations import Operations
from pyglue.host.proposals import Proposals
from pyglue.host.rebuild import RebuildingAll
from pyglue.host.rendering import Rendering
from pyglue.host.repeats import Repeats
from pyglue.host.systems import Systems
from pyglue.host.wiring.base import Base
from pyglue.host.wiring.work import Work
from pyglue.paths import share


@dataclass(frozen=True, kw_only=True)
class Changes:
    """The parts between a commit and what runs; ``systems`` only where Nix builds."""

    operations: Operations
    systems: Systems | None
    proposals: Proposals
    repeats: Repeats
    rebuilding: RebuildingAll
    drafts: Drafts
    ending: Ending
    imports: Imports
    approvals: Approvals


async def open_changes(base: Base, work: Work) -> Changes:
    """Build the parts; no operation goes on before ``Operations.start``."""
    config, store, registry, audit = base.config, base.store, base.registry, base.audit
    operations = Operations(store, audit)
    systems = await asyncio.to_thread(Systems.of, config, store)
    rendering = Rendering(
        store=store,
        registry=registry,
        evaluator=base.evaluator,
        operations=operations,
        audit=audit,
        config=config,
        systems=systems,
        limits_hold=base.backend.limits,
    )
    proposals = Proposals(
        store=store,
        registry=registry,
        rendering=rendering,
        rooms=base.rooms,
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
    drafts = Drafts(store, registry, operations, config.layout, config.quotas)
    await drafts.load()
    ending = Ending(store, registry, operations)
    await ending.load()
    imports = Imports(
        store=store,
        registry=registry,
        operations=operations,
        proposals=proposals,
        rooms=base.rooms,
        config=config,
    )
    await imports.load()
    approvals = Approvals(
        store=store,
        registry=registry,
        notices=work.notices,
        operations=operations,
        rooms=base.rooms,
        audit=audit,
        config=config,
    )
    base.bus.listen(approvals.heard)
    return Changes(
        operations=operations,
        systems=systems,
        proposals=proposals,
        repeats=repeats,
        rebuilding=RebuildingAll(
            store=store, registry=registry, operations=operations, repeats=repeats
        ),
        drafts=drafts,
        ending=ending,
        imports=imports,
        approvals=approvals,
    )
