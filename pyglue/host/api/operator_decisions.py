"""The operator's decisions: approvals, messages, answers to questions.

``operator`` adds this to a connection that has a session.
"""

from pyglue.api import operator as api
from pyglue.host.api.services import Services
from pyglue.host.core.operations import queued
from pyglue.jsonrpc import Handlers
from pyglue.names import OPERATOR
from pyglue.store import marks


def add_decisions(handlers: Handlers, s: Services, by: str) -> None:
    """Add the calls that act as the operator; ``by`` is the caller."""
    on, done = handlers.on, handlers.on_done
    on(api.APPROVE, lambda it: queued(s.approvals.approve(it, by)))
    done(api.DENY, lambda it: s.approvals.deny(it, by))
    done(api.REQUEST_CHANGES, lambda it: s.approvals.request_changes(it, by))
    done(api.CANCEL_OPERATION, lambda it: s.operations.cancel(it, by))
    on(api.OPERATOR_SEND, s.operator_messages.send)
    done(
        api.MARK,
        lambda it: s.store.write(
            lambda tx: marks.mark(tx, OPERATOR, it.mark, ids=it.ids, up_to=it.up_to)
        ),
    )
    done(api.OPERATOR_ANSWER, lambda it: s.questions.answer(OPERATOR, it, who=by))
    done(api.DISMISS, lambda it: s.questions.dismiss(it, by))
