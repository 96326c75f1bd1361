"""The HTTP API answers with the types of the RPC."""

from typing import Annotated

import msgspec
import pytest
from msgspec import Meta
from werkzeug.datastructures import MultiDict

from checks.kits.web.app import Operator
from pyglue.api.accounts import AccountsResult
from pyglue.api.approvals import ApprovalDetail, ApprovalsResult
from pyglue.api.common import AgentName, Params
from pyglue.api.inbox import InboxResult, MessagesResult
from pyglue.api.operations import Operation, OperationsResult
from pyglue.api.overview import AgentDetail, AgentsView, HiveStatus
from pyglue.api.questions import QuestionsResult
from pyglue.errors import ErrorCode, HiveError
from pyglue.web.json.fields import Fields


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/api/status", HiveStatus),
        ("/api/agents", AgentsView),
        ("/api/agents/alice", AgentDetail),
        ("/api/approvals", ApprovalsResult),
        ("/api/approvals?state=pending&agent=alice&limit=5", ApprovalsResult),
        ("/api/approvals/7", ApprovalDetail),
        ("/api/questions", QuestionsResult),
        ("/api/inbox", InboxResult),
        ("/api/messages?before=30&limit=2", MessagesResult),
        ("/api/operations", OperationsResult),
        ("/api/operations/11", Operation),
        ("/api/accounts", AccountsResult),
    ],
)
def test_the_api_answers_with_the_rpc_s_types(
    operator: Operator, path: str, kind: type
) -> None:
    answer = operator.get(path)
    assert answer.status_code == 200
    assert answer.content_type == "application/json"
    assert isinstance(msgspec.json.decode(answer.data, type=kind), kind)


@pytest.mark.parametrize(
    "path", ["/api/approvals?state=nope", "/api/agents/A", "/api/messages?agent=A"]
)
def test_the_api_refuses_with_a_sentence(operator: Operator, path: str) -> None:
    answer = operator.get(path)
    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["detail"]


class _Named(Params, frozen=True):
    agent: AgentName
    label: Annotated[str, Meta(max_length=64)]


def test_only_an_agent_s_name_is_held_to_the_form_of_names() -> None:
    fields, free = Fields(_Named), "As Long as a Name"
    read = fields.read(MultiDict({"agent": "alice", "label": free}), {})
    assert read == _Named(agent="alice", label=free)
    with pytest.raises(HiveError) as refused:
        fields.read(MultiDict({"agent": free, "label": "alice"}), {})
    assert refused.value.code is ErrorCode.INVALID_NAME
