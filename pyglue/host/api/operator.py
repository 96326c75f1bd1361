"""The methods of the operator's socket, for the CLI and the dashboard.

A connection from hive-web without a valid session may only call ``login``. This module
has sessions and terminals; the rest is in ``operator_reading``, ``operator_agents``,
``operator_decisions`` and ``host.archives.calls``.
"""

from pyglue import __version__
from pyglue.api import operator as api
from pyglue.api.archive import RepairResult
from pyglue.api.common import PROTOCOL, Done, HelloParams, HelloResult, NoParams, Role
from pyglue.api.logins import LoginCodeResult, LogoutParams
from pyglue.api.telemetry import MetricsTokenParams, MetricsTokenResult
from pyglue.api.terminal import (
    TERMINAL_ACK,
    TERMINAL_ATTACH,
    TERMINAL_CLOSE,
    TERMINAL_INPUT,
    TERMINAL_OPEN,
    TERMINAL_RESIZE,
    TerminalAttachParams,
    TerminalAttachResult,
    TerminalOpenParams,
    TerminalOpenResult,
    TerminalParams,
)
from pyglue.host.api.operator_agents import AgentCalls
from pyglue.host.api.operator_decisions import Decisions
from pyglue.host.api.operator_reading import Reading
from pyglue.host.api.services import Services
from pyglue.host.api.sessions import Caller
from pyglue.jsonrpc import Connection, Handlers


class OperatorApi:
    """One connection on the operator's socket."""

    def __init__(
        self, connection: Connection, caller: Caller, services: Services
    ) -> None:
        self._connection = connection
        self._caller = caller
        self._s = services

    def handlers(self) -> Handlers:
        """Return what this caller may call."""
        handlers = Handlers()
        if self._caller.web:
            handlers.on(api.LOGIN, self._s.sessions.login)
            handlers.on(api.WEB_ORIGIN, self._s.sessions.origin)
            if self._s.ports is not None:
                handlers.on(api.AGENT_PORTS, self._s.ports.answer)
        if self._caller.metrics or not self._caller.web:
            handlers.on(api.METRICS, self._s.views.metrics)
        if not self._caller.session:
            return handlers
        handlers.on(api.LOGOUT, self._logout)
        if not self._caller.web:
            handlers.on(api.LOGIN_CODE, self._login_code)
            handlers.on(api.WEB_ORIGIN, self._s.sessions.origin)
            handlers.on(api.METRICS_TOKEN, self._metrics_token)
            self._s.archives.add_to(handlers, self._connection, self._caller.name)
            handlers.on(api.REPAIR, self._repair)
        Reading(self._s, self._connection).add_to(handlers)
        AgentCalls(self._s, self._caller.name).add_to(handlers)
        Decisions(self._s, self._caller.name).add_to(handlers)
        self._in_terminals(handlers)
        return handlers

    def _in_terminals(self, handlers: Handlers) -> None:
        terminals, by, viewer = self._s.terminals, self._caller.name, self._connection

        async def opened(params: TerminalOpenParams) -> TerminalOpenResult:
            return await terminals.open(params, by)

        async def attached(params: TerminalAttachParams) -> TerminalAttachResult:
            return terminals.attach(params, viewer, by)

        async def closed(params: TerminalParams) -> Done:
            return terminals.close(params, by)

        handlers.on(TERMINAL_OPEN, opened)
        handlers.on(TERMINAL_ATTACH, attached)
        handlers.on(TERMINAL_CLOSE, closed)
        handlers.on_note(TERMINAL_INPUT, lambda it: terminals.input(it, viewer))
        handlers.on_note(TERMINAL_RESIZE, lambda it: terminals.resize(it, viewer))
        handlers.on_note(TERMINAL_ACK, lambda it: terminals.ack(it, viewer))

    async def _login_code(self, _params: NoParams) -> LoginCodeResult:
        return await self._s.sessions.mint_code(self._caller.name)

    async def _metrics_token(self, params: MetricsTokenParams) -> MetricsTokenResult:
        return await self._s.sessions.metrics_token(params, self._caller.name)

    async def _logout(self, params: LogoutParams) -> Done:
        await self._s.sessions.logout(params)
        self._s.terminals.close_of(self._caller.name)
        return Done()

    async def _repair(self, _params: NoParams) -> RepairResult:
        return await self._s.repair.mend(self._caller.name)


def operator_session(
    services: Services, connection: Connection, hello: HelloParams
) -> tuple[HelloResult, Handlers]:
    """Answer a hello on the operator's socket."""
    caller = services.sessions.caller(connection, hello)
    result = HelloResult(
        protocol=PROTOCOL, role=Role.OPERATOR, server=f"hived {__version__}"
    )
    return result, OperatorApi(connection, caller, services).handlers()
