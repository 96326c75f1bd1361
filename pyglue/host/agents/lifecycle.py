"""An agent's live state: its container, its harness, and its health.

Starts and stops containers through the backend, and waits for a hello with the expected
manifest. Deploy and the start/stop operations are built from these moves; ``sockets``
stay open meanwhile, and ``supervisor`` keeps agents running.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from pyglue.api.common import AgentState, HarnessReport
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.agents.sockets import AgentSockets
from pyglue.host.agents.specs import Specs
from pyglue.host.backends.base import Backend, ContainerEvent
from pyglue.host.core.agent import Agent
from pyglue.host.core.transitions import Transitions
from pyglue.host.model.egress import EgressHub
from pyglue.host.model.relay import RelayHub
from pyglue.jsonrpc import Connection
from pyglue.manifest.record import PinnedRecord
from pyglue.text.display import cited, visible

TAIL: Final = 20
"""Lines of log that are included in an error."""
_EXPECTED: Final = "Harness disconnected; waiting for it to reconnect."


@dataclass(kw_only=True)
class Lifecycle:
    """The moves that operations consist of."""

    transitions: Transitions
    relay: RelayHub
    egress: EgressHub
    sockets: AgentSockets
    backend: Backend
    config: HiveConfig
    specs: Specs
    _closing: bool = field(default=False, init=False)
    _hellos: dict[str, asyncio.Future[HarnessReport]] = field(
        default_factory=dict, init=False
    )
    _well: Callable[[Agent], None] = field(init=False)
    _lost: Callable[[Agent], None] = field(init=False)

    def __post_init__(self) -> None:
        self._well = self._lost = lambda _agent: None

    def listen(
        self, *, well: Callable[[Agent], None], lost: Callable[[Agent], None]
    ) -> None:
        """Set the listeners for hellos outside of moves, and for disconnects."""
        self._well, self._lost = well, lost

    def forget(self, agent: Agent) -> None:
        """Remove the sockets of a destroyed agent. Idempotent."""
        self.sockets.remove(agent.name)
        self.relay.remove(agent.name)
        self.egress.forget(agent.name)

    # --- harness --------------------------------------------------------------------

    def hello(
        self, agent: Agent, connection: Connection, report: HarnessReport
    ) -> None:
        """Accept a harness's hello, and pass its report to the waiting move.

        Raises:
            HiveError: ``stale`` if its manifest differs from the applied one.
        """
        applied = agent.applied
        if applied is None or report.manifest_sha256 != applied.sha256:
            raise HiveError(
                ErrorCode.STALE,
                "The harness loaded a different manifest from the deployed one.",
            )
        old = agent.harness
        problem = None if report.problem is None else _reported(agent, report)
        self.transitions.harness_connected(agent, connection, problem)
        if old is not None:
            old.close()
        connection.on_close(lambda: self._harness_gone(agent, connection))
        waiting = self._hellos.get(agent.name)
        if waiting is not None and not waiting.done():
            waiting.set_result(report)
        if waiting is None and problem is None:
            self._well(agent)

    def _harness_gone(self, agent: Agent, connection: Connection) -> None:
        if agent.harness is not connection:
            return
        self.transitions.harness_lost(agent)
        if self._closing or agent.state is AgentState.STOPPING:
            return
        if self.backend.running(agent.name):
            self.transitions.harness_expected(agent, _EXPECTED)
            self._lost(agent)

    # --- moves ----------------------------------------------------------------------

    async def restart(self, agent: Agent, record: PinnedRecord) -> None:
        """Run the agent under ``record`` and wait until it is healthy.

        Raises:
            HiveError: ``build_failed``: nothing has changed. ``deploy_failed``, with
                why it is unhealthy, or ``operator_limit``: it has been stopped.
        """
        await self._check_limits(agent, record)
        spec = self.specs.of(agent.name, record)
        built = await self.backend.build(spec)
        waiting: asyncio.Future[HarnessReport]
        waiting = asyncio.get_running_loop().create_future()
        await self._end(agent)
        self.transitions.starting(agent, record)
        self._hellos[agent.name] = waiting
        try:
            await self.sockets.open(agent)
            self.relay.add(agent, record)
            self.egress.add(agent, record)
            await self.backend.apply(spec)
            await self.backend.start(spec)
            report = await self._await_hello(agent, waiting)
            if report.problem is not None:
                raise HiveError(ErrorCode.DEPLOY_FAILED, _reported(agent, report))
            if built is not None and report.system != built:
                raise HiveError(
                    ErrorCode.DEPLOY_FAILED,
                    f"{agent.name} does not run the system that was built for it. "
                    f"Expected {built}, but its harness reports "
                    f"{visible(report.system or 'none')}.",
                )
        except HiveError as error:
            await self.backend.stop(agent.name, grace_s=0.0)
            self.relay.remove(agent.name)
            self.egress.remove(agent.name)
            self.transitions.failed(agent, error.message)
            raise
        finally:
            del self._hellos[agent.name]

    async def _await_hello(
        self, agent: Agent, waiting: asyncio.Future[HarnessReport]
    ) -> HarnessReport:
        limit = self.config.timeouts.health_s
        try:
            async with asyncio.timeout(limit):
                return await waiting
        except TimeoutError:
            tail = "\n".join(await self.log_tail(agent))
            raise HiveError(
                ErrorCode.DEPLOY_FAILED,
                f"The harness of {agent.name} did not connect within {limit:g} s. Its "
                f"log ends with:\n{tail}",
            ) from None

    async def log_tail(self, agent: Agent) -> tuple[str, ...]:
        """Return the end of an agent's log."""
        return await asyncio.to_thread(self.backend.log_tail, agent.name, TAIL)

    def ended(self, agent: Agent, event: ContainerEvent) -> bool:
        """Report a container's exit to the move that is starting the agent.

        Returns False if there is no such move.
        """
        waiting = self._hellos.get(agent.name)
        if waiting is None:
            return False
        if not waiting.done():
            tail = "\n".join(event.log_tail)
            waiting.set_exception(
                HiveError(
                    ErrorCode.DEPLOY_FAILED,
                    f"{agent.name} exited while starting: {event.reason}\n{tail}",
                )
            )
        return True

    def moving(self, agent: Agent) -> bool:
        """Return whether a move is currently starting the agent."""
        return agent.name in self._hellos

    async def adopt(self, agent: Agent, record: PinnedRecord) -> None:
        """Reattach to a container that already runs under ``record``."""
        self.transitions.starting(
            agent, record, "Reattaching to the running container."
        )
        await self.sockets.open(agent)
        self.relay.add(agent, record)
        self.egress.add(agent, record)

    async def _check_limits(self, agent: Agent, record: PinnedRecord) -> None:
        """Park an agent that the operator's limits now forbid.

        Raises:
            HiveError: ``operator_limit``, with the limit.
        """
        why = self.specs.blocked(record)
        if why is not None:
            await self.park(agent, why)
            raise HiveError(ErrorCode.OPERATOR_LIMIT, why)

    async def park(self, agent: Agent, why: str) -> None:
        """Stop an agent that must not run here; its problem says why."""
        await self._end(agent)
        self.relay.remove(agent.name)
        self.egress.remove(agent.name)
        await self.sockets.open(agent)
        self.transitions.stopped(agent, why)
        await self.transitions.problem_noted(agent, why)

    async def stop(self, agent: Agent) -> None:
        """Stop the container and close its access to the model.

        Its messages stay queued, and its ``hive.sock`` stays open for other clients.
        """
        await self._end(agent)
        self.relay.remove(agent.name)
        self.egress.remove(agent.name)
        await self.sockets.open(agent)
        self.transitions.stopped(agent)

    async def _end(self, agent: Agent) -> None:
        if self.backend.running(agent.name):
            self.transitions.stopping(agent)
        await self.backend.stop(agent.name, grace_s=self.config.timeouts.stop_s)
        self.drop_harness(agent)

    async def close(self) -> None:
        """Stop what must not outlive hived; the next start resumes wanted agents."""
        self._closing = True
        self.sockets.close()
        await self.backend.close()

    def drop_harness(self, agent: Agent) -> None:
        """Disconnect the harness of a container that is stopping or has exited."""
        if agent.harness is not None:
            agent.harness.close()
        self.transitions.harness_lost(agent)


def _reported(agent: Agent, report: HarnessReport) -> str:
    """Quote the problem that a harness reports."""
    return f"The harness of {agent.name} reports:\n{cited(report.problem or '')}"
