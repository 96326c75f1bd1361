"""The operator's calls about agents: lifecycle and control.

``operator`` adds this to a connection that has a session.
"""

from collections.abc import Awaitable

from pyglue.api import operator as api
from pyglue.api.common import OperationRef
from pyglue.api.control import CancelTurnOfParams
from pyglue.api.manager import REBUILD, RESTART, START, STOP, AgentParams
from pyglue.api.operations import OperationKind
from pyglue.host.api.services import Services
from pyglue.host.core.operations import queued
from pyglue.jsonrpc import Handlers


def add_agent_calls(handlers: Handlers, s: Services, by: str) -> None:
    """Add the calls about one or all agents; ``by`` is the caller."""

    def request(kind: OperationKind, params: AgentParams) -> Awaitable[OperationRef]:
        agent = s.registry.get(params.agent)
        return queued(s.operations.request(kind, agent.name, by=by))

    async def cancel_turn(params: CancelTurnOfParams) -> None:
        await s.queue.set_aside(params.agent, params.messages, by)
        await s.controls.cancel(params.agent, params.reason, by)

    on, done, life, controls = handlers.on, handlers.on_done, s.life, s.controls
    on(START, lambda it: request(OperationKind.START, it))
    on(STOP, lambda it: request(OperationKind.STOP, it))
    on(RESTART, lambda it: request(OperationKind.RESTART, it))
    on(api.SPAWN, lambda it: s.proposals.spawn(it.name, it.description, by))
    on(api.DRAFT, lambda it: life.drafts.make(it.name, it.description, by))
    on(api.DRAFT_DISCARD, lambda it: life.drafts.discard(it, by))
    on(api.DESTROY, lambda it: life.destroy.destroy(it, by))
    on(api.RESTORE, lambda it: life.redeploy.restore(it.agent, by))
    on(api.PURGE, lambda it: life.destroy.purge(it, by))
    on(
        api.ROLLBACK,
        lambda it: queued(life.redeploy.rollback(it.agent, it.approval, by)),
    )
    on(api.RETRY, lambda it: queued(life.redeploy.retry(it.id, by)))
    on(REBUILD, lambda it: life.redeploy.rebuild(it.agent, by))
    on(api.REBUILD_ALL, lambda _: life.rebuilding.request(by))
    done(api.PAUSE, lambda it: controls.pause(it, by))
    done(api.RESUME, lambda it: s.resuming.resume(it.agent, by))
    done(api.PAUSE_ALL, lambda it: controls.pause_all(it.reason, by))
    done(api.RESUME_ALL, lambda _: controls.resume_all(by))
    done(api.CANCEL_TURN_OF, cancel_turn)
    on(api.QUEUE, s.queue.list)
    done(api.QUEUE_DROP, lambda it: s.queue.drop(it, by))
    done(api.QUEUE_LATER, lambda it: s.queue.later(it, by))
    done(api.COMPACT, lambda it: controls.compact(it.agent, by))
    done(api.NEW_SESSION, lambda it: controls.new_session(it.agent, by))
    on(api.SET_MODEL, lambda it: s.model_choices.choose(it, by))
    on(api.RESET_MODEL, lambda it: s.model_choices.reset(it.agent, by))
    on(api.ACCOUNTS, lambda _: s.accounts.all())
    done(api.SET_ACCOUNT, lambda it: s.accounts.choose(it, by))
    on(
        api.PUSH_SUBSCRIBE,
        lambda it: s.notifier.known_browsers().subscribe(it, by),
    )
    done(api.PUSH_REMOVE, lambda it: s.notifier.known_browsers().remove(it, by))
    done(api.NOTIFY_TEST, s.notifier.test)
