"""The live state of all agents, by name.

Kept in memory beside the store, so that the hot paths (send policy, harness states)
need no reads. Only hived's event loop uses it; only ``transitions`` changes it.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from pyglue.api.common import Role
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.agent import Agent, Everyone
from pyglue.host.core.blocked import blocked_by_hived
from pyglue.manifest.record import decode
from pyglue.names import MANAGER, OPERATOR
from pyglue.store.agents import AgentRow
from pyglue.store.control import Control

P = TypeVar("P")
R = TypeVar("R")


def with_free_space(
    registry: "Registry", agent: Agent, call: Callable[[P], Awaitable[R]]
) -> Callable[[P], Awaitable[R]]:
    """Wrap ``call``, which stores something, to refuse it while the disk is full."""

    async def checked(params: P) -> R:
        registry.check_free_space(agent)
        return await call(params)

    return checked


class Registry:
    """All agents by name."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[], None]] = []
        self._agents: dict[str, Agent] = {}
        self._absent: dict[str, str] = {}
        self.everyone = Everyone()

    @property
    def hive(self) -> Control:
        """The operator's settings for all agents."""
        return self.everyone.control

    @property
    def disk_full(self) -> str | None:
        """Why all agents are on hold until there is free disk space."""
        return self.everyone.disk_full

    def listen(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` when an agent is added or removed; it must not block."""
        self._listeners.append(listener)

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()

    def take(self, row: AgentRow) -> Agent:
        """Return the agent of a stored row, adding it if it is unknown."""
        self._absent.pop(row.name, None)
        agent = self._agents.get(row.name)
        if agent is None:
            agent = self._agents[row.name] = Agent(
                name=row.name,
                role=row.role,
                control=Control(agent=row.name),
                wanted=row.wanted,
                approval=row.approval,
                commit=row.commit,
                record=None if row.record is None else decode(row.record),
                problem=row.problem,
            )
            self._tell()
        return agent

    def forget(self, name: str) -> None:
        """Remove a destroyed agent. Idempotent."""
        if self._agents.pop(name, None) is not None:
            self._tell()

    def absent(self, name: str, why: str | None) -> None:
        """Set the error for a name without an agent; None restores the default."""
        if why is None:
            self._absent.pop(name, None)
        else:
            self._absent[name] = why

    def all(self) -> tuple[Agent, ...]:
        """Return the agents, the manager first, then by name."""
        return tuple(
            sorted(
                self._agents.values(),
                key=lambda agent: (agent.role is not Role.MANAGER, agent.name),
            )
        )

    def get(self, name: str) -> Agent:
        """Return an agent.

        Raises:
            HiveError: ``not_found``, with the known names.
        """
        agent = self._agents.get(name)
        if agent is None and name in self._absent:
            raise HiveError(ErrorCode.NOT_FOUND, self._absent[name])
        if agent is None:
            known = ", ".join(sorted(self._agents)) or "none"
            raise HiveError(
                ErrorCode.NOT_FOUND,
                f"There is no agent {name[:40]!a}. Agents: {known[:400]}.",
            )
        return agent

    def recipient(self, name: str) -> Agent:
        """Return the agent that a message is addressed to.

        Raises:
            HiveError: ``not_found``, with all possible recipients.
        """
        try:
            return self.get(name)
        except HiveError as error:
            if name in self._absent:
                raise
            known = ", ".join([OPERATOR, *sorted(self._agents)])
            raise HiveError(
                error.code,
                f"There is no agent {name[:40]!a}. Recipients: {known[:400]}.",
            ) from None

    def find(self, name: str) -> Agent | None:
        """Return an agent, None if there is no such agent."""
        return self._agents.get(name)

    def paused(self, agent: Agent) -> str | None:
        """Return why the agent is paused or on hold, None if it is neither.

        The operator's pauses come first, then lack of disk space.
        """
        found = blocked_by_hived(agent, self.everyone)
        return None if found is None else found.text

    def check_free_space(self, agent: Agent) -> None:
        """Refuse to store anything for an agent while the disk is full.

        Raises:
            HiveError: ``disk_full``, with the reason.
        """
        why = self.disk_full or agent.on_hold
        if why is not None:
            raise HiveError(ErrorCode.DISK_FULL, why)

    def halted(self, agent: Agent) -> str | None:
        """Return why the agent gets no messages and no model access, None if it does.

        A turn already running when the agent is paused may finish, unless it is cut
        off.
        """
        why = self.paused(agent)
        return why if agent.turn is None or agent.cut_off else None

    @staticmethod
    def role(name: str) -> Role:
        """Return the role of the agent with this name."""
        return Role.MANAGER if name == MANAGER else Role.AGENT
