"""The methods of an agent's socket. Only the socket identifies the caller."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from pyglue.api.agent import (
    ACK,
    ANSWER,
    ASK,
    CANCEL_QUESTION,
    CANCEL_REMINDER,
    EXPOSED,
    LIVE_TEXT,
    OPEN_THREADS,
    RECV,
    REMIND,
    SEND,
    STATE,
    STEER,
    TURN_END,
    TURN_EVENT,
    TURN_START,
    WARMTH,
    WHOAMI,
)
from pyglue.api.common import Params
from pyglue.api.terminal import TERMINAL_EXIT, TERMINAL_OUTPUT
from pyglue.host.api.services import AgentServices
from pyglue.host.core.agent import Agent, Receiver
from pyglue.host.core.registry import with_free_space
from pyglue.host.messages.open_threads import open_threads
from pyglue.jsonrpc import Connection, Handlers

P = TypeVar("P", bound=Params)
R = TypeVar("R")


def agent_handlers(
    s: AgentServices, agent: Agent, connection: Connection, *, harness: bool
) -> Handlers:
    """Return the handlers of one connection; only a harness may run turns."""
    handlers, mailbox = Handlers(), s.broker.mailbox
    receiver = Receiver(agent=agent, harness=harness, connection=connection)
    connection.on_close(lambda: mailbox.disconnected(receiver))

    def stores(call: Callable[[P], Awaitable[R]]) -> Callable[[P], Awaitable[R]]:
        return with_free_space(s.registry, agent, call)

    on, done = handlers.on, handlers.on_done
    on(SEND, stores(lambda it: s.broker.send(agent, it)))
    on(RECV, lambda it: mailbox.recv(receiver, it))
    on(ASK, stores(lambda it: s.questions.ask(agent, it)))
    done(ANSWER, stores(lambda it: s.questions.answer(agent.name, it)))
    done(CANCEL_QUESTION, lambda it: s.questions.cancel(agent, it))
    on(REMIND, stores(lambda it: s.reminders.remind(agent, it)))
    done(CANCEL_REMINDER, lambda it: s.reminders.cancel(agent, it))
    on(OPEN_THREADS, lambda _: open_threads(s.store, agent))
    on(WHOAMI, lambda _: s.agent_views.whoami(agent))
    on(EXPOSED, lambda _: s.secret_uses.exposed_to(agent))
    if harness:
        _add_turns(handlers, s, receiver, connection)
    else:
        on(ACK, lambda it: mailbox.ack(receiver, it))
    return handlers


def _add_turns(
    handlers: Handlers, s: AgentServices, receiver: Receiver, harness: Connection
) -> None:
    """Add what a harness alone may call."""
    agent, terminals, note = receiver.agent, s.terminals, handlers.on_note
    s.controls.greet(agent, harness)
    s.live_texts.greet(agent, harness)

    def current(call: Callable[[P], None]) -> Callable[[P], None]:
        """Handle notifications until another harness of the agent connects."""
        return lambda it: call(it) if receiver.is_current else None

    handlers.on(TURN_START, lambda it: s.turns.begin(receiver, it))
    handlers.on(TURN_END, lambda it: s.turns.end(receiver, it))
    handlers.on(STEER, lambda it: s.broker.mailbox.steer(receiver, it.turn))
    note(STATE, current(lambda it: s.transitions.state_reported(agent, it)))
    note(WARMTH, current(lambda it: s.warmth.reported(agent, it.bytes)))
    note(LIVE_TEXT, current(lambda it: s.live_texts.deliver(agent, it)))
    note(TURN_EVENT, lambda it: s.turn_events.reported(receiver, it))
    handlers.on_done(TERMINAL_OUTPUT, lambda it: terminals.output(it, harness))
    note(TERMINAL_EXIT, lambda it: terminals.exited(it, harness))
