"""Stable ports: each rule with real sockets, and their redirects."""

import asyncio
import http.client
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from checks.kits.host.store import Kit, open_kit
from checks.kits.patience import PATIENCE_S
from pyglue.api.common import PROTOCOL, HelloParams, HelloResult, Role
from pyglue.api.metrics import AgentPortsParams
from pyglue.api.operator import AGENT_PORTS
from pyglue.config import HiveConfig, WebConfig
from pyglue.host.agents import ports as rules
from pyglue.host.agents.ports import Ports, hashed, settle
from pyglue.jsonrpc import Connection, Handlers, serve
from pyglue.paths import Layout
from pyglue.web.guard.ports import AgentPorts, location

URL = "https://hive.example:7443"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / "private").mkdir()
    return Layout(tmp_path, tmp_path)


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder


def port_of(holder: socket.socket) -> int:
    number: int = holder.getsockname()[1]
    return number


def starts_at(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """Let names come to ``port`` by themselves; ports after it are the range."""
    monkeypatch.setattr(rules, "FIRST", port)
    monkeypatch.setattr(rules, "LAST", port + 50)
    monkeypatch.setattr(rules, "hashed", lambda _name: port)


def test_a_name_comes_to_the_same_port_always() -> None:
    assert hashed("alice") == hashed("alice") == 8807
    assert all(rules.FIRST <= hashed(f"a{n}") <= rules.LAST for n in range(2000))


def test_a_port_that_is_kept_is_used_whoever_has_it(
    layout: Layout, taken: socket.socket
) -> None:
    layout.private("alice").mkdir()
    layout.port("alice").write_text(f"{port_of(taken)}\n")
    assert settle(layout, "alice") == port_of(taken)


def test_an_agent_with_a_repository_keeps_the_port_of_its_name(
    layout: Layout, taken: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts_at(monkeypatch, port_of(taken))
    layout.applied("alice").mkdir(parents=True)
    assert settle(layout, "alice") == port_of(taken), "without looking"
    assert layout.port("alice").read_text() == f"{port_of(taken)}\n"


def test_a_new_name_looks_for_a_free_port_and_keeps_it(
    layout: Layout, taken: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts_at(monkeypatch, port_of(taken))
    port = settle(layout, "alice")
    assert port_of(taken) < port <= port_of(taken) + 50
    other = settle(layout, "bob")
    assert other not in (port, port_of(taken)), "alice has it, if not now"
    taken.close()
    assert settle(layout, "alice") == port, "it never moves"


@pytest.mark.parametrize("text", ["", "x", "80", "70000", "-1", "8" * 5000, "٨١٠٠"])
def test_a_file_that_holds_no_port_is_made_anew(layout: Layout, text: str) -> None:
    layout.private("alice").mkdir()
    layout.applied("alice").mkdir(parents=True)
    layout.port("alice").write_text(text)
    assert settle(layout, "alice") == hashed("alice")
    assert layout.port("alice").read_text() == f"{hashed('alice')}\n"


# --- hived tells, hive-web listens ------------------------------------------------


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    opened = await open_kit(tmp_path)
    (tmp_path / "private").mkdir(exist_ok=True)
    yield opened
    await opened.store.close()


@pytest.fixture
async def ports(kit: Kit, tmp_path: Path) -> AsyncIterator[Ports]:
    """A hived's ports, answering on the operator's socket, and a hive-web's."""
    layout = Layout(tmp_path, tmp_path)
    made = Ports(registry=kit.registry, layout=layout)

    def session(
        _connection: Connection, _hello: HelloParams
    ) -> tuple[HelloResult, Handlers]:
        handlers = Handlers()
        handlers.on(AGENT_PORTS, made.answer)
        result = HelloResult(protocol=PROTOCOL, role=Role.OPERATOR, server="test")
        return result, handlers

    server = await serve(layout.operator_socket, session)
    config = HiveConfig(
        state_dir=str(tmp_path),
        runtime_dir=str(tmp_path),
        web=WebConfig(external_url=URL),
    )
    web = asyncio.create_task(AgentPorts(config, again_s=0.05).run())
    yield made
    web.cancel()
    await asyncio.wait({web})
    server.close()


def ask(port: int, target: str) -> tuple[int, str | None]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request("POST", target)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Location")
    finally:
        connection.close()


async def until_it_leads(port: int, target: str = "/") -> str | None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                status, where = await asyncio.to_thread(ask, port, target)
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)
                continue
            assert status == 307
            return where


def raw(port: int, head: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as there:
        there.sendall(head)
        return there.recv(4096)


def free(tmp_path: Path, name: str) -> int:
    """Give a name a free port, as a file."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = port_of(probe)
    room = tmp_path / "private" / name
    room.mkdir(parents=True)
    (room / "port").write_text(str(port))
    return port


async def test_every_request_is_led_to_the_agents_page(
    kit: Kit, ports: Ports, tmp_path: Path
) -> None:
    port = free(tmp_path, "alice")
    await kit.agent("alice")  # it comes after the dashboard has asked
    assert await until_it_leads(port) == f"{URL}/agents/alice"
    assert ports.port("alice") == port and ports.conflict("alice") is None
    assert await until_it_leads(port, "/api/state?x=1") == (
        f"{URL}/agents/alice/api/state?x=1"
    )
    for head in (
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\n\r\n",
        b"GET / evil HTTP/1.1\r\n\r\n",
        b"GET /" + b"x" * 30_000 + b" HTTP/1.1\r\n\r\n",
    ):
        answer = await asyncio.to_thread(raw, port, head)
        assert answer.startswith(b"HTTP/1.1 400 ") and b"Location" not in answer


async def test_a_taken_port_is_told_and_taken_up_when_it_is_free(
    kit: Kit, ports: Ports, tmp_path: Path
) -> None:
    port = free(tmp_path, "alice")
    holder = socket.create_server(("127.0.0.1", port))
    with holder:
        await kit.agent("alice")
        async with asyncio.timeout(PATIENCE_S):
            while ports.conflict("alice") is None:
                await asyncio.sleep(0.01)
        assert f"is listening on port {port}" in str(ports.conflict("alice"))
        assert ports.port("alice") == port, "it is not moved"
    assert await until_it_leads(port) == f"{URL}/agents/alice"
    async with asyncio.timeout(PATIENCE_S):
        while ports.conflict("alice") is not None:
            await asyncio.sleep(0.01)


async def test_two_agents_with_one_port_are_a_conflict(
    kit: Kit, ports: Ports, tmp_path: Path
) -> None:
    port = free(tmp_path, "alice")
    (tmp_path / "private" / "bob").mkdir()
    (tmp_path / "private" / "bob" / "port").write_text(str(port))
    await kit.agent("alice")
    await kit.agent("bob")
    async with asyncio.timeout(PATIENCE_S):
        while ports.conflict("bob") is None:
            await asyncio.sleep(0.01)
    assert ports.conflict("bob") == f"Port {port} belongs to alice."
    assert await until_it_leads(port) == f"{URL}/agents/alice"


async def test_an_answer_waits_for_a_change(kit: Kit, ports: Ports) -> None:
    first = await ports.answer(AgentPortsParams())
    waiting = asyncio.create_task(
        ports.answer(AgentPortsParams(known=first.version, wait_seconds=180))
    )
    await kit.agent("carol")
    second = await asyncio.wait_for(waiting, PATIENCE_S)
    assert second.version != first.version
    assert [one.agent for one in second.ports] == ["carol"]


def test_where_a_target_leads() -> None:
    web = WebConfig(external_url="http://h/")
    assert location(web, "a", "/") == "http://h/agents/a"
    assert location(web, "a", "/?x=1") == "http://h/agents/a?x=1"
    assert location(web, "a", "//evil/x") == "http://h/agents/a//evil/x"


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:7001", "http://a.localhost/"])
def test_the_name_of_a_dashboard_on_loopback_is_told_to_nobody(url: str | None) -> None:
    web = WebConfig(port=7001, external_url=url)
    assert location(web, "a", "/x") == "http://127.0.0.1:7001/agents/a/x"
