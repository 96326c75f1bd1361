"""All services behind the sockets of operator, manager and agents.

``bootstrap`` constructs them; the modules beside this one call them.
"""

from dataclasses import dataclass

from pyglue.config import HiveConfig
from pyglue.host.agents.ports import Ports
from pyglue.host.api.sessions import Sessions
from pyglue.host.archives.calls import Archives
from pyglue.host.backends.base import Backend
from pyglue.host.changes.approvals import Approvals
from pyglue.host.changes.manager_operations import ManagerOperations
from pyglue.host.changes.proposals import Proposals
from pyglue.host.changes.submissions import Submissions
from pyglue.host.changes.versions import Versions
from pyglue.host.control.accounts import Accounts
from pyglue.host.control.controls import Controls
from pyglue.host.control.model_choices import ModelChoices
from pyglue.host.control.resuming import Resuming
from pyglue.host.control.turns import Turns
from pyglue.host.control.warmth import Warmth
from pyglue.host.core.audit import Audit
from pyglue.host.core.events import EventBus
from pyglue.host.core.operations import Operations
from pyglue.host.core.registry import Registry
from pyglue.host.core.secret_uses import SecretUses
from pyglue.host.core.secrets import Secrets
from pyglue.host.core.transitions import Transitions
from pyglue.host.core.workspaces import Workspaces
from pyglue.host.doctor.doctor import Doctor
from pyglue.host.doctor.exposure import Exposure
from pyglue.host.doctor.repair import Repair
from pyglue.host.life.life import Life
from pyglue.host.messages.broker import Broker
from pyglue.host.messages.operator_messages import OperatorMessages
from pyglue.host.messages.questions import Questions
from pyglue.host.messages.queue import Queue
from pyglue.host.messages.reminders import Reminders
from pyglue.host.messages.webhooks import Webhooks
from pyglue.host.watch.agent_views import AgentViews
from pyglue.host.watch.files import Files
from pyglue.host.watch.history import History
from pyglue.host.watch.journal import Journal
from pyglue.host.watch.live_text import LiveTexts
from pyglue.host.watch.notifier import Notifier
from pyglue.host.watch.terminals import Terminals
from pyglue.host.watch.turn_events import TurnEvents
from pyglue.host.watch.turn_metrics import TurnMetrics
from pyglue.host.watch.views import Views
from pyglue.store.database import Store


@dataclass(frozen=True, kw_only=True, repr=False)
class AgentServices:
    """The services that answer an agent's calls."""

    store: Store
    registry: Registry
    transitions: Transitions
    broker: Broker
    questions: Questions
    reminders: Reminders
    terminals: Terminals
    controls: Controls
    turns: Turns
    turn_events: TurnEvents
    live_texts: LiveTexts
    warmth: Warmth
    agent_views: AgentViews
    secret_uses: SecretUses


@dataclass(frozen=True, kw_only=True, repr=False)
class Services(AgentServices):
    """The services that answer any call; ``ports`` only if agents have ports."""

    config: HiveConfig
    queue: Queue
    operator_messages: OperatorMessages
    audit: Audit
    secrets: Secrets
    workspaces: Workspaces
    webhooks: Webhooks
    notifier: Notifier
    proposals: Proposals
    approvals: Approvals
    submissions: Submissions
    manager_operations: ManagerOperations
    versions: Versions
    operations: Operations
    sessions: Sessions
    bus: EventBus
    backend: Backend
    doctor: Doctor
    exposure: Exposure
    views: Views
    journal: Journal
    files: Files
    model_choices: ModelChoices
    accounts: Accounts
    resuming: Resuming
    history: History
    turn_metrics: TurnMetrics
    ports: Ports | None
    archives: Archives
    repair: Repair
    life: Life
