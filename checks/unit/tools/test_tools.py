"""The tools: their schemas fit the API, calls and refusals read well."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import jsonschema
import msgspec
import pytest

from checks.kits.harness.bench import FakeHive
from pyglue import jsonrpc
from pyglue.api import agent as agent_api
from pyglue.api import manager as manager_api
from pyglue.api.common import NOT_FOR_MODELS, PROTOCOL, HelloParams, Params, Role
from pyglue.api.messages import RecvParams, SendParams
from pyglue.api.questions import AnswerParams, AskParams, CancelQuestionParams
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import Connection
from pyglue.tools import Tool, agent_tools, lending_tools, manager_tools
from pyglue.tools.schema import schema_of
from pyglue.tools.submit import ApplyCommit, SpawnCommit

AGENTS = Path("/agents")

SHAPES: dict[str, type[msgspec.Struct]] = {
    "send": SendParams,
    "recv": RecvParams,
    "whoami": agent_api.WHOAMI.params,
    "ask": AskParams,
    "answer": AnswerParams,
    "cancel_question": CancelQuestionParams,
    "remind": agent_api.RemindParams,
    "cancel_reminder": agent_api.CancelReminderParams,
    "open_threads": agent_api.OPEN_THREADS.params,
    "withdraw_proposal": manager_api.WithdrawParams,
    "list_agents": manager_api.LIST_AGENTS.params,
    "request_spawn": manager_api.SpawnParams,
    "request_spawn_draft": manager_api.SpawnParams,
    "request_spawn_commit": SpawnCommit,
    "rebuild": manager_api.AgentParams,
    "request_apply_commit": ApplyCommit,
    "start": manager_api.AgentParams,
    "stop": manager_api.AgentParams,
    "restart": manager_api.AgentParams,
    "agent_logs": manager_api.AgentLogsParams,
}


OURS = {"recv": ("had",)}
"""What ``hive-mcp`` says for its client, and no model can."""


def named(name: str) -> Tool:
    return next(tool for tool in manager_tools(AGENTS) if tool.name == name)


@pytest.fixture
async def hive(tmp_path: Path) -> AsyncIterator[FakeHive]:
    async with FakeHive(tmp_path / "hive.sock", role=Role.MANAGER) as hive:
        yield hive


@pytest.fixture
async def connection(hive: FakeHive) -> AsyncIterator[Connection]:
    hello = HelloParams(protocol=PROTOCOL, client="test")
    connection = await jsonrpc.connect(hive.path, hello=hello)
    yield connection
    connection.close()


def test_an_agent_has_a_part_of_the_managers_tools() -> None:
    ours = [tool.name for tool in agent_tools()]
    theirs = [tool.name for tool in manager_tools(AGENTS)]
    assert theirs[: len(ours)] == ours
    assert set(theirs) == set(SHAPES)


@pytest.mark.parametrize("tool", manager_tools(AGENTS), ids=lambda tool: tool.name)
def test_schema_is_the_methods(tool: Tool) -> None:
    jsonschema.Draft202012Validator.check_schema(tool.schema)
    ours = OURS.get(tool.name, ())
    every = msgspec.structs.fields(SHAPES[tool.name])
    shape = [field for field in every if field.name not in ours]
    assert set(tool.schema["properties"]) == {field.name for field in shape}
    needed = [field.name for field in shape if field.required]
    assert tool.schema["required"] == needed
    assert tool.schema["additionalProperties"] is False
    assert len(tool.description) > 40
    assert tool.summary[0].islower() or tool.summary[0] == "`"


@pytest.mark.parametrize(
    "tool", (*manager_tools(AGENTS), *lending_tools()), ids=lambda tool: tool.name
)
def test_schema_is_flat_and_says_what_each_argument_is(tool: Tool) -> None:
    text = json.dumps(tool.schema)
    for noise in ("$ref", "$defs", "title", "null", NOT_FOR_MODELS):
        assert noise not in text
    for name, field in tool.schema["properties"].items():
        assert isinstance(field["type"], str), name
        assert field["description"].endswith("."), name


def test_schema_has_limits_choices_and_defaults() -> None:
    send = named("send").schema["properties"]
    assert send["priority"] == {
        "type": "string",
        "enum": ["high", "low", "normal"],
        "default": "normal",
        "description": "Order in the recipient's inbox.",
    }
    assert send["reply_to"]["type"] == "integer"
    assert (send["body"]["minLength"], send["body"]["maxLength"]) == (1, 256 * 1024)
    assert named("recv").schema["properties"]["wait_seconds"]["maximum"] == 180
    ask = named("ask").schema["properties"]
    assert ask["options"]["items"] == {
        "type": "string",
        "minLength": 1,
        "maxLength": 512,
    }
    assert "default" not in ask["options"] and ask["to"]["default"] == "operator"


class _Part(Params, frozen=True):
    """A part."""

    kind: Annotated[Role, msgspec.Meta(description="Which.")] | None = None


class _Whole(Params, frozen=True):
    """A struct of structs and unions, which no tool has yet."""

    part: Annotated[_Part, msgspec.Meta(description="A part.")]
    title: Annotated[int | str, msgspec.Meta(description="Either.")] = 3


def test_schema_of_parts_and_unions_is_flat_too() -> None:
    found = schema_of(_Whole)
    part = found["properties"]["part"]
    assert part["description"] == "A part."
    assert part["properties"]["kind"] == {
        "type": "string",
        "enum": sorted(Role),
        "description": "Which.",
    }
    assert found["properties"]["title"] == {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "description": "Either.",
        "default": 3,
    }


async def test_results_are_json(connection: Connection, hive: FakeHive) -> None:
    sent = await named("send").call(connection, {"to": "alice", "body": "hi"})
    assert (json.loads(sent.text), sent.is_error) == ({"id": 1001, "hop": 1}, False)
    me = await named("whoami").call(connection, {})
    assert json.loads(me.text)["name"] == "bob"
    asked = await named("ask").call(connection, {"question": "?", "options": ["a"]})
    assert json.loads(asked.text)["question"] == 7
    answered = await named("answer").call(connection, {"question": 7, "text": "x"})
    assert json.loads(answered.text) == {"done": True}
    assert json.loads((await named("list_agents").call(connection, {})).text) == {
        "agents": []
    }
    for name, arguments in (
        ("cancel_question", {"question": 7}),
        ("cancel_reminder", {"reminder": 5}),
        ("withdraw_proposal", {"id": 3, "reason": "a mistake"}),
    ):
        answer = await named(name).call(connection, arguments)
        assert json.loads(answer.text) == {"done": True}
    set_ = await named("remind").call(connection, {"text": "x", "in_seconds": 5})
    assert json.loads(set_.text) == {"reminder": 5, "due_at": 1.0}
    open_ = await named("open_threads").call(connection, {})
    assert json.loads(open_.text)["to_answer"] == []
    for name in ("start", "stop", "restart"):
        answer = await named(name).call(connection, {"agent": "bob"})
        assert json.loads(answer.text) == {"operation": 9}
    await hive.mail("body")
    got = await named("recv").call(connection, {"wait_seconds": 1, "max": 2})
    assert json.loads(got.text)["messages"][0]["body"] == "body"
    spawned = await named("request_spawn").call(connection, {"name": "carl"})
    assert json.loads(spawned.text)["widens"] == ["model"]


async def test_refusal_is_its_sentence(connection: Connection, hive: FakeHive) -> None:
    hive.refuse_send = HiveError(
        ErrorCode.RECIPIENT_NOT_ALLOWED, "You may write to manager."
    )
    answer = await named("send").call(connection, {"to": "alice", "body": "hi"})
    assert answer.is_error
    assert answer.text == "You may write to manager. (error: recipient_not_allowed)"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("send", {"to": "alice"}),
        ("send", {"to": "alice", "body": ""}),
        ("send", {"to": 1, "body": "x"}),
        ("send", {"to": "alice", "body": "x", "from": "operator"}),
        ("send", {"to": "alice", "body": "\ud800"}),
        ("recv", {"wait_seconds": 181}),
        ("recv", {"max": 0}),
        ("recv", {"had": [1]}),
        ("ask", {"question": "x", "options": ["a"] * 17}),
        ("ask", {"question": ""}),
        ("ask", {"question": "x", "ttl_seconds": 0}),
        ("answer", {"text": "x"}),
        ("answer", {"question": 0}),
        ("cancel_question", {"question": "1"}),
        ("cancel_question", {}),
        ("remind", {"in_seconds": 5}),
        ("remind", {"text": "", "in_seconds": 5}),
        ("remind", {"text": "x", "in_seconds": 0}),
        ("remind", {"text": "x", "in_seconds": 60, "repeat_seconds": 59}),
        ("remind", {"text": "x", "in_seconds": 400 * 86400}),
        ("cancel_reminder", {"reminder": 0}),
        ("open_threads", {"agent": "alice"}),
        ("whoami", {"agent": "alice"}),
        ("list_agents", {"x": 1}),
        ("request_spawn", {}),
        ("request_spawn", {"name": 5}),
        ("start", {}),
        ("stop", {"agent": ["a"]}),
        ("restart", {"agent": None}),
        ("withdraw_proposal", {"id": 0}),
        ("withdraw_proposal", {"reason": "x"}),
        ("request_apply_commit", {"agent": "bob"}),
    ],
)
async def test_wrong_arguments_are_said(
    connection: Connection, name: str, arguments: dict[str, Any]
) -> None:
    answer = await named(name).call(connection, arguments)
    assert answer.is_error
    assert "Invalid arguments: " in answer.text
