"""The listeners: the operator's socket, and one for each agent."""

from pyglue import __version__
from pyglue.api.common import PROTOCOL, HelloParams, HelloResult, Role
from pyglue.config import HiveConfig
from pyglue.host.agents.lifecycle import Lifecycle
from pyglue.host.api.agent import agent_handlers
from pyglue.host.api.manager import add_manager_calls
from pyglue.host.api.operator import operator_session
from pyglue.host.api.services import Services
from pyglue.host.core.agent import Agent
from pyglue.jsonrpc import Connection, Handlers, Server, serve
from pyglue.jsonrpc.listen import Session
from pyglue.limits import OPERATOR_RPC


async def serve_operator(services: Services) -> Server:
    """Listen on ``operator.sock``."""
    config = services.config
    return await serve(
        config.layout.operator_socket,
        lambda connection, hello: operator_session(services, connection, hello),
        limits=OPERATOR_RPC,
        by_uid=True,
        mode=0o660,
        gid=_operators(config),
    )


def _operators(config: HiveConfig) -> int | None:
    """Return the group of ``operator.sock``: the operators', else hive-web's own."""
    if config.operators_gid is not None:
        return config.operators_gid
    return None if config.ids is None else config.ids.web


def agent_session(services: Services, lifecycle: Lifecycle, agent: Agent) -> Session:
    """Return the session handler for this agent's socket."""

    def session(
        connection: Connection, hello: HelloParams
    ) -> tuple[HelloResult, Handlers]:
        if hello.harness is not None:
            lifecycle.hello(agent, connection, hello.harness)
        handlers = agent_handlers(
            services, agent, connection, harness=hello.harness is not None
        )
        if agent.role is Role.MANAGER:
            add_manager_calls(handlers, services, connection)
        result = HelloResult(
            protocol=PROTOCOL,
            role=agent.role,
            server=f"hived {__version__}",
            agent=agent.name,
        )
        return result, handlers

    return session
