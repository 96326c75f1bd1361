"""The operator's decisions: approvals, messages, answers to questions.

``operator`` adds this to a connection that has a session.
"""

from pyglue.api import operator as api
from pyglue.api.inbox import OperatorSendParams, SentResult
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.api.services import Services
from pyglue.host.core.operations import queued
from pyglue.jsonrpc import Handlers
from pyglue.names import EVERYONE, OPERATOR
from pyglue.store import messages
from pyglue.store.messages import NewMessage


def add_decisions(handlers: Handlers, s: Services, by: str) -> None:
    """Add the calls that are the operator's own word, said by ``by``."""

    async def send(params: OperatorSendParams) -> SentResult:
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
            number, missed = await s.broker.broadcast(new)
            return SentResult(id=number, missed=missed)
        message = await s.broker.post(new)
        return SentResult(id=message.id, turn=s.broker.delivery.reaches(params.to))

    on, done = handlers.on, handlers.on_done
    on(api.APPROVE, lambda it: queued(s.approvals.approve(it, by)))
    done(api.DENY, lambda it: s.approvals.deny(it, by))
    done(api.REQUEST_CHANGES, lambda it: s.approvals.request_changes(it, by))
    done(api.CANCEL_OPERATION, lambda it: s.operations.cancel(it, by))
    on(api.OPERATOR_SEND, send)
    done(
        api.MARK_READ,
        lambda it: s.store.write(
            lambda tx: messages.mark_read(tx, OPERATOR, it.ids, up_to=it.up_to)
        ),
    )
    done(api.OPERATOR_ANSWER, lambda it: s.questions.answer(OPERATOR, it, who=by))
    done(api.DISMISS, lambda it: s.questions.dismiss(it, by))
