"""What an agent cannot reach, tried from inside its real sandbox on a whole hive.

alice may run Python, so the scripted model makes it run one program of probes; the
tests judge what it found, and what came to the model. Addresses tried are the
machine's own and 192.0.2.1, which is nobody's. The last test uses up the budget.
"""

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from checks.e2e.kit.isolation import FOREIGN_KEY, PROBES, REFUSED, probes, request
from checks.kits.host.hive import API_KEY, Hive, running_hive, script
from checks.kits.patience import PATIENCE_S
from pyglue.api import operator as api
from pyglue.api.approvals import ApproveParams, RequestChangesParams
from pyglue.api.common import (
    HELLO,
    PROTOCOL,
    AgentState,
    HelloParams,
    NoParams,
)
from pyglue.api.manager import LIST_AGENTS, AgentParams
from pyglue.api.operations import OperationState
from pyglue.api.overview import AgentView
from pyglue.cli.local.launcher import PARTS
from pyglue.config import Timeouts
from pyglue.demo.scripted_model import ScriptedModel
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import connect
from pyglue.process import RunAs, run
from pyglue.sandbox import own_places, reach

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nix", "git", "bwrap"),
]

NIX = """{
  hyperhive.description = "tries to get out";
  hyperhive.allowedRecipients = [ "operator" ];
  hyperhive.allowedTools = [ "Bash" ];
  hyperhive.bash.allow = [ "python3 /state/probe.py" ];
  hyperhive.limits.costPerDayUsd = %s;
}
"""

ALICES_MODEL = "claude-haiku-5-5"


@dataclass(frozen=True)
class Seen:
    """What the probes found inside, the model outside, and who called the listener."""

    found: dict[str, Any]
    bodies: list[dict[str, Any]]
    headers: list[dict[str, str]]
    callers: list[str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model() -> AsyncIterator[ScriptedModel]:
    served = ScriptedModel()
    await served.start()
    yield served
    await served.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hive(
    tmp_path_factory: pytest.TempPathFactory, model: ScriptedModel
) -> AsyncIterator[Hive]:
    room = tmp_path_factory.mktemp("hive")
    timeouts = Timeouts(health_s=120.0, drain_s=5.0)
    async with running_hive(
        room,
        timeouts=timeouts,
        upstream=model.address,
        real=("alice",),
        beside=PARTS,
    ) as running:
        yield running


@contextlib.contextmanager
def listening(place: str) -> Iterator[list[str]]:
    """Listen on a Unix socket with this name in the test's loop; give who called."""
    callers: list[str] = []
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(place)
        sock.listen()
        sock.setblocking(False)
        loop.add_reader(sock, lambda: callers.append(str(sock.accept())))
        try:
            yield callers
        finally:
            loop.remove_reader(sock)


async def deploy(hive: Hive, nix: str) -> None:
    """Bring alice under this agent.nix."""
    operation = await hive.approve(await hive.propose("alice", nix))
    assert (operation.state, operation.error) == (OperationState.DONE, None)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seen(hive: Hive, model: ScriptedModel) -> Seen:
    """Let alice run the probes once; return what came of it."""
    await deploy(hive, NIX % "5")
    abstract = f"hive-test-{os.getpid()}"
    state = hive.local.config.layout.agent_state("alice")
    callers: list[str] = []

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        callers.append("tcp")
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        with listening(f"\0{abstract}") as by_name:
            port = server.sockets[0].getsockname()[1]
            (state / "probes.json").write_text(json.dumps(probes(hive, port, abstract)))
            (state / "probe.py").write_text(PROBES)
            for name in ("probes.json", "probe.py"):
                (state / name).chmod(0o644)
            bash = {"command": "python3 /state/probe.py", "description": "probe"}
            heard = {"to": "operator", "body": "{{result:probes are done|.+}}"}
            await hive.send(
                "alice",
                script(
                    {"tool": "Bash", "input": bash},
                    {"tool": "mcp__hive__send", "input": heard},
                    {"text": "done"},
                ),
            )
            said = await hive.answer("alice", "")
    assert said.body == "probes are done"
    found = json.loads((state / "found.json").read_text())
    return Seen(found, model.bodies, model.headers, callers + by_name)


# --- what it reaches ----------------------------------------------------------------


async def test_the_probes_can_tell_a_socket_that_is_there(seen: Seen) -> None:
    assert seen.found["own hive"] == "connected"


@pytest.mark.parametrize(
    "name", ["internet", "loopback", "loopback 6", "dashboard", "abstract"]
)
async def test_no_network_reaches_out(seen: Seen, name: str) -> None:
    assert seen.found[name] in ("OSError", "ConnectionRefusedError")


async def test_nobody_called_the_listeners_of_the_host(seen: Seen) -> None:
    assert seen.callers == []
    assert seen.found["interfaces"] == ["lo"]


@pytest.mark.parametrize(
    "name", ["operator", "relay", "relay fds", "manager's hive", "manager's model"]
)
async def test_the_sockets_of_others_are_not_there(
    hive: Hive, seen: Seen, name: str
) -> None:
    assert hive.local.config.layout.operator_socket.exists()
    assert seen.found[name] == "FileNotFoundError"


async def test_only_its_own_things_are_there(seen: Seen) -> None:
    sees = ["hive.sock", "manifest.json", "model.sock", "secrets"]
    assert seen.found["sees"] == sees
    assert not {"agents", "applied", "home", "root"} & set(seen.found["root"])
    assert seen.found["state of the hive"] is False
    assert len(seen.found["processes"]) < 20
    assert seen.found["own manifest"] in ("OSError", "PermissionError")


async def test_files_side_by_side_are_no_repository(seen: Seen) -> None:
    """Whose config runs programs: an allowed ``git status`` would, in that place."""
    code, said, ran = seen.found["bare repository"]
    assert (code, ran) == (128, False), said
    assert "bare repository" in said
    assert seen.found["bare repository, named"][
        2
    ]  # the trap is one, where it is asked for


async def test_no_key_is_in_its_environment(seen: Seen) -> None:
    assert seen.found["environment"]["PATH"]
    assert API_KEY not in json.dumps(seen.found)


# --- the model ------------------------------------------------------------------------


async def test_the_hives_key_replaces_a_foreign_one(seen: Seen) -> None:
    status, text = seen.found["foreign key"]
    assert status == 200, text
    for headers in seen.headers:
        lower = {name.lower(): value for name, value in headers.items()}
        assert lower["x-api-key"] == API_KEY
        assert not {"authorization", "cookie"} & lower.keys()
    assert FOREIGN_KEY not in str(seen.headers)


@pytest.mark.parametrize("name", REFUSED)
async def test_what_reaches_outside_is_refused(seen: Seen, name: str) -> None:
    status, text = seen.found[f"refused: {name}"]
    assert status == REFUSED[name][2], text
    error = json.loads(text)
    assert error["type"] == "error"
    assert error["error"]["message"].endswith(".")


@pytest.mark.parametrize("name", ["files", "batches", "connect"])
async def test_other_paths_are_refused(seen: Seen, name: str) -> None:
    status, _text = seen.found[name]
    assert 400 <= status < 500


async def test_another_host_in_the_request_is_not_gone_to(seen: Seen) -> None:
    status, text = seen.found["absolute"]
    assert status == 200, text
    assert json.loads(text)["content"] == [{"type": "text", "text": "OK."}]


async def test_nothing_refused_came_to_the_model(seen: Seen) -> None:
    probed = [b for b in seen.bodies if b["messages"] == request()["messages"]]
    assert len(probed) == len(["foreign key", "absolute"])
    assert {body["model"] for body in probed} == {ALICES_MODEL}
    for body in seen.bodies:
        assert "opus" not in body["model"]
        assert not {"mcp_servers", "container", "callback"} & body.keys()
        assert all("input_schema" in tool for tool in body.get("tools", []))
    betas = {h.get("anthropic-beta", "") for h in seen.headers}
    assert not any("mcp" in beta or "files" in beta for beta in betas)


# --- methods that are not its own -----------------------------------------------------


@pytest.mark.parametrize(
    "name", ["list_agents", "submit_begin", "start", "approve", "login_code"]
)
async def test_an_agent_has_no_method_of_others(seen: Seen, name: str) -> None:
    hello, answer = seen.found[f"rpc: {name}"]
    assert hello["result"]["role"] == "agent"
    assert answer["error"]["data"]["code"] == "unknown_method"


async def test_nothing_is_answered_before_the_hello(seen: Seen) -> None:
    (answer,) = seen.found["rpc: no hello"]
    assert answer["error"]["data"]["code"] == "unknown_method"


Socket = Callable[[Hive], Path]
APPROVE = ApproveParams(id=1, commit="0" * 40, manifest="0" * 64)


@pytest.mark.parametrize(
    "socket_of",
    [
        lambda hive: hive.local.config.layout.run("alice") / "hive.sock",
        lambda hive: hive.local.config.layout.run("manager") / "hive.sock",
        lambda hive: hive.local.config.layout.relay_socket,
    ],
    ids=["agent", "manager", "relay"],
)
async def test_only_the_operators_socket_approves(
    hive: Hive, socket_of: Socket
) -> None:
    hello = HelloParams(protocol=PROTOCOL, client="hive")
    connection = await connect(socket_of(hive), hello=hello)
    calls: list[Awaitable[Any]] = [
        connection.call(api.APPROVE, APPROVE),
        connection.call(api.REQUEST_CHANGES, RequestChangesParams(id=1, text="no")),
        connection.call(api.LOGIN_CODE, NoParams()),
        connection.call(api.DOCTOR, NoParams()),
        connection.call(HELLO, hello),
    ]
    for refused in calls:
        with pytest.raises(HiveError) as caught:
            await refused
        assert caught.value.code is ErrorCode.UNKNOWN_METHOD
    connection.close()


async def test_the_operators_socket_has_no_managers_methods(hive: Hive) -> None:
    with pytest.raises(HiveError) as caught:
        await hive.operator.call(LIST_AGENTS, NoParams())
    assert caught.value.code is ErrorCode.UNKNOWN_METHOD


# --- users of the host ----------------------------------------------------------------

CONNECT = """
import socket, sys
sock = socket.socket(socket.AF_UNIX, getattr(socket, sys.argv[2]))
try:
    sock.connect(sys.argv[1])
except OSError as error:
    print(type(error).__name__)
else:
    print("connected")
"""


@pytest.mark.needs("root")
@pytest.mark.parametrize(
    ("user", "name", "answer"),
    [
        ("agent", "operator", "PermissionError"),
        ("agent", "relay", "PermissionError"),
        ("agent", "relay_fds", "PermissionError"),
        ("relay", "operator", "PermissionError"),
        ("web", "relay", "PermissionError"),
        ("web", "relay_fds", "PermissionError"),
        ("web", "operator", "connected"),
        ("relay", "relay", "connected"),
    ],
)
async def test_each_user_has_its_own_sockets(
    hive: Hive, user: str, name: str, answer: str
) -> None:
    ids = hive.local.config.ids
    assert ids is not None and ids.group is not None
    uid = getattr(ids, user)
    path = getattr(hive.local.config.layout, f"{name}_socket")
    kind = "SOCK_SEQPACKET" if name == "relay_fds" else "SOCK_STREAM"
    run_as = RunAs(uid, uid, (ids.group,))
    done = await run(
        [sys.executable, "-I", "-c", CONNECT, str(path), kind],
        env={"PATH": os.environ["PATH"]},
        timeout=PATIENCE_S,
        run_as=run_as,
        wrapper=reach(dict.fromkeys(own_places()), run_as),
    )
    assert (done.code, done.stdout.decode().strip()) == (0, answer), done.stderr


# --- money ----------------------------------------------------------------------------


async def test_over_budget_reaches_no_model_and_parks_the_agent(
    hive: Hive, seen: Seen, model: ScriptedModel
) -> None:
    assert seen.found
    await deploy(hive, NIX % "0.001")
    unpaid = "this is not paid for"
    await hive.send("alice", script({"text": unpaid}))

    async def look() -> AgentView | None:
        found = await hive.agent("alice")
        return found if found.state is AgentState.OVER_BUDGET else None

    parked = await hive.until(look, "alice over budget")
    assert "until 00:00 UTC" in (parked.detail or "")
    assert unpaid not in json.dumps(model.bodies)
    waiting = await hive.operator.call(api.AGENT, AgentParams(agent="alice"))
    assert waiting.agent.inbox == 1
