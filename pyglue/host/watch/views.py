"""The operator's views of the hive and its agents."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final

from pyglue import __version__
from pyglue.api.approvals import ApprovalsParams, ApprovalSummary
from pyglue.api.common import NoParams
from pyglue.api.manager import AgentParams
from pyglue.api.metrics import MetricsResult, ProcessUsage, Total
from pyglue.api.overview import (
    AgentDetail,
    AgentsView,
    AgentView,
    HivePause,
    HiveStatus,
)
from pyglue.api.secrets import SecretUse
from pyglue.api.wakeups import WebhookView
from pyglue.clock import calendar_times
from pyglue.config import Credential, HiveConfig
from pyglue.git.export import read_file
from pyglue.git.repos import AppliedRepo
from pyglue.host.agents.ports import Ports
from pyglue.host.backends.base import Backend
from pyglue.host.changes.review import pretty
from pyglue.host.changes.systems import Systems
from pyglue.host.control.background_tasks import BackgroundTasks
from pyglue.host.control.controls import Controls
from pyglue.host.control.disk_space import Space
from pyglue.host.control.model_choices import ModelChoices
from pyglue.host.control.warmth import Warmth
from pyglue.host.core.accounts import account_of, has_estimates, is_estimate
from pyglue.host.core.agent import Agent
from pyglue.host.core.day_limits import cost_limit, start_of_day
from pyglue.host.core.events import EventBus
from pyglue.host.core.registry import Registry
from pyglue.host.core.secret_uses import SecretUses
from pyglue.host.core.warnings import Warnings
from pyglue.host.messages import schedules
from pyglue.host.messages.webhooks import Webhooks
from pyglue.host.model.egress import EgressHub
from pyglue.host.model.relay import RelayHub
from pyglue.host.watch.spending import Recent, Spending
from pyglue.host.watch.steps import Steps
from pyglue.names import OPERATOR
from pyglue.program.usage import usage_of
from pyglue.store import agents, approvals, inboxes, messages, metrics, questions, usage
from pyglue.store.agents import TurnSummary
from pyglue.store.database import Reader, Store

_LOG_LINES = 200

_PAYS: Final = {
    Credential.API_KEY: "",
    Credential.SUBSCRIPTION: " (a Claude subscription; costs are estimates)",
    Credential.GATEWAY: " (a gateway's token)",
}


@dataclass(frozen=True, kw_only=True)
class _Counts:
    inbox: dict[str, int]
    turns: dict[str, TurnSummary]
    cost: dict[str, float]
    pending: dict[str, int]
    outdated: frozenset[str]
    recent: Recent


def _count_agents(reader: Reader, systems: Systems | None, recent: Recent) -> _Counts:
    return _Counts(
        recent=recent,
        outdated=frozenset() if systems is None else systems.outdated(reader),
        inbox=inboxes.waiting_counts(reader),
        turns=agents.turn_summaries(reader),
        cost=usage.spent_by_agent(reader, start_of_day()),
        pending={row.agent: row.id for row in approvals.pending(reader)},
    )


@dataclass(frozen=True, kw_only=True)
class Views:
    """Reads the store and the registry for the operator's pages."""

    store: Store
    registry: Registry
    bus: EventBus
    backend: Backend
    relay: RelayHub
    egress: EgressHub
    warnings: Warnings
    controls: Controls
    model_choices: ModelChoices
    steps: Steps
    warmth: Warmth
    spending: Spending
    config: HiveConfig
    systems: Systems | None = None
    ports: Ports | None = None
    webhooks: Webhooks | None = None
    secret_uses: SecretUses | None = None
    space: Space | None = None
    background_tasks: BackgroundTasks | None = None
    push_key: str | None = None
    _started_at: float = field(default_factory=time.time, init=False)

    async def status(self) -> HiveStatus:
        """Return the hive's status at a glance."""

        def counts(reader: Reader) -> tuple[int, int, int]:
            return (
                len(approvals.pending(reader)),
                questions.open_count(reader, OPERATOR),
                messages.waiting(reader, OPERATOR),
            )

        pending, asked, unread = await self.store.read(counts)
        everyone = self.registry.all()
        return HiveStatus(
            version=__version__,
            backend=self.backend.name,
            isolation=self.backend.isolation,
            model_source=self._model_source(),
            warnings=self._warnings(),
            started_at=self._started_at,
            agents=len(everyone),
            running=sum(agent.harness is not None for agent in everyone),
            pending_approvals=pending,
            open_questions=asked,
            unread=unread,
            last_seq=self.bus.last_seq,
            pause=self._pause(),
            windows=self.relay.windows(),
            is_estimate=has_estimates(self.config.relay),
            journal=bool(self.backend.units),
            push_key=self.push_key,
        )

    def _pause(self) -> HivePause | None:
        row = self.registry.hive
        if row.paused_at is None:
            return None
        return HivePause(row.paused_by or "", row.paused_at, row.pause_reason or "")

    def _model_source(self) -> str:
        if self.config.relay.scripted:
            return "scripted model (no API key): it plays a fixed scenario"
        relay = self.config.relay
        more = f", and {len(relay.others)} more" if relay.others else ""
        return f"{relay.upstream_url}{_PAYS[relay.credential]}{more}"

    def _warnings(self) -> tuple[str, ...]:
        lost = ("hive-relay is not connected, so agents cannot reach the model.",)
        relay = () if self.relay.attached() else lost
        space = () if self.space is None else self.space.warnings
        background_tasks = (
            () if self.background_tasks is None else self.background_tasks.warnings
        )
        return (
            *space,
            *background_tasks,
            *self.backend.warnings,
            *self.warnings.texts(),
            *relay,
            *filter(None, (self.egress.problem,)),
        )

    async def agents(self, _params: NoParams) -> AgentsView:
        """Return every agent."""
        counted = await self._counted()
        return AgentsView(
            agents=tuple(self._view(agent, counted) for agent in self.registry.all())
        )

    async def metrics(self, _params: NoParams) -> MetricsResult:
        """Return all metrics."""
        found = await self.store.read(metrics.totals)
        return MetricsResult(
            status=await self.status(),
            agents=(await self.agents(NoParams())).agents,
            totals=tuple(
                Total(
                    agent=one.agent,
                    key=one.key,
                    count=one.count,
                    total=one.total,
                    last=one.last,
                )
                for one in found
            ),
            processes=self._processes(),
            warm=self.warmth.metrics(),
        )

    def _processes(self) -> tuple[ProcessUsage, ...]:
        relays = [usage_of("hive-relay", pid) for pid in self.relay.pids()]
        egress = [usage_of("hive-egress", pid) for pid in self.egress.pids()]
        found = (usage_of("hived"), *relays, *egress)
        return tuple(one for one in found if one is not None)

    async def agent(self, params: AgentParams) -> AgentDetail:
        """Return the details of one agent.

        Raises:
            HiveError: ``not_found``.
        """
        agent = self.registry.get(params.agent)
        counted = await self._counted()
        asked = ApprovalsParams(agent=agent.name, limit=20)
        history = await self.store.read(lambda reader: approvals.search(reader, asked))
        tail = await asyncio.to_thread(self.backend.log_tail, agent.name, _LOG_LINES)
        record = agent.record
        zone = calendar_times.zone_of(self.config.time_zone)
        return AgentDetail(
            agent=self._view(agent, counted),
            manifest_json=None if record is None else pretty(record.encode()),
            agent_nix=await self._agent_nix(agent),
            approvals=tuple[ApprovalSummary, ...](row.summary() for row in history),
            log_tail=tail,
            schedule=(() if record is None else schedules.views(record.typed, zone)),
            webhooks=await self._webhooks(agent),
            secrets=await self._secrets(agent),
            hosts=self.egress.hosts(agent.name),
            accounts=self._accounts(),
        )

    async def _counted(self) -> _Counts:
        recent = await self.spending.read()
        return await self.store.read(
            lambda reader: _count_agents(reader, self.systems, recent)
        )

    def _accounts(self) -> tuple[str, ...]:
        relay = self.config.relay
        return tuple(relay.accounts) if relay.others else ()

    async def _webhooks(self, agent: Agent) -> tuple[WebhookView, ...]:
        if self.webhooks is None or agent.record is None:
            return ()
        return await self.webhooks.views(agent.name, agent.record.typed)

    async def _secrets(self, agent: Agent) -> tuple[SecretUse, ...]:
        if self.secret_uses is None or agent.record is None:
            return ()
        return await self.secret_uses.views(agent.record.typed)

    async def _agent_nix(self, agent: Agent) -> str | None:
        if agent.commit is None:
            return None
        repo = AppliedRepo(self.config.layout.applied(agent.name))
        raw = await asyncio.to_thread(read_file, repo, agent.commit, "agent.nix")
        return raw.decode("utf-8", "replace")

    def _view(self, agent: Agent, counted: _Counts) -> AgentView:
        record = agent.applied or agent.record
        turns = counted.turns.get(agent.name, TurnSummary(0, None))
        ports, relay = self.ports, self.config.relay
        return AgentView(
            name=agent.name,
            container=self.backend.container(agent.name),
            role=agent.role,
            wanted=agent.wanted,
            state=agent.state,
            since_at=agent.since,
            detail=agent.detail,
            description="" if record is None else record.typed.description,
            model=agent.model,
            model_status=self.model_choices.status(agent),
            paused=agent.control.paused_at is not None,
            network=record is not None and record.typed.network,
            manifest_sha256=None if record is None else record.sha256,
            deployed_commit=agent.commit,
            deployed_approval=agent.approval,
            pending_approval=counted.pending.get(agent.name),
            inbox=counted.inbox.get(agent.name, 0),
            turns=turns.count,
            last_turn_at=turns.last_at,
            last_turn_outcome=turns.last_outcome,
            context_fill=turns.context_fill,
            cost_today_usd=counted.cost.get(agent.name, 0.0),
            cost_limit_usd=cost_limit(agent, self.config),
            cost_hour_usd=counted.recent.hour.get(agent.name, 0.0),
            cost_hours=counted.recent.hours.get(agent.name, ()),
            problem=agent.problem,
            needs_update=agent.name in counted.outdated,
            port=None if ports is None else ports.port(agent.name),
            port_conflict=None if ports is None else ports.conflict(agent.name),
            step=self.steps.current(agent),
            blocked=self.controls.blocked(agent),
            turn=agent.turn,
            warm_bytes=agent.warm,
            hosts=() if record is None else record.typed.hosts,
            egress=self.egress.totals(agent.name),
            account=account_of(agent, relay) if relay.others else None,
            is_estimate=is_estimate(agent, relay),
        )
