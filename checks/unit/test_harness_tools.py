"""The tools: their schemas fit the API, calls and refusals read well, hive-mcp too."""

import asyncio
import base64
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from checks.harness_kit import FakeHive
from pyglue import jsonrpc
from pyglue.api import agent as agent_api
from pyglue.api import manager as manager_api
from pyglue.api.common import PROTOCOL, HelloParams, Role
from pyglue.api.messages import RecvParams, SendParams
from pyglue.api.questions import AnswerParams, AskParams, CancelQuestionParams
from pyglue.cli.mcp import tools_of
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import Connection
from pyglue.tools import Tool, agent_tools, manager_tools
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


def named(name: str, agents: Path = AGENTS) -> Tool:
    return next(tool for tool in manager_tools(agents) if tool.name == name)


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
    shape = msgspec.structs.fields(SHAPES[tool.name])
    assert set(tool.schema["properties"]) == {field.name for field in shape}
    needed = [field.name for field in shape if field.required]
    assert tool.schema["required"] == needed
    assert tool.schema["additionalProperties"] is False
    assert len(tool.description) > 40


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
    assert "arguments are not right" in answer.text


# --- submitting --------------------------------------------------------------------


def git(repository: Path, *arguments: str) -> str:
    who = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    for role in ("AUTHOR", "COMMITTER"):
        who |= {f"GIT_{role}_NAME": "t", f"GIT_{role}_EMAIL": "t@t"}
    done = subprocess.run(
        ["git", "-C", str(repository), *arguments],
        env=os.environ | who,
        capture_output=True,
        check=True,
    )
    return done.stdout.decode().strip()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """bob's repository with two commits."""
    repository = tmp_path / "agents" / "bob" / "config"
    repository.mkdir(parents=True)
    git(repository, "init", "-q", "-b", "main")
    for number in (1, 2):
        (repository / f"file{number}").write_bytes(os.urandom(2000))
        git(repository, "add", ".")
        git(repository, "commit", "-q", "-m", f"commit {number}")
    return repository


def objects_in(pack: bytes) -> int:
    assert pack.startswith(b"PACK")
    return int.from_bytes(pack[8:12], "big")


async def propose(
    connection: Connection, config: Path, commit: str, agent: str = "bob"
) -> tuple[str, bool]:
    tool = named("request_apply_commit", config.parent.parent)
    arguments = {"agent": agent, "commit": commit, "description": "why"}
    answer = await tool.call(connection, arguments)
    return answer.text, answer.is_error


async def test_commit_is_sent_as_a_pack_without_main(
    connection: Connection, hive: FakeHive, config: Path
) -> None:
    head = git(config, "rev-parse", "HEAD")
    text, is_error = await propose(connection, config, head)
    assert (json.loads(text)["approval"], is_error) == (3, False)
    assert hive.begun[0].description == "why"
    assert objects_in(b"".join(hive.chunks)) == 6
    hive.chunks.clear()
    hive.main = git(config, "rev-parse", "HEAD~1")
    await propose(connection, config, head)
    assert objects_in(b"".join(hive.chunks)) == 3
    hive.chunks.clear()
    hive.main = "f" * 40  # not known here: everything goes
    await propose(connection, config, head)
    assert objects_in(b"".join(hive.chunks)) == 6


async def test_large_commits_go_in_chunks(
    connection: Connection, hive: FakeHive, config: Path
) -> None:
    (config / "large").write_bytes(os.urandom(1_500_000))
    git(config, "add", ".")
    git(config, "commit", "-q", "-m", "large")
    await propose(connection, config, git(config, "rev-parse", "HEAD"))
    assert len(hive.chunks) == 3
    assert max(map(len, hive.chunks)) == manager_api.CHUNK_LIMIT
    index = subprocess.run(
        ["git", "index-pack", "--stdin", "--strict"],
        cwd=config,
        input=b"".join(hive.chunks),
        capture_output=True,
        check=False,
    )
    assert index.returncode == 0


async def test_too_large_a_commit_is_refused(
    connection: Connection, hive: FakeHive, config: Path
) -> None:
    with (config / "huge").open("wb") as file:
        for _ in range(34):
            file.write(os.urandom(1 << 20))
    git(config, "-c", "core.bigFileThreshold=1", "add", ".")
    git(config, "commit", "-q", "-m", "huge")
    text, is_error = await propose(connection, config, git(config, "rev-parse", "HEAD"))
    assert is_error
    assert "more than 32 MiB" in text
    assert hive.calls == []


@pytest.mark.parametrize(
    ("agent", "commit", "says"),
    [
        ("bob", "main", "full id"),
        ("bob", "HEAD", "full id"),
        ("bob", "a" * 39, "full id"),
        ("bob", "A" * 40, "full id"),
        ("bob", "--output=/state/x", "full id"),
        ("bob", "a" * 40 + "\n", "full id"),
        ("bob", "a" * 40, "holds no commit"),
        ("carl", "a" * 40, "no repository"),
        ("../bob", "a" * 40, "not an agent's name"),
        ("", "a" * 40, "not an agent's name"),
        ("bob/config", "a" * 40, "not an agent's name"),
    ],
)
async def test_what_cannot_be_proposed(
    connection: Connection,
    hive: FakeHive,
    config: Path,
    agent: str,
    commit: str,
    says: str,
) -> None:
    text, is_error = await propose(connection, config, commit, agent)
    assert is_error
    assert says in text
    assert hive.begun == []


async def test_a_tree_is_no_commit(connection: Connection, config: Path) -> None:
    tree = git(config, "rev-parse", "HEAD^{tree}")
    text, is_error = await propose(connection, config, tree)
    assert is_error
    assert "holds no commit" in text


async def test_a_broken_repository_is_said(
    connection: Connection, hive: FakeHive, config: Path
) -> None:
    blob = git(config, "rev-parse", "HEAD:file1")
    (config / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    text, is_error = await propose(connection, config, git(config, "rev-parse", "HEAD"))
    assert is_error
    assert "could not pack" in text
    assert hive.calls == []


async def test_hooks_and_programs_of_the_repository_do_not_run(
    connection: Connection, hive: FakeHive, config: Path, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    git(config, "config", "core.fsmonitor", f"touch {marker}")
    git(config, "config", "core.sshCommand", f"touch {marker}")
    git(config, "config", "uploadpack.packObjectsHook", f"touch {marker}")
    _, is_error = await propose(connection, config, git(config, "rev-parse", "HEAD"))
    assert not is_error
    assert not marker.exists()


# --- hive-mcp -----------------------------------------------------------------------


def mcp_server(hive: FakeHive) -> StdioServerParameters:
    arguments = ["-m", "pyglue.cli.mcp", "--socket", str(hive.path)]
    return StdioServerParameters(command=sys.executable, args=arguments)


async def test_hive_mcp_offers_the_tools_of_its_socket(hive: FakeHive) -> None:
    async with (
        stdio_client(mcp_server(hive)) as (read, write),
        ClientSession(read, write) as client,
    ):
        await client.initialize()
        listed = await client.list_tools()
        assert {tool.name for tool in listed.tools} == {*SHAPES, "ack"}
        sent = await client.call_tool("send", {"to": "alice", "body": "hi"})
        assert json.loads(_text(sent)) == {"id": 1001, "hop": 1}
        hive.refuse_send = HiveError(ErrorCode.NOT_FOUND, "There is no alice.")
        refused = await client.call_tool("send", {"to": "alice", "body": "hi"})
        assert _text(refused) == "There is no alice. (error: not_found)"
        hive.stop()
        await hive.start()
        me = await client.call_tool("whoami", {})
        assert json.loads(_text(me))["name"] == "bob"


async def test_mail_of_hive_mcp_is_lent_until_the_next_recv_or_ack(
    hive: FakeHive,
) -> None:
    async def recv(client: ClientSession) -> list[tuple[str, bool]]:
        got = json.loads(_text(await client.call_tool("recv", {"max": 9})))
        return [(m["body"], m["redelivered"]) for m in got["messages"]]

    await hive.mail("one")
    async with _client(hive) as client:
        assert await recv(client) == [("one", False)]
    await hive.until(lambda: hive.waiting)  # gone without a word: it waits again
    async with _client(hive) as client:
        assert await recv(client) == [("one", True)]
        await hive.mail("two")
        peeked = await client.call_tool("recv", {"peek": True})
        assert "two" in _text(peeked)
        assert await recv(client) == [("two", False)]  # ends "one"
        acked = await client.call_tool("ack", {"messages": [99]})
        assert json.loads(_text(acked)) == {"acknowledged": 0}
        acked = await client.call_tool("ack", {})
        assert json.loads(_text(acked)) == {"acknowledged": 1}
        await hive.mail("three")
        assert await recv(client) == [("three", False)]
    await hive.until(lambda: hive.waiting)
    assert [m.body for m in hive.waiting] == ["three"]


@contextlib.asynccontextmanager
async def _client(hive: FakeHive) -> AsyncIterator[ClientSession]:
    async with (
        stdio_client(mcp_server(hive)) as (read, write),
        ClientSession(read, write) as client,
    ):
        await client.initialize()
        yield client


def _text(result: Any) -> str:
    return str(result.content[0].text)


async def test_a_long_recv_of_hive_mcp_shows_signs_of_life(hive: FakeHive) -> None:
    heard: list[str | None] = []
    alive = asyncio.Event()

    async def progress(_done: float, _total: float | None, text: str | None) -> None:
        heard.append(text)
        alive.set()

    started = mcp_server(hive)
    started.args += ["--progress-seconds", "0.2"]
    async with (
        stdio_client(started) as (read, write),
        ClientSession(read, write) as client,
    ):
        await client.initialize()
        arguments = {"wait_seconds": 120}
        waiting = asyncio.create_task(
            client.call_tool("recv", arguments, progress_callback=progress)
        )
        async with asyncio.timeout(60):
            await alive.wait()
            await hive.mail("at last")
            assert not (await waiting).is_error
    assert "Still waiting" in (heard[0] or "")


def test_hive_mcp_says_when_nobody_listens(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pyglue.cli.mcp", "--socket", str(tmp_path / "none")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("hive-mcp: hived does not answer at ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.RELAY])
def test_hive_mcp_refuses_other_sockets(role: Role) -> None:
    with pytest.raises(HiveError, match="has no tools"):
        tools_of(role, AGENTS)


def test_chunks_fit_a_line() -> None:
    line = len(base64.b64encode(bytes(manager_api.CHUNK_LIMIT))) + 4096
    assert line < jsonrpc.AGENT_LINE_LIMIT
