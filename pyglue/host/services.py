"""All that answers the sockets of operator, manager and agents, as one.

``bootstrap`` puts them together; the modules ``*_api`` and ``operator_*`` call them.
"""

from dataclasses import dataclass

from pyglue.config import HiveConfig
from pyglue.host.approvals import Approvals
from pyglue.host.archives import Archives
from pyglue.host.audit import Audit
from pyglue.host.backends.base import Backend
from pyglue.host.broker import Broker
from pyglue.host.budgets import Budgets
from pyglue.host.controls import Controls
from pyglue.host.credit import Credit
from pyglue.host.doctor import Doctor
from pyglue.host.events import EventBus
from pyglue.host.exposure import Exposure
from pyglue.host.history import History
from pyglue.host.journal import Journal
from pyglue.host.life import Life
from pyglue.host.operations import Operations
from pyglue.host.ports import Ports
from pyglue.host.proposals import Proposals
from pyglue.host.questions import Questions
from pyglue.host.registry import Registry
from pyglue.host.reminders import Reminders
from pyglue.host.repair import Repair
from pyglue.host.sessions import Sessions
from pyglue.host.telemetry import Telemetry
from pyglue.host.terminals import Terminals
from pyglue.host.views import Views
from pyglue.store.database import Store


@dataclass(frozen=True, kw_only=True)
class Services:
    """What the calls are answered with; ``ports`` only where agents have one."""

    config: HiveConfig
    store: Store
    registry: Registry
    broker: Broker
    questions: Questions
    reminders: Reminders
    audit: Audit
    proposals: Proposals
    approvals: Approvals
    operations: Operations
    sessions: Sessions
    bus: EventBus
    backend: Backend
    doctor: Doctor
    exposure: Exposure
    views: Views
    terminals: Terminals
    journal: Journal
    controls: Controls
    budgets: Budgets
    credit: Credit
    history: History
    telemetry: Telemetry
    ports: Ports | None
    archives: Archives
    repair: Repair
    life: Life
