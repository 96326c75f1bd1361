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
from pyglue.store import marks
from pyglue.store.messages import NewMessage


def add_decisions(handlers: Handlers, s: Services, by: str) -> None:
    """Add the calls that act as the operator; ``by`` is the caller."""

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
            sent = SentResult(id=number, missed=missed)
        else:
            number = (await s.broker.post(new)).id
            turn = s.broker.delivery.reaches(params.to)
            sent = SentResult(id=number, turn=turn)
        reply_to = params.reply_to
        if reply_to is not None:
            await s.store.write(lambda tx: marks.answered(tx, OPERATOR, reply_to))
        return sent

    on, done = handlers.on, handlers.on_done
    on(api.APPROVE, lambda it: queued(s.approvals.approve(it, by)))
    done(api.DENY, lambda it: s.approvals.deny(it, by))
    done(api.REQUEST_CHANGES, lambda it: s.approvals.request_changes(it, by))
    done(api.CANCEL_OPERATION, lambda it: s.operations.cancel(it, by))
    on(api.OPERATOR_SEND, send)
    done(
        api.MARK,
        lambda it: s.store.write(
            lambda tx: marks.mark(tx, OPERATOR, it.mark, ids=it.ids, up_to=it.up_to)
        ),
    )
    done(api.OPERATOR_ANSWER, lambda it: s.questions.answer(OPERATOR, it, who=by))
    done(api.DISMISS, lambda it: s.questions.dismiss(it, by))
