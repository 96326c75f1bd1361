"""Agents' ``hive.sock``: one per agent, open as long as hived knows the agent."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from pyglue.config import HiveConfig
from pyglue.host.agents.directories import Directories
from pyglue.host.backends.owners import user_of
from pyglue.host.core.agent import Agent
from pyglue.jsonrpc import Pool, Server, serve
from pyglue.jsonrpc.listen import Session
from pyglue.limits import AGENT_RPC, HIVED
from pyglue.process import open_files
from pyglue.redaction.redactor import Redactor


@dataclass(kw_only=True)
class AgentSockets:
    """Listens for each agent, also while it is stopped."""

    directories: Directories
    config: HiveConfig
    redactor: Redactor
    _pool: Pool = field(init=False)
    """The shared limits for the connections of all agents."""
    _closed: bool = field(default=False, init=False)
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _servers: dict[str, Server] = field(default_factory=dict, init=False)
    _session: Callable[[Agent], Session] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._pool = Pool(connections=_connections_max(), bytes_max=HIVED.bytes)

    def connect(self, session: Callable[[Agent], Session]) -> None:
        """Set the sessions of the sockets; the composition root calls this once."""
        self._session = session

    async def open(self, agent: Agent) -> None:
        """Listen on the agent's ``hive.sock``.

        Idempotent; a removed socket is created again.
        """
        if self._session is None or self._closed:
            return
        async with self._opening:
            run = await asyncio.to_thread(self.directories.make_run, agent.name)
            path = run / "hive.sock"
            old = self._servers.get(agent.name)
            if old is not None:
                if await asyncio.to_thread(path.is_socket):
                    return
                old.close()
            self._servers[agent.name] = await serve(
                path,
                self._session(agent),
                limits=AGENT_RPC,
                pool=self._pool,
                mode=0o660,
                gid=user_of(self.config, agent.name),
                clean=self.redactor.line,
            )

    def remove(self, name: str) -> None:
        """Stop listening for an agent. Idempotent."""
        server = self._servers.pop(name, None)
        if server is not None:
            server.close()

    def close(self) -> None:
        """Stop listening for all agents permanently."""
        self._closed = True
        for server in self._servers.values():
            server.close()
        self._servers.clear()


def _connections_max() -> int:
    """Return the maximum of agents' connections, saving descriptors for operators."""
    share = int(open_files() * HIVED.descriptors_share)
    return min(HIVED.connections, share)
