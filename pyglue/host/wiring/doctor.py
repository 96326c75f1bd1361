"""The doctor: its examination, its repairs, and the attack surface."""

from pyglue.host.agents.ports import Ports
from pyglue.host.doctor.doctor import Doctor
from pyglue.host.doctor.exposure import Exposure
from pyglue.host.doctor.repair import Repair
from pyglue.host.doctor.repair_directories import DirectoryRepair
from pyglue.host.doctor.repair_repos import RepoRepair
from pyglue.host.doctor.repair_rows import RowRepair
from pyglue.host.watch.notifier import Notifier
from pyglue.host.watch.steps import Steps
from pyglue.host.wiring.base import Base
from pyglue.host.wiring.changes import Changes
from pyglue.host.wiring.control import Control
from pyglue.host.wiring.work import Work


def open_doctor(
    base: Base,
    work: Work,
    control: Control,
    repair: Repair,
    steps: Steps,
    notifier: Notifier,
) -> Doctor:
    """Construct the doctor."""
    return Doctor(
        registry=base.registry,
        backend=base.backend,
        relay=work.relay,
        egress=work.egress,
        evaluator=base.evaluator,
        repair=repair,
        space=control.space,
        controls=control.controls,
        steps=steps,
        background_tasks=work.background_tasks,
        store=base.store,
        state_dir=base.config.state_dir,
        webhooks=work.webhooks,
        secret_uses=work.secret_uses,
        notifier=notifier,
    )


def open_repair(base: Base, work: Work, changes: Changes) -> Repair:
    """Construct the repairs."""
    operations, layout = changes.operations, base.config.layout
    return Repair(
        store=base.store,
        proposals=changes.proposals,
        repos=RepoRepair(store=base.store, operations=operations, layout=layout),
        directories=DirectoryRepair(
            store=base.store,
            operations=operations,
            directories=base.directories,
            kept_files=base.kept_files,
            backend=base.backend,
            layout=layout,
            reopen=lambda name: work.lifecycle.sockets.open(base.registry.get(name)),
        ),
        audit=base.audit,
        rows=RowRepair(
            store=base.store,
            registry=base.registry,
            transitions=base.transitions,
            delivery=work.broker.delivery,
            operations=operations,
        ),
    )


def open_exposure(base: Base, ports: Ports | None) -> Exposure:
    """Construct the list of listeners."""
    return Exposure(
        config=base.config,
        registry=base.registry,
        backend=base.backend,
        ports=ports,
    )
