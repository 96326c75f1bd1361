"""No agent denies the relay to another: the program under floods on one socket.

The relay is a process of its own; alice attacks her ``model.sock``, and the manager's
request on another is answered meanwhile. Memory and descriptors are read from /proc.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from checks.kits.patience import PATIENCE_S
from checks.kits.relay.bench import (
    PATH,
    agent,
    config,
    connected,
    message,
    policy,
    until_served,
)
from checks.kits.relay.hived import FakeHived
from pyglue.config import dump
from pyglue.limits import MIB, RelayLimits
from pyglue.relay.bodies import Bodies
from pyglue.relay.listener import Share

LIMITS = RelayLimits()
HEAD = b"POST /v1/messages?beta=true HTTP/1.1\r\nhost: m\r\n"
ANSWER = {
    "type": "message",
    "content": [],
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
_IDLE = """
import socket, sys
held = []
for _ in range(int(sys.argv[2])):
    one = socket.socket(socket.AF_UNIX)
    one.setblocking(False)
    try:
        one.connect(sys.argv[1])
        one.send(sys.argv[3].encode())
    except OSError:
        pass
    held.append(one)
print("held", flush=True)
sys.stdin.read()
"""


class Upstream:
    """Answers at once and keeps nothing; ``endless`` streams as long as it is read."""

    def __init__(self) -> None:
        self.url = ""
        self.sent = 0
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/v1/messages", self._message)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _message(self, request: web.Request) -> web.StreamResponse:
        tail = b""
        async for data in request.content.iter_any():
            tail = (tail + data)[-64:]
        if b'"stream":true' not in tail:
            return web.json_response(ANSWER)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        line = b"data: " + b"x" * 65_000 + b"\n\n"
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(line)
                self.sent += len(line)
        return response


@dataclass
class Attacked:
    """The relay's process and what is around it."""

    hived: FakeHived
    upstream: Upstream
    program: asyncio.subprocess.Process
    manager: aiohttp.ClientSession
    at_rest: int = 0
    """How many descriptors it had open before anybody attacked."""

    @property
    def door(self) -> Path:
        """Alice's socket."""
        return self.hived.door("alice")

    @property
    def descriptors(self) -> int:
        """How many the relay has open."""
        return len(list(Path(f"/proc/{self.program.pid}/fd").iterdir()))

    def memory(self, name: str = "VmRSS") -> int:
        """Return bytes of the relay's memory."""
        status = Path(f"/proc/{self.program.pid}/status").read_text()
        return int(status.partition(f"{name}:")[2].split()[0]) * 1024

    async def manager_is_answered(self) -> None:
        """The manager asks something and has its answer."""
        async with asyncio.timeout(PATIENCE_S):
            body = message(stream=False)
            async with self.manager.post(PATH, json=body) as answer:
                assert answer.status == 200, await answer.text()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when ``condition`` of the other process holds."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await asyncio.sleep(0.02)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_relay(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Attacked]:
    """The relay of all attacks."""
    room = tmp_path_factory.mktemp("attacked")
    upstream = Upstream()
    await upstream.start()
    made = config(room, upstream.url)
    (room / "config.json").write_bytes(dump(made))
    hived = FakeHived(made)
    await hived.start()
    for name in ("alice", "manager"):
        hived.add(policy(agent=name))
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pyglue.relay.main"),
        *("--config", str(room / "config.json")),
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with agent(hived.door("manager")) as manager:
            await until_served(manager)
            relay = Attacked(hived, upstream, program, manager)
            relay.at_rest = relay.descriptors
            yield relay
    finally:
        program.kill()
        await program.wait()
        hived.stop()
        await upstream.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def attacked(one_relay: Attacked) -> Attacked:
    """The relay, without what the attack before has counted."""
    one_relay.upstream.sent = 0
    Path(f"/proc/{one_relay.program.pid}/clear_refs").write_text("5")  # VmHWM
    return one_relay


on_one_loop = pytest.mark.asyncio(loop_scope="module")


@contextlib.asynccontextmanager
async def flood(door: Path, text: str) -> AsyncIterator[None]:
    """Hold 22,000 connections that have sent ``text``, from four processes."""
    held = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _IDLE, door.name, "5500", text),
            cwd=door.parent,  # the path may be too long for a socket
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(4)
    ]
    try:
        for process in held:
            assert process.stdout is not None
            async with asyncio.timeout(PATIENCE_S):
                assert await process.stdout.readline() == b"held\n"
        yield
    finally:
        for process in held:
            process.kill()
            await process.communicate()


@on_one_loop
@pytest.mark.parametrize(
    "text",
    [
        "",
        "POST /v1/messages HTTP/1.1\r\nhost: m\r\nx-",
        "POST /v1/messages HTTP/1.1\r\nhost: m\r\ncontent-length: 100\r\n\r\n{",
    ],
    ids=["idle", "half a head", "half a body"],
)
async def test_connections_that_ask_nothing(attacked: Attacked, text: str) -> None:
    memory = attacked.memory()
    async with flood(attacked.door, text):
        for _ in range(5):
            await attacked.manager_is_answered()
        assert attacked.descriptors <= attacked.at_rest + LIMITS.connections + 10
        assert attacked.memory() < memory + 64 * MIB


def large(text: bytes) -> bytes:
    """Return a request of 31 MiB with ``text`` in it."""
    body = json.dumps(message("HERE", stream=False)).encode()
    filled = text + b"x" * (31 * MIB - len(text))
    return body.replace(b"HERE", filled)


def wide(count: int) -> bytes:
    """Return a request whose tool was called with many empty objects."""
    call = {"type": "tool_use", "id": "1", "name": "t", "input": {"a": "HERE"}}
    body = message(messages=[{"role": "assistant", "content": [call]}], stream=False)
    return json.dumps(body).encode().replace(b'"HERE"', b"[" + b"{}," * count + b"{}]")


def blocks(count: int) -> bytes:
    """Return a request of many tiny blocks."""
    tiny = b'{"type":"text","text":""},'
    body = json.dumps(message("HERE", stream=False)).encode()
    start, end = body.split(b'[{"type": "text", "text": "HERE"}]')
    return start + b"[" + (tiny * count)[:-1] + b"]" + end


BODIES: dict[str, Callable[[], bytes]] = {
    "astral": lambda: large("\U0001f600".encode()),
    "escaped": lambda: large(b"\\ud83d\\ude00" * 1000),
    "wide": lambda: wide(490_000),
    "blocks": lambda: blocks(99_000),
    "too many blocks": lambda: blocks(490_000),
    "too wide": lambda: wide(5_000_000),
    "deep": lambda: wide(0).replace(b"[{}]", b"[" * (15 * MIB) + b"]" * (15 * MIB)),
}
REFUSED = ("deep", "too wide", "too many blocks")


@on_one_loop
@pytest.mark.parametrize("kind", BODIES)
async def test_large_and_wide_and_deep_bodies(attacked: Attacked, kind: str) -> None:
    body = BODIES[kind]()
    await attacked.manager_is_answered()
    memory = attacked.memory()
    raw = HEAD + f"content-length: {len(body)}\r\n\r\n".encode()
    # Eight at once on connections that are kept; Nagle or not, all of it is sent.
    held = [await connected(attacked.door) for _ in range(8)]

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(raw)
        writer.write(body)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        return await reader.readuntil(b"\r\n\r\n")

    asking = [asyncio.create_task(ask(*pair)) for pair in held]
    async with asyncio.timeout(PATIENCE_S):
        while not all(task.done() for task in asking):
            await attacked.manager_is_answered()
        wanted = b"HTTP/1.1 400" if kind in REFUSED else b"HTTP/1.1 200"
        for task in asking:
            assert task.result().startswith(wanted)
    print(
        kind,
        (attacked.memory("VmHWM") - memory) // MIB,
        (attacked.memory() - memory) // MIB,
    )
    assert attacked.memory("VmHWM") < memory + 3 * LIMITS.bodies_of_agent
    # What stays is not the bodies, even though the connections are still there.
    await attacked.until(lambda: attacked.memory() < memory + 64 * MIB)
    for _, writer in held:
        writer.close()


@on_one_loop
async def test_an_answer_that_nobody_reads(attacked: Attacked) -> None:
    await attacked.manager_is_answered()
    memory = attacked.memory()
    body = json.dumps(message(stream=True), separators=(",", ":")).encode()
    body = body.replace(b'"stream":true,', b"")[:-1] + b',"stream":true}'
    raw = HEAD + f"content-length: {len(body)}\r\n\r\n".encode() + body
    held = [await connected(attacked.door) for _ in range(16)]
    for reader, writer in held:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(raw)
        del reader
    await attacked.until(lambda: attacked.upstream.sent > 16 * 65_000)
    for _ in range(5):
        await attacked.manager_is_answered()
    assert attacked.memory() < memory + 64 * MIB
    for _, writer in held:
        writer.close()


# --- the parts ----------------------------------------------------------------------


def test_descriptors_are_shared_by_all_agents(monkeypatch: pytest.MonkeyPatch) -> None:
    share = Share(LIMITS)
    assert share.connections == LIMITS.connections
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, 1024))
    for agents in (1, 10, 100):
        share.agents = agents
        taken = 3 * agents * share.connections
        assert taken <= 1024 - LIMITS.descriptors_reserved
    share.agents = 100_000
    assert share.connections == 2


async def test_an_agent_waits_for_its_own_bodies_and_not_for_others() -> None:
    bodies = Bodies(RelayLimits(bodies_of_agent=10, bodies=25))
    first = await bodies.hold("alice", 10)
    waiting = asyncio.create_task(bodies.hold("alice", 1))
    await bodies.hold("bob", 10)
    await asyncio.sleep(0)
    assert not waiting.done()
    large = asyncio.create_task(bodies.hold("carol", 8))  # 28 in all
    small = asyncio.create_task(bodies.hold("dora", 1))  # came later
    await asyncio.sleep(0)
    assert not large.done() and not small.done()
    first.release()
    first.release()  # a second time changes nothing
    await asyncio.gather(waiting, large, small)


async def test_who_gives_up_waiting_holds_nothing() -> None:
    bodies = Bodies(RelayLimits(bodies_of_agent=10, bodies=10))
    first = await bodies.hold("alice", 10)
    gone = asyncio.create_task(bodies.hold("bob", 10))
    await asyncio.sleep(0)
    gone.cancel()
    first.release()  # in the same moment
    await asyncio.gather(gone, return_exceptions=True)
    async with asyncio.timeout(PATIENCE_S):
        await bodies.hold("carol", 10)
