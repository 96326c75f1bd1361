"""The systems of approvals: inputs of the evaluation, and result of the build."""

from dataclasses import dataclass

import msgspec

from pyglue import strict_json
from pyglue.api.approvals import ApprovalState
from pyglue.api.events import ApprovalBuild
from pyglue.api.system import ClosureDiff, PackagesDiff, SystemDetail
from pyglue.store.database import Reader, Tx
from pyglue.store.models import SystemModel

_OPEN = (
    ApprovalState.PENDING.value,
    ApprovalState.APPROVED.value,
    ApprovalState.BUILDING.value,
)


@dataclass(frozen=True, kw_only=True)
class NewSystem:
    """An evaluated system: its derivation, and the versions of nixpkgs and the hive."""

    drv: str
    nixpkgs: str
    revision: str
    packages: PackagesDiff


@dataclass(frozen=True, kw_only=True)
class SystemRow(NewSystem):
    """The system of an approval; ``toplevel`` is None until it is built."""

    approval: int
    toplevel: str | None
    build_log: str
    closure: ClosureDiff | None

    def detail(self) -> SystemDetail:
        """Return the row for display to the operator."""
        return SystemDetail(
            drv=self.drv,
            nixpkgs=self.nixpkgs,
            revision=self.revision,
            packages=self.packages,
            toplevel=self.toplevel,
            build_log=self.build_log,
            closure=self.closure,
        )


def insert(tx: Tx, approval: int, new: NewSystem) -> None:
    """Record the system of an approval."""
    SystemModel.insert(
        approval=approval,
        drv=new.drv,
        nixpkgs=new.nixpkgs,
        revision=new.revision,
        packages=msgspec.json.encode(new.packages),
    ).execute(tx.db)


def get(tx: Tx | Reader, approval: int) -> SystemRow | None:
    """Return the system of an approval; None if it was proposed without one."""
    query = SystemModel.select().where(SystemModel.approval == approval)
    rows = [_row(found) for found in query.execute(tx.db)]
    return rows[0] if rows else None


def write_log(tx: Tx, approval: int, agent: str, text: str, lines: int) -> None:
    """Replace the log of the build, and record its state."""
    SystemModel.update(build_log=text).where(SystemModel.approval == approval).execute(
        tx.db
    )
    last = text.rstrip("\n").rpartition("\n")[2]
    tx.emit(agent, ApprovalBuild(approval=approval, lines=lines, last=last))


def built(tx: Tx, approval: int, toplevel: str) -> None:
    """Record the built system."""
    SystemModel.update(toplevel=toplevel).where(
        SystemModel.approval == approval
    ).execute(tx.db)


def set_closure(tx: Tx, approval: int, closure: ClosureDiff) -> None:
    """Record the differences between the built and the previous system."""
    SystemModel.update(closure=msgspec.json.encode(closure)).where(
        SystemModel.approval == approval
    ).execute(tx.db)


def deployed(reader: Reader) -> dict[str, tuple[str, str]]:
    """Return the nixpkgs and revision of deployed systems, by agent."""
    found = reader.execute(
        "SELECT agent.name, nixpkgs, revision FROM agent "
        "JOIN approval_system ON approval_system.approval = agent.approval"
    )
    return {str(row[0]): (str(row[1]), str(row[2])) for row in found}


def worth_keeping(reader: Reader, each: int) -> frozenset[int]:
    """Return the approvals whose derivation is still needed.

    Those are the open ones, and the latest ``each`` deployed ones of each agent,
    existing or kept.
    """
    marks = ", ".join("?" for _ in _OPEN)
    found = reader.execute(
        "SELECT id FROM (SELECT id, agent, state, row_number() OVER ("  # noqa: S608 (marks)
        "PARTITION BY agent, state ORDER BY id DESC) AS place FROM approval) "
        f"WHERE state IN ({marks}) OR (state = ? AND place <= ? AND agent IN "
        "(SELECT name FROM agent UNION SELECT name FROM kept))",
        *_OPEN,
        ApprovalState.DEPLOYED.value,
        each,
    )
    return frozenset(int(row[0]) for row in found)


def _row(model: SystemModel) -> SystemRow:
    closure = model.closure
    return SystemRow(
        approval=model.approval,
        drv=model.drv,
        nixpkgs=model.nixpkgs,
        revision=model.revision,
        packages=strict_json.read(bytes(model.packages), PackagesDiff),
        toplevel=model.toplevel,
        build_log=model.build_log,
        closure=None
        if closure is None
        else strict_json.read(bytes(closure), ClosureDiff),
    )
