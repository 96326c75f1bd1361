"""The methods of the operator's socket, for the CLI and the dashboard.

A connection from hive-web without a valid session may only call ``login``. This module
has sessions and terminals; the rest is in ``operator_reading``, ``operator_agents``,
``operator_decisions`` and ``host.archives.calls``.
"""

from pyglue import __version__
from pyglue.api import operator as api
from pyglue.api.common import PROTOCOL, HelloParams, HelloResult, Role
from pyglue.api.logins import LogoutParams
from pyglue.api.terminal import (
    TERMINAL_ACK,
    TERMINAL_ATTACH,
    TERMINAL_CLOSE,
    TERMINAL_INPUT,
    TERMINAL_OPEN,
    TERMINAL_RESIZE,
)
from pyglue.host.api.operator_agents import add_agent_calls
from pyglue.host.api.operator_decisions import add_decisions
from pyglue.host.api.operator_reading import add_reading
from pyglue.host.api.services import Services
from pyglue.host.api.sessions import Caller
from pyglue.jsonrpc import Connection, Handlers


def operator_session(
    services: Services, connection: Connection, hello: HelloParams
) -> tuple[HelloResult, Handlers]:
    """Answer a hello on the operator's socket."""
    caller = services.sessions.caller(connection, hello)
    result = HelloResult(
        protocol=PROTOCOL, role=Role.OPERATOR, server=f"hived {__version__}"
    )
    return result, _handlers(services, connection, caller)


def _handlers(s: Services, connection: Connection, caller: Caller) -> Handlers:
    """Return the handlers that this caller may use."""
    handlers, by = Handlers(), caller.name
    on = handlers.on
    if caller.web:
        on(api.LOGIN, s.sessions.login)
        on(api.WEB_ORIGIN, s.sessions.origin)
        on(api.WEBHOOK, s.webhooks.deliver)
        if s.ports is not None:
            on(api.AGENT_PORTS, s.ports.answer)
    if caller.metrics or not caller.web:
        on(api.METRICS, s.views.metrics)
    if not caller.session:
        return handlers

    async def logout(params: LogoutParams) -> None:
        await s.sessions.logout(params)
        s.terminals.close_of(by)

    handlers.on_done(api.LOGOUT, logout)
    if not caller.web:
        on(api.LOGIN_CODE, lambda _: s.sessions.mint_code(by))
        on(api.WEB_ORIGIN, s.sessions.origin)
        on(api.METRICS_TOKEN, lambda it: s.sessions.metrics_token(it, by))
        s.archives.add_to(handlers, connection, by)
        on_done = handlers.on_done
        on_done(api.SECRET_SET, lambda it: s.secrets.set(it, by))
        on_done(api.SECRET_ROTATE, lambda it: s.secrets.rotate(it, by))
        on_done(api.SECRET_REMOVE, lambda it: s.secrets.remove(it, by))
        on_done(api.WORKSPACE_ADD, lambda it: s.workspaces.add(it, by))
        on_done(api.WORKSPACE_REMOVE, lambda it: s.workspaces.remove(it, by))
        on(api.REPAIR, lambda _: s.repair.repair(by))
    add_reading(handlers, s, connection)
    add_agent_calls(handlers, s, by)
    add_decisions(handlers, s, by)
    _add_terminals(handlers, s, connection, by)
    return handlers


def _add_terminals(
    handlers: Handlers, s: Services, viewer: Connection, by: str
) -> None:
    terminals, note = s.terminals, handlers.on_note

    handlers.on(TERMINAL_OPEN, lambda it: terminals.open(it, by))
    handlers.on(TERMINAL_ATTACH, lambda it: terminals.attach(it, viewer, by))
    handlers.on_done(TERMINAL_CLOSE, lambda it: terminals.close(it, by))
    note(TERMINAL_INPUT, lambda it: terminals.input(it, viewer))
    note(TERMINAL_RESIZE, lambda it: terminals.resize(it, viewer))
    note(TERMINAL_ACK, lambda it: terminals.ack(it, viewer))
