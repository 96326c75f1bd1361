"""The manager's additional methods: proposals, start, stop.

No decisions are made here: proposals stay pending for the operator, and all other
changes are operations.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from pyglue.api.common import Params
from pyglue.api.manager import (
    AGENT_LOGS,
    LIST_AGENTS,
    REBUILD,
    REQUEST_SPAWN,
    REQUEST_SPAWN_DRAFT,
    RESTART,
    START,
    STOP,
    SUBMIT_BEGIN,
    SUBMIT_CHUNK,
    SUBMIT_COMMIT,
    WITHDRAW,
)
from pyglue.api.operations import OperationKind
from pyglue.host.api.services import Services
from pyglue.host.core.registry import with_free_space
from pyglue.jsonrpc import Connection, Handlers
from pyglue.names import MANAGER

P = TypeVar("P", bound=Params)
R = TypeVar("R")


def add_manager_calls(handlers: Handlers, s: Services, connection: Connection) -> None:
    """Add the manager's calls to the handlers of one of its connections."""
    submissions, operations = s.submissions, s.manager_operations
    connection.on_close(lambda: submissions.drop_of(connection))

    def stores(call: Callable[[P], Awaitable[R]]) -> Callable[[P], Awaitable[R]]:
        return with_free_space(s.registry, s.registry.get(MANAGER), call)

    on, done = handlers.on, handlers.on_done
    on(LIST_AGENTS, s.agent_views.all)
    on(REQUEST_SPAWN, stores(submissions.spawn))
    on(
        REQUEST_SPAWN_DRAFT,
        stores(lambda it: s.life.drafts.make(it.name, it.description, MANAGER)),
    )
    on(SUBMIT_BEGIN, stores(lambda it: submissions.begin(it, connection)))
    done(SUBMIT_CHUNK, stores(lambda it: submissions.chunk(it, connection)))
    on(SUBMIT_COMMIT, stores(lambda it: submissions.commit(it, connection)))
    done(WITHDRAW, lambda it: s.approvals.withdraw(it, MANAGER))
    on(START, stores(lambda it: operations.request(OperationKind.START, it)))
    on(STOP, stores(lambda it: operations.request(OperationKind.STOP, it)))
    on(RESTART, stores(lambda it: operations.request(OperationKind.RESTART, it)))
    on(REBUILD, stores(operations.rebuild))
    on(AGENT_LOGS, s.journal.for_model)
