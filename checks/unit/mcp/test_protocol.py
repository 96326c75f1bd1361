"""hive-mcp line by line: invalid input, and messages that must not be lost."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from checks.kits.harness.bench import FakeHive
from checks.kits.mcp.raw import RawClient, raw_client
from checks.kits.patience import PATIENCE_S
from pyglue import __version__
from pyglue.api.common import Role
from pyglue.limits import AGENT_RPC
from pyglue.mcp.server import VERSIONS

CALL = b'{"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": %s}'


@pytest.fixture
async def hive(tmp_path: Path) -> AsyncIterator[FakeHive]:
    async with FakeHive(tmp_path / "hive.sock", role=Role.MANAGER) as hive:
        yield hive


@pytest.fixture
async def client(hive: FakeHive) -> AsyncIterator[RawClient]:
    async with raw_client(hive.path) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def patient(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RawClient]:
    """A client of one hive-mcp that goes on after whatever it is sent."""
    socket = tmp_path_factory.mktemp("hive") / "hive.sock"
    async with (
        FakeHive(socket, role=Role.MANAGER) as hive,
        raw_client(hive.path) as client,
    ):
        yield client


# --- the protocol -------------------------------------------------------------------


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("wanted", "gets"),
    [*((version, version) for version in VERSIONS), ("2099-01-01", VERSIONS[-1])],
)
async def test_the_version_of_the_protocol_is_agreed(
    patient: RawClient, wanted: str, gets: str
) -> None:
    about = {"name": "x", "version": "1"}
    request = patient.ask(
        "initialize", protocolVersion=wanted, capabilities={}, clientInfo=about
    )
    found = (await patient.answer(request))["result"]
    assert found["protocolVersion"] == gets
    assert found["serverInfo"] == {"name": "hive", "version": __version__}
    assert set(found["capabilities"]) == {"tools"}
    for word in ("bob", "send, ask", "peek", "hive stop bob"):
        assert word in found["instructions"]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("line", "request_id", "code"),
    [
        (b"not json", None, -32700),
        (b'{"jsonrpc": "2.0", "id": 7, "method": "ping"', None, -32700),
        (b'"\xff\xfe"', None, -32700),
        (b"[" * 200_000, None, -32700),
        (b'{"a": NaN}', None, -32700),
        (b"x" * (16 * 1024 * 1024 + 10), None, -32700),
        (b"[]", None, -32600),
        (b'"text"', None, -32600),
        (b"{}", None, -32600),
        (b'{"id": 7, "method": "ping"}', 7, -32600),
        (b'{"jsonrpc": "1.0", "id": 7, "method": "ping"}', 7, -32600),
        (b'{"jsonrpc": "2.0", "id": 7.5, "method": "ping"}', None, -32600),
        (b'{"jsonrpc": "2.0", "id": null, "method": "ping"}', None, -32600),
        (b'{"jsonrpc": "2.0", "id": 7, "method": 3}', 7, -32600),
        (b'{"jsonrpc": "2.0", "id": "a", "method": "prompts/list"}', "a", -32601),
        (b'{"jsonrpc": "2.0", "id": 7, "method": "initialize"}', 7, -32602),
        (b'{"jsonrpc": "2.0", "id": 7, "method": "ping", "params": 3}', 7, 0),
        (CALL % b"{}", 7, -32602),
        (CALL % b'{"name": "nothing"}', 7, -32602),
        (CALL % b'{"name": "whoami", "arguments": []}', 7, -32602),
    ],
    ids=lambda value: value[:50] if isinstance(value, bytes) else None,
)
async def test_what_is_no_request_is_answered_with_its_code(
    patient: RawClient, line: bytes, request_id: Any, code: int
) -> None:
    patient.send(line)
    answered = await patient.answer(request_id)
    assert answered.get("error", {}).get("code", 0) == code
    assert (await patient.answer(patient.ask("ping")))["result"] == {}
    assert patient.rest == []


async def test_notifications_and_answers_are_not_answered(client: RawClient) -> None:
    client.notify("notifications/initialized")
    client.notify("notifications/cancelled", requestId=99)
    client.notify("notifications/cancelled", nothing=1)
    client.notify("no/such")
    client.send(b'{"jsonrpc": "2.0", "id": 5, "result": {}}')
    client.send(b"")
    assert (await client.said_before_a_ping()) == []


async def test_a_cancelled_call_is_not_answered_and_its_mail_waits(
    hive: FakeHive, client: RawClient
) -> None:
    waiting = client.tool("recv", wait_seconds=120)
    client.notify("notifications/cancelled", requestId=waiting)
    assert await client.said_before_a_ping() == []
    await hive.mail("later")
    assert await client.bodies(client.tool("recv")) == [("later", False)]


async def test_an_id_in_use_is_refused(client: RawClient) -> None:
    waiting = client.tool("recv", wait_seconds=120)
    line = {"jsonrpc": "2.0", "id": waiting, "method": "ping"}
    client.send(json.dumps(line).encode())
    assert (await client.answer(waiting))["error"]["code"] == -32600


async def test_progress_goes_to_who_asked_for_it(hive: FakeHive) -> None:
    async with raw_client(hive.path, "--progress-seconds", "0.1") as client:
        waiting = client.ask(
            "tools/call",
            name="recv",
            arguments={"wait_seconds": 120},
            _meta={"progressToken": "mine"},
        )
        first, second = await client.read(), await client.read()
        assert first["method"] == "notifications/progress"
        assert first["params"]["progressToken"] == "mine"
        assert second["params"]["progress"] > first["params"]["progress"]
        await hive.mail("at last")
        assert await client.bodies(waiting) == [("at last", False)]


# --- mail ---------------------------------------------------------------------------


async def test_a_new_recv_ends_the_older_one(hive: FakeHive, client: RawClient) -> None:
    """A client may give a call up without a word."""
    older = [client.tool("recv", wait_seconds=120) for _ in range(3)]
    newest = client.tool("recv", wait_seconds=120)
    for request in older:
        ended = json.loads(await client.result(request))
        assert ended["messages"] == [] and "newer recv" in ended["hint"]
    await hive.mail("for the newest")
    assert await client.bodies(newest) == [("for the newest", False)]


async def test_what_crossed_comes_again_until_it_is_acknowledged(
    hive: FakeHive, client: RawClient
) -> None:
    given_up = client.tool("recv", wait_seconds=120)
    await hive.mail("crossed")
    await client.answer(given_up)  # and the client has forgotten that it asked
    again = json.loads(await client.result(client.tool("recv", wait_seconds=120)))
    (message,) = again["messages"]
    assert (message["body"], message["redelivered"]) == ("crossed", True)
    assert "'had'" in again["hint"]
    await hive.mail("next")
    had = client.tool("recv", had=[message["id"]], wait_seconds=120)
    assert await client.bodies(had) == [("next", False)]
    assert await client.result(client.tool("ack")) == '{"acknowledged":1}'
    assert await client.bodies(client.tool("recv", max=9)) == []


async def test_peek_ends_no_recv(hive: FakeHive, client: RawClient) -> None:
    waiting = client.tool("recv", wait_seconds=120)
    assert await client.bodies(client.tool("recv", peek=True)) == []
    await hive.mail("still wanted")
    assert await client.bodies(waiting) == [("still wanted", False)]


# --- many, and large ----------------------------------------------------------------


async def test_more_calls_than_hived_takes_wait_their_turn(
    hive: FakeHive, client: RawClient
) -> None:
    count = 4 * AGENT_RPC.outstanding
    requests = [client.tool("send", to="alice", body=str(n)) for n in range(count)]
    answers = [json.loads(await client.result(request)) for request in requests]
    assert {answer["hop"] for answer in answers} == {1}
    assert len(hive.sent) == count


async def test_the_largest_body_goes_however_it_is_written(
    hive: FakeHive, client: RawClient
) -> None:
    body = "\x01" * (256 * 1024)
    sent = client.tool("send", to="alice", body=body)
    assert json.loads(await client.result(sent)) == {"id": 1001, "hop": 1}
    assert hive.sent[0].body == body


async def test_too_large_a_body_is_called_that(
    hive: FakeHive, client: RawClient
) -> None:
    body = "x" * (256 * 1024 + 1)
    said = await client.result(client.tool("send", to="alice", body=body))
    assert said.endswith("(error: too_large)")
    assert said.startswith(
        "body is longer than 262144 characters. Shorten it, or put the"
    )
    sent = client.tool("send", to="alice", body="small")
    assert json.loads(await client.result(sent)) == {"id": 1001, "hop": 1}


# --- the process --------------------------------------------------------------------


def test_it_starts_without_the_libraries_of_mcp(tmp_path: Path) -> None:
    """They take a second to import, in which some clients begin without tools."""
    code = "import sys, pyglue.mcp.main; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    heavy = {"mcp", "claude_agent_sdk", "pydantic", "anyio", "httpx", "starlette"}
    assert heavy.isdisjoint(done.stdout.split())


async def test_files_as_input_and_output(hive: FakeHive, tmp_path: Path) -> None:
    asked, said = tmp_path / "in", tmp_path / "out"
    asked.write_text('{"jsonrpc": "2.0", "id": 1, "method": "ping"}')
    with asked.open() as stdin, said.open("w") as stdout:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pyglue.mcp.main", "--socket", str(hive.path)),
            stdin=stdin,
            stdout=stdout,
        )
        async with asyncio.timeout(PATIENCE_S):
            assert await process.wait() == 0
    assert json.loads(said.read_text()) == {"jsonrpc": "2.0", "id": 1, "result": {}}
