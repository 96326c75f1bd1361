"""An agent's present: its socket, its container, and whether it is well.

Opens and closes each agent's ``hive.sock``, starts and stops containers through the
backend, waits for a harness to say hello with the right manifest, and brings back
what crashes. Deploy and the start/stop operations are built from these moves.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from pyglue.api.agent import CANCEL_TURN, CancelTurnParams
from pyglue.api.common import AgentState, HarnessReport
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.audit import Audit
from pyglue.host.backends.base import Backend, ContainerEvent, ContainerEventKind
from pyglue.host.broker import Broker
from pyglue.host.registry import Agent, Registry
from pyglue.host.relay_api import RelayHub
from pyglue.host.rooms import Rooms
from pyglue.jsonrpc import AGENT_LINE_LIMIT, Connection, Server, serve
from pyglue.jsonrpc.sockets import Session
from pyglue.manifest import PinnedRecord
from pyglue.names import MANAGER
from pyglue.store import agents as rows
from pyglue.store.database import Store

_BACKOFF_S: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
_TAIL: Final = 20
_log = logging.getLogger(__name__)


class Lifecycle:
    """Moves that operations are made of."""

    def __init__(
        self,
        *,
        store: Store,
        registry: Registry,
        broker: Broker,
        relay: RelayHub,
        rooms: Rooms,
        backend: Backend,
        audit: Audit,
        config: HiveConfig,
    ) -> None:
        self._store = store
        self._registry = registry
        self._broker = broker
        self._relay = relay
        self._rooms = rooms
        self._backend = backend
        self._audit = audit
        self._config = config
        self._servers: dict[str, Server] = {}
        self._hellos: dict[str, asyncio.Future[HarnessReport]] = {}
        self._crashes: dict[str, int] = {}
        self._restarts: dict[str, asyncio.Task[None]] = {}
        self._session: Callable[[Agent], Session] | None = None
        backend.watch(self._on_container)

    def serve_with(self, session: Callable[[Agent], Session]) -> None:
        """Set who answers on agents' sockets; the composition root calls this once."""
        self._session = session

    # --- sockets --------------------------------------------------------------------

    async def open(self, agent: Agent) -> None:
        """Listen on the agent's ``hive.sock``; again is no error."""
        if agent.name in self._servers or self._session is None:
            return
        run = await asyncio.to_thread(self._rooms.make_run, agent.name)
        ids = self._config.ids
        self._servers[agent.name] = await serve(
            run / "hive.sock",
            self._session(agent),
            line_limit=AGENT_LINE_LIMIT,
            mode=0o660,
            gid=None if ids is None else ids.agent,
        )

    def close_sockets(self) -> None:
        """Stop listening for every agent."""
        for server in self._servers.values():
            server.close()
        self._servers.clear()

    # --- harness --------------------------------------------------------------------

    def hello(
        self, agent: Agent, connection: Connection, report: HarnessReport
    ) -> None:
        """Take a harness's hello, and hand what it reports to whoever waits.

        Raises:
            HiveError: ``stale`` if it loaded another manifest than was applied.
        """
        applied = agent.applied
        if applied is None or report.manifest_sha256 != applied.sha256:
            raise HiveError(
                ErrorCode.STALE,
                "This harness loaded another manifest than the one that is applied.",
            )
        old = agent.harness
        agent.harness = connection
        if old is not None:
            old.close()
        connection.on_close(lambda: self._harness_gone(agent, connection))
        waiting = self._hellos.get(agent.name)
        if waiting is not None and not waiting.done():
            waiting.set_result(report)
        if report.problem is None:
            self._registry.set_state(agent, AgentState.IDLE)

    def _harness_gone(self, agent: Agent, connection: Connection) -> None:
        if agent.harness is connection:
            agent.harness = None
            agent.turn = None

    # --- moves ----------------------------------------------------------------------

    async def restart(self, agent: Agent, record: PinnedRecord) -> None:
        """Run the agent under ``record`` and wait until it is well.

        Raises:
            HiveError: ``deploy_failed`` with why it is not well; it is stopped then.
        """
        self._cancel_restart(agent.name)
        spec = agent.spec(record)
        waiting: asyncio.Future[HarnessReport]
        waiting = asyncio.get_running_loop().create_future()
        await self._backend.stop(agent.name, grace_s=self._config.timeouts.stop_s)
        self._drop_harness(agent)
        agent.applied = record
        self._registry.set_state(agent, AgentState.STARTING)
        self._hellos[agent.name] = waiting
        try:
            await self.open(agent)
            self._relay.add(agent, record)
            await self._backend.apply(spec)
            await self._backend.start(spec)
            report = await self._await_hello(agent, waiting)
            if report.problem is not None:
                raise HiveError(ErrorCode.DEPLOY_FAILED, report.problem)
        except HiveError as error:
            await self._backend.stop(agent.name, grace_s=0.0)
            self._registry.set_state(agent, AgentState.FAILED, error.message)
            raise
        finally:
            del self._hellos[agent.name]

    async def _await_hello(
        self, agent: Agent, waiting: asyncio.Future[HarnessReport]
    ) -> HarnessReport:
        limit = self._config.timeouts.health_s
        try:
            async with asyncio.timeout(limit):
                return await waiting
        except TimeoutError:
            tail = "\n".join(self._backend.log_tail(agent.name, _TAIL))
            raise HiveError(
                ErrorCode.DEPLOY_FAILED,
                f"{agent.name} did not report within {limit:g} s. Its log ends with:\n"
                f"{tail}",
            ) from None

    async def stop(self, agent: Agent) -> None:
        """Stop the container; what it held waits again."""
        self._cancel_restart(agent.name)
        await self._backend.stop(agent.name, grace_s=self._config.timeouts.stop_s)
        self._drop_harness(agent)
        self._registry.set_state(agent, AgentState.STOPPED)

    async def drain(self, agent: Agent) -> None:
        """Wait for a running turn to end, then cancel it; its mail goes back."""
        connection = agent.harness
        if connection is None or agent.turn is None:
            return
        limit = self._config.timeouts.drain_s
        params = CancelTurnParams(reason="A new manifest is about to be deployed.")
        try:
            async with asyncio.timeout(limit):
                await self._broker.turn_over(agent)
        except TimeoutError:
            try:
                await connection.call(CANCEL_TURN, params, timeout=10.0)
            except HiveError as error:
                _log.warning("%s did not cancel its turn: %s", agent.name, error)

    async def start_wanted(self, skip: frozenset[str]) -> None:
        """At hived's start: run every deployed agent that should run."""

        async def start(agent: Agent) -> None:
            if agent.record is None or not agent.wanted or agent.name in skip:
                return
            try:
                await asyncio.to_thread(self._rooms.make, agent.name)
                await self.restart(agent, agent.record)
            except HiveError as error:
                await self._broken(agent, error.message)

        await asyncio.gather(*(start(agent) for agent in self._registry.all()))

    async def close(self) -> None:
        """Stop everything; what should run will run again at the next start."""
        for name in list(self._restarts):
            self._cancel_restart(name)
        self.close_sockets()
        await self._backend.close()

    def _drop_harness(self, agent: Agent) -> None:
        if agent.harness is not None:
            agent.harness.close()
            agent.harness = None
        agent.turn = None

    # --- crashes --------------------------------------------------------------------

    def _on_container(self, event: ContainerEvent) -> None:
        agent = self._registry.find(event.agent)
        if agent is None or event.kind is not ContainerEventKind.CRASHED:
            return
        waiting = self._hellos.get(event.agent)
        if waiting is not None:
            if not waiting.done():
                tail = "\n".join(event.log_tail)
                waiting.set_exception(
                    HiveError(
                        ErrorCode.DEPLOY_FAILED,
                        f"{event.agent} ended while starting: {event.reason}\n{tail}",
                    )
                )
            return
        self._registry.set_state(agent, AgentState.FAILED, event.reason)
        self._audit.record("system", "crashed", agent.name, {"reason": event.reason})
        if agent.wanted and agent.applied is not None:
            self._restarts[agent.name] = asyncio.create_task(
                self._bring_back(agent, event)
            )

    async def _bring_back(self, agent: Agent, event: ContainerEvent) -> None:
        tail = "\n".join(event.log_tail)
        await self._broken(agent, f"It crashed: {event.reason}\n{tail}")
        while agent.wanted and agent.applied is not None:
            crashes = self._crashes.get(agent.name, 0)
            self._crashes[agent.name] = crashes + 1
            await asyncio.sleep(_BACKOFF_S[min(crashes, len(_BACKOFF_S) - 1)])
            record = agent.applied
            self._restarts.pop(agent.name, None)  # restart() must not cancel us
            try:
                await self.restart(agent, record)
            except HiveError as error:
                await self._broken(agent, error.message)
                continue
            self._crashes.pop(agent.name, None)
            return

    async def _broken(self, agent: Agent, problem: str) -> None:
        agent.problem = problem
        await self._store.write(lambda tx: rows.set_problem(tx, agent.name, problem))
        if agent.name != MANAGER:
            await self._broker.notify(MANAGER, f"{agent.name} is not well. {problem}")

    def _cancel_restart(self, name: str) -> None:
        task = self._restarts.pop(name, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()
