"""The operator's decisions: approvals, messages, answers to questions.

``operator`` adds this to a connection that has a session.
"""

from pyglue.api import operator as api
from pyglue.api.approvals import ApproveParams, DenyParams
from pyglue.api.common import Done, OperationRef
from pyglue.api.messages import MarkReadParams, OperatorSendParams, SentResult
from pyglue.api.operations import CancelOperationParams
from pyglue.api.questions import AnswerParams, DismissParams
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.api.services import Services
from pyglue.jsonrpc import Handlers
from pyglue.names import EVERYONE, OPERATOR
from pyglue.store import messages
from pyglue.store.messages import NewMessage


class Decisions:
    """Calls that are the operator's own word."""

    def __init__(self, services: Services, by: str) -> None:
        self._s = services
        self._by = by

    def add_to(self, handlers: Handlers) -> None:
        """Register the handlers."""
        handlers.on(api.APPROVE, self._approve)
        handlers.on(api.DENY, self._deny)
        handlers.on(api.CANCEL_OPERATION, self._cancel_operation)
        handlers.on(api.OPERATOR_SEND, self._send)
        handlers.on(api.MARK_READ, self._mark_read)
        handlers.on(api.OPERATOR_ANSWER, self._answer)
        handlers.on(api.DISMISS, self._dismiss)

    async def _approve(self, params: ApproveParams) -> OperationRef:
        operation = await self._s.approvals.approve(params, self._by)
        return OperationRef(operation=operation.id)

    async def _deny(self, params: DenyParams) -> Done:
        await self._s.approvals.deny(params, self._by)
        return Done()

    async def _cancel_operation(self, params: CancelOperationParams) -> Done:
        await self._s.operations.cancel(params, self._by)
        return Done()

    async def _send(self, params: OperatorSendParams) -> SentResult:
        if params.to == OPERATOR:
            raise HiveError(
                ErrorCode.BAD_REQUEST,
                "You cannot send messages to your own inbox. Send to an agent.",
            )
        new = NewMessage(
            sender=OPERATOR,
            recipient=params.to,
            body=params.body,
            priority=params.priority,
            reply_to=params.reply_to,
        )
        if params.to == EVERYONE:
            number, missed = await self._s.broker.broadcast(new)
            return SentResult(id=number, missed=missed)
        message = await self._s.broker.post(new)
        return SentResult(id=message.id)

    async def _mark_read(self, params: MarkReadParams) -> Done:
        await self._s.store.write(
            lambda tx: messages.mark_read(tx, OPERATOR, params.id)
        )
        return Done()

    async def _answer(self, params: AnswerParams) -> Done:
        await self._s.questions.answer(OPERATOR, params, who=self._by)
        return Done()

    async def _dismiss(self, params: DismissParams) -> Done:
        await self._s.questions.dismiss(params, self._by)
        return Done()
