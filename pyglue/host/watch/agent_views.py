"""What agents see of themselves, and the manager of all agents."""

from dataclasses import dataclass

from pyglue.api.agent import WhoamiResult
from pyglue.api.common import NoParams
from pyglue.api.manager import AgentInfo, AgentsResult
from pyglue.host.core.agent import Agent
from pyglue.host.core.registry import Registry
from pyglue.store import approvals, drafts, messages
from pyglue.store.database import Reader, Store


@dataclass(frozen=True, kw_only=True)
class AgentViews:
    """Answers ``whoami`` and the manager's ``list_agents``."""

    store: Store
    registry: Registry

    async def whoami(self, agent: Agent) -> WhoamiResult:
        """Describe an agent to itself.

        Raises:
            HiveError: ``agent_not_running`` before the first deploy.
        """
        record = agent.policy()
        manifest = record.typed
        async with agent.reading:
            waiting = await self.store.read(
                lambda reader: messages.waiting(reader, agent.name)
            )
        return WhoamiResult(
            name=agent.name,
            role=agent.role,
            model=agent.model,
            manifest_sha256=record.sha256,
            allowed_recipients=manifest.allowed_recipients,
            waiting=waiting,
            deployed_commit=agent.commit,
            description=manifest.description,
        )

    async def all(self, _params: NoParams) -> AgentsResult:
        """List agents with their pending approvals, and the names of drafts."""

        def read(reader: Reader) -> tuple[dict[str, int], tuple[str, ...]]:
            pending = {row.agent: row.id for row in approvals.pending(reader)}
            return pending, tuple(one.name for one in drafts.all_drafts(reader))

        pending, names = await self.store.read(read)
        return AgentsResult(
            drafts=names,
            agents=tuple(
                AgentInfo(
                    name=agent.name,
                    state=agent.state,
                    description="" if record is None else record.typed.description,
                    model="" if record is None else record.typed.model,
                    main=agent.commit,
                    pending_approval=pending.get(agent.name),
                )
                for agent in self.registry.all()
                for record in [agent.record]
            ),
        )
