"""The operator's calls about agents: lifecycle and control.

``operator`` adds this to a connection that has a session.
"""

from pyglue.api import operator as api
from pyglue.api.common import Done, NoParams, OperationRef
from pyglue.api.control import (
    CancelTurnOfParams,
    ModelStatus,
    PauseAllParams,
    PauseParams,
    SetModelParams,
)
from pyglue.api.lifecycle import PurgeParams, RollbackParams
from pyglue.api.manager import (
    REBUILD,
    RESTART,
    START,
    STOP,
    AgentParams,
    DraftResult,
    ProposalResult,
    RebuildResult,
    SpawnParams,
)
from pyglue.api.operations import OperationKind
from pyglue.api.queue import QueueChangeParams
from pyglue.host.api.services import Services
from pyglue.jsonrpc import Handlers


class AgentCalls:
    """Calls that name an agent, or all of them."""

    def __init__(self, services: Services, by: str) -> None:
        self._s = services
        self._by = by

    def add_to(self, handlers: Handlers) -> None:
        """Register the handlers."""
        handlers.on(api.SPAWN, self._spawn)
        handlers.on(START, self._start)
        handlers.on(STOP, self._stop)
        handlers.on(RESTART, self._restart)
        handlers.on(api.PAUSE, self._pause)
        handlers.on(api.RESUME, self._resume)
        handlers.on(api.PAUSE_ALL, self._pause_all)
        handlers.on(api.RESUME_ALL, self._resume_all)
        handlers.on(api.CANCEL_TURN_OF, self._cancel_turn)
        handlers.on(api.QUEUE, self._s.queue.list)
        handlers.on(api.QUEUE_DROP, self._queue_drop)
        handlers.on(api.QUEUE_LATER, self._queue_later)
        handlers.on(api.COMPACT, self._compact)
        handlers.on(api.NEW_SESSION, self._new_session)
        handlers.on(api.SET_MODEL, self._set_model)
        handlers.on(api.RESET_MODEL, self._reset_model)
        handlers.on(api.DRAFT, self._draft)
        handlers.on(api.DRAFT_DISCARD, self._draft_discard)
        handlers.on(api.DESTROY, self._destroy)
        handlers.on(api.RESTORE, self._restore)
        handlers.on(api.PURGE, self._purge)
        handlers.on(api.ROLLBACK, self._rollback)
        handlers.on(REBUILD, self._rebuild)
        handlers.on(api.REBUILD_ALL, self._rebuild_all)

    async def _spawn(self, params: SpawnParams) -> ProposalResult:
        return await self._s.proposals.spawn(params.name, params.description, self._by)

    async def _start(self, params: AgentParams) -> OperationRef:
        return await self._request(OperationKind.START, params)

    async def _stop(self, params: AgentParams) -> OperationRef:
        return await self._request(OperationKind.STOP, params)

    async def _restart(self, params: AgentParams) -> OperationRef:
        return await self._request(OperationKind.RESTART, params)

    async def _request(self, kind: OperationKind, params: AgentParams) -> OperationRef:
        agent = self._s.registry.get(params.agent)
        operation = await self._s.operations.request(kind, agent.name, by=self._by)
        return OperationRef(operation=operation.id)

    async def _draft(self, params: SpawnParams) -> DraftResult:
        drafts = self._s.life.drafts
        return await drafts.make(params.name, params.description, self._by)

    async def _draft_discard(self, params: AgentParams) -> OperationRef:
        return await self._s.life.drafts.discard(params, self._by)

    async def _destroy(self, params: AgentParams) -> OperationRef:
        return await self._s.life.destroy.destroy(params, self._by)

    async def _restore(self, params: AgentParams) -> ProposalResult:
        return await self._s.life.redeploy.restore(params.agent, self._by)

    async def _purge(self, params: PurgeParams) -> OperationRef:
        return await self._s.life.destroy.purge(params, self._by)

    async def _rollback(self, params: RollbackParams) -> OperationRef:
        operation = await self._s.life.redeploy.rollback(
            params.agent, params.approval, self._by
        )
        return OperationRef(operation=operation.id)

    async def _rebuild(self, params: AgentParams) -> RebuildResult:
        return await self._s.life.redeploy.rebuild(params.agent, self._by)

    async def _rebuild_all(self, _params: NoParams) -> OperationRef:
        return await self._s.life.rebuilding.request(self._by)

    async def _pause(self, params: PauseParams) -> Done:
        await self._s.controls.pause(params, self._by)
        return Done()

    async def _resume(self, params: AgentParams) -> Done:
        await self._s.resuming.resume(params.agent, self._by)
        return Done()

    async def _pause_all(self, params: PauseAllParams) -> Done:
        await self._s.controls.pause_all(params.reason, self._by)
        return Done()

    async def _resume_all(self, _params: NoParams) -> Done:
        await self._s.controls.resume_all(self._by)
        return Done()

    async def _cancel_turn(self, params: CancelTurnOfParams) -> Done:
        await self._s.queue.set_aside(params.agent, params.messages, self._by)
        await self._s.controls.cancel(params.agent, params.reason, self._by)
        return Done()

    async def _queue_drop(self, params: QueueChangeParams) -> Done:
        await self._s.queue.drop(params, self._by)
        return Done()

    async def _queue_later(self, params: QueueChangeParams) -> Done:
        await self._s.queue.later(params, self._by)
        return Done()

    async def _compact(self, params: AgentParams) -> Done:
        await self._s.controls.compact(params.agent, self._by)
        return Done()

    async def _new_session(self, params: AgentParams) -> Done:
        await self._s.controls.new_session(params.agent, self._by)
        return Done()

    async def _set_model(self, params: SetModelParams) -> ModelStatus:
        return await self._s.controls.set_model(params, self._by)

    async def _reset_model(self, params: AgentParams) -> ModelStatus:
        return await self._s.controls.reset_model(params.agent, self._by)
