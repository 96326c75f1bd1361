"""What each role's sockets carry, and who may call it, for the reference pages."""

import ast
import functools
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

from pyglue.api import (
    agent,
    egress,
    handover,
    manager,
    operator,
    relay,
    terminal,
)
from pyglue.api.common import Method, Note

Call = Method[Any, Any] | Note[Any]


@dataclass(frozen=True)
class Surface:
    """What one role's sockets offer, and what hived says down them.

    ``shared`` are calls of modules that several roles share.
    """

    title: str
    socket: str
    module: ModuleType
    shared: tuple[tuple[ModuleType, tuple[Call, ...]], ...] = ()
    also: tuple[Method[Any, Any], ...] = ()
    down: tuple[Call, ...] = ()
    limited: tuple[tuple[tuple[Call, ...], str], ...] = ()


TERMINAL_DOWN: Final = (
    terminal.TERMINAL_START,
    terminal.TERMINAL_INPUT,
    terminal.TERMINAL_RESIZE,
    terminal.TERMINAL_STOP,
)


TERMINAL_UP: Final = (terminal.TERMINAL_OUTPUT, terminal.TERMINAL_EXIT)


TERMINAL_VIEW: Final = (
    terminal.TERMINAL_OPEN,
    terminal.TERMINAL_ATTACH,
    terminal.TERMINAL_INPUT,
    terminal.TERMINAL_RESIZE,
    terminal.TERMINAL_ACK,
    terminal.TERMINAL_CLOSE,
    terminal.TERMINAL_DATA,
    terminal.TERMINAL_ENDED,
)


HARNESS: Final = (
    agent.TURN_START,
    agent.TURN_END,
    agent.STATE,
    agent.TURN_EVENT,
    agent.LIVE_TEXT,
    agent.WARMTH,
)


SURFACES: Final = (
    Surface(
        "Every agent",
        "`hive.sock` in the agent's own directory; it is the agent's identity.",
        agent,
        shared=((terminal, TERMINAL_DOWN + TERMINAL_UP),),
        down=(
            agent.CANCEL_TURN,
            agent.CONTROL,
            agent.COMPACT_SESSION,
            agent.BEGIN_SESSION,
            agent.COOL,
            agent.NEWS,
            agent.WATCHED,
            *TERMINAL_DOWN,
        ),
        limited=(
            (
                HARNESS + TERMINAL_UP,
                "Only on a connection whose `hello` carried `harness`.",
            ),
        ),
    ),
    Surface(
        "The manager",
        "The manager's own `hive.sock`. All that every agent may call, and:",
        manager,
    ),
    Surface(
        "The operator",
        "`operator.sock`: the dashboard and the `hive` command.",
        operator,
        also=(manager.START, manager.STOP, manager.RESTART, manager.REBUILD),
        shared=((terminal, TERMINAL_VIEW),),
        down=(
            operator.EVENT,
            operator.GAP,
            operator.JOURNAL_NEWS,
            operator.LIVE_TEXT,
            terminal.TERMINAL_DATA,
            terminal.TERMINAL_ENDED,
        ),
        limited=(
            ((operator.LOGIN,), "Only for hive-web; the one call without a session."),
            ((operator.LOGIN_CODE,), "Not for hive-web: a session makes no other."),
        ),
    ),
    Surface(
        "The relay",
        "`relay.sock`; descriptors travel over `relay-fds.sock` beside it.",
        relay,
        shared=((handover, (handover.DETACH,)),),
        down=(relay.POLICY, handover.DETACH),
    ),
    Surface(
        "hive-egress",
        "`egress.sock`; descriptors travel over `egress-fds.sock` beside it.",
        egress,
        shared=((handover, (handover.DETACH,)),),
        down=(egress.POLICY, handover.DETACH),
    ),
)


def calls(module: ModuleType) -> Iterator[tuple[str, Call]]:
    """Yield the constants of a module that are methods or notes made there."""
    for name in definitions(module):
        value = getattr(module, name)
        if isinstance(value, Method | Note):
            yield name, value


def calls_of(surface: Surface) -> Iterator[tuple[str, Call, str]]:
    """Yield constant, call and docstring of all that a role's sockets carry."""
    for name, call in calls(surface.module):
        yield name, call, definitions(surface.module)[name]
    for module, picked in surface.shared:
        for name, call in calls(module):
            if call in picked:
                yield name, call, definitions(module)[name]


@functools.cache
def definitions(module: ModuleType) -> dict[str, str]:
    """Return each assigned name of a module, with the docstring below it if any."""
    body = ast.parse(inspect.getsource(module)).body
    found = {}
    for at, node in enumerate(body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            after = body[at + 1] if at + 1 < len(body) else None
            said = after.value if isinstance(after, ast.Expr) else None
            text = said.value if isinstance(said, ast.Constant) else ""
            found[node.target.id] = str(text)
    return found
