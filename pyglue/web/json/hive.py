"""The same data as JSON, for scripts: GET only, one endpoint an operator method.

What is answered is the RPC's result as it is (docs/rpc.md has the fields). Decisions
are made in the dashboard or by the CLI.
"""

from typing import TypeVar

import msgspec
from flask import Blueprint, Response, request

from pyglue import names
from pyglue.api.approvals import ApprovalParams, ApprovalsParams, ApprovalState
from pyglue.api.common import Method, NoParams, Params, Result
from pyglue.api.manager import AgentParams
from pyglue.api.messages import InboxParams
from pyglue.api.operations import OperationParams
from pyglue.api.operator import (
    AGENT,
    AGENTS,
    APPROVAL,
    APPROVALS,
    INBOX,
    MESSAGES,
    OPERATION,
    OPERATIONS,
    QUESTIONS,
    STATUS,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.web.pages.common import asked_before, asked_clip, asked_messages
from pyglue.web.rpc import hive

P = TypeVar("P", bound=Params)
R = TypeVar("R", bound=Result)

blueprint = Blueprint("api", __name__, url_prefix="/api")


def _answer(method: Method[P, R], params: P) -> Response:
    result = hive().call(method, params)
    return Response(msgspec.json.encode(result), content_type="application/json")


def _limit(largest: int = 500) -> int:
    return max(1, min(request.args.get("limit", 50, int), largest))


@blueprint.get("/status")
def status() -> Response:
    """Answer ``status``."""
    return _answer(STATUS, NoParams())


@blueprint.get("/agents")
def agents() -> Response:
    """Answer ``agents``."""
    return _answer(AGENTS, NoParams())


@blueprint.get("/agents/<name>")
def agent(name: str) -> Response:
    """Answer ``agent``."""
    return _answer(AGENT, AgentParams(agent=names.check(name)))


@blueprint.get("/approvals")
def approvals() -> Response:
    """Answer ``approvals``; ``?state= &agent= &before= &limit=``."""
    state = request.args.get("state")
    if state is not None and state not in set(ApprovalState):
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            f"state is one of: {', '.join(ApprovalState)}.",
        )
    chosen = ApprovalState(state) if state else None
    who = request.args.get("agent")
    params = ApprovalsParams(
        state=chosen,
        agent=names.check(who) if who else None,
        before=asked_before(),
        limit=_limit(),
    )
    return _answer(APPROVALS, params)


@blueprint.get("/approvals/<int:number>")
def approval(number: int) -> Response:
    """Answer ``approval``."""
    return _answer(APPROVAL, ApprovalParams(id=number))


@blueprint.get("/questions")
def questions() -> Response:
    """Answer ``questions``."""
    return _answer(QUESTIONS, NoParams())


@blueprint.get("/inbox")
def inbox() -> Response:
    """Answer ``inbox``; ``?limit=``, ``?clip=``."""
    return _answer(INBOX, InboxParams(limit=_limit(), clip=asked_clip()))


@blueprint.get("/messages")
def messages() -> Response:
    """Answer ``messages``; ``?before= &limit= &agent= &kind= &text= &clip=``."""
    return _answer(MESSAGES, asked_messages(_limit()))


@blueprint.get("/operations")
def operations() -> Response:
    """Answer ``operations``."""
    return _answer(OPERATIONS, NoParams())


@blueprint.get("/operations/<int:number>")
def operation(number: int) -> Response:
    """Answer ``operation``."""
    return _answer(OPERATION, OperationParams(id=number))
