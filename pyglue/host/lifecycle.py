"""An agent's present: its socket, its container, and whether it is well.

Opens and closes each agent's ``hive.sock``, starts and stops containers through the
backend, waits for a harness to say hello with the right manifest, and brings back
what crashes. Deploy and the start/stop operations are built from these moves.
"""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
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
        self._restarts: dict[str, asyncio.Task[None]] = {}
        self._session: Callable[[Agent], Session] | None = None
        self._start: Callable[[str], Awaitable[bool]] = _nobody_starts
        backend.watch(self._on_container)

    def connect(
        self,
        session: Callable[[Agent], Session],
        start: Callable[[str], Awaitable[bool]],
    ) -> None:
        """Set who answers on agents' sockets and who starts an agent in its turn.

        ``start`` queues a start operation and tells whether it went well; the
        composition root calls this once.
        """
        self._session = session
        self._start = start

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

    async def start_wanted(self, interrupted: frozenset[str]) -> None:
        """At hived's start: run every deployed agent that should run.

        Where an operation was ``interrupted``, that goes on first: it may deploy the
        agent, and may be past the step that starts it.
        """

        async def start(agent: Agent) -> None:
            if agent.wanted and (agent.record or agent.name in interrupted):
                well = await self._start(agent.name)
                if not well and agent.record is not None:
                    self._bring_back(agent)

        await asyncio.gather(*(start(agent) for agent in self._registry.all()))

    async def close(self) -> None:
        """Stop everything; what should run will run again at the next start."""
        for task in list(self._restarts.values()):
            task.cancel()
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
        tail = "\n".join(event.log_tail)
        self._registry.set_state(agent, AgentState.FAILED, event.reason)
        self._audit.record("system", "crashed", agent.name, {"reason": event.reason})
        self._bring_back(agent, f"It crashed: {event.reason}\n{tail}")

    def _bring_back(self, agent: Agent, problem: str | None = None) -> None:
        if agent.wanted and agent.name not in self._restarts:
            task = asyncio.create_task(self._try_again(agent, problem))
            self._restarts[agent.name] = task
            task.add_done_callback(lambda _: self._restarts.pop(agent.name, None))

    async def _try_again(self, agent: Agent, problem: str | None) -> None:
        """Start a crashed agent, ever more slowly, until it is well or not wanted."""
        if problem is not None:
            await self.note_problem(agent, problem)
            if agent.name != MANAGER:
                text = f"{agent.name} is not well. {problem}"
                await self._broker.notify(MANAGER, text)
        for pause in itertools.chain(_BACKOFF_S, itertools.repeat(_BACKOFF_S[-1])):
            await asyncio.sleep(pause)
            if not agent.wanted or agent.harness is not None:
                return
            if await self._start(agent.name):
                return

    async def note_problem(self, agent: Agent, problem: str | None) -> None:
        """Record what went wrong last, or with None that all is well again."""
        agent.problem = problem
        await self._store.write(lambda tx: rows.set_problem(tx, agent.name, problem))


async def _nobody_starts(name: str) -> bool:
    raise HiveError(ErrorCode.INTERNAL, f"Nothing is connected to start {name}.")
