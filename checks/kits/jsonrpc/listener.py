"""A server with limits, a service behind it, and raw clients of it."""

import asyncio
import json
from contextlib import suppress
from dataclasses import replace

from checks.kits.patience import PATIENCE_S
from pyglue.api import agent
from pyglue.api.common import PROTOCOL, HelloParams, HelloResult, NoParams, Role
from pyglue.api.messages import RecvParams, RecvResult, SendParams, SendResult
from pyglue.jsonrpc import Connection, Handlers, Peer, Server
from pyglue.limits import AGENT_RPC, MIB, Bucket

HELLO = HelloParams(protocol=PROTOCOL, client="test")
FREE = Bucket(burst=1e9, rate=1e9)
LIMITS = replace(AGENT_RPC, bucket=FREE, hello_s=PATIENCE_S)
BIG = "x" * MIB


class Service:
    """Counts what is handled, answers large, or waits until it may answer."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.handled: list[str] = []

    def session(
        self, connection: Connection, hello: HelloParams
    ) -> tuple[HelloResult, Handlers]:
        who = hello.client

        async def send(_params: SendParams) -> SendResult:
            self.handled.append(who)
            return SendResult(id=1, hop=0)

        async def recv(_params: RecvParams) -> RecvResult:
            await self.go.wait()
            return RecvResult(messages=())

        async def large(_params: NoParams) -> agent.WhoamiResult:
            self.handled.append(who)
            return agent.WhoamiResult(
                name="a",
                role=Role.AGENT,
                model="",
                manifest_sha256="",
                allowed_recipients=None,
                waiting=0,
                deployed_commit=None,
                description=BIG,
            )

        handlers = Handlers()
        handlers.on(agent.SEND, send)
        handlers.on(agent.RECV, recv)
        handlers.on(agent.WHOAMI, large)
        return HelloResult(protocol=PROTOCOL, role=Role.AGENT, server="t"), handlers


class Line:
    """A raw client: it writes what it likes and reads when it likes."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, *calls: tuple[str, object]) -> None:
        for number, (method, params) in enumerate(calls, start=1):
            call = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            self.writer.write(json.dumps(call).encode() + b"\n")
        await asyncio.sleep(0)

    async def hear(self) -> dict[str, object]:
        async with asyncio.timeout(PATIENCE_S):
            answer: dict[str, object] = json.loads(await self.reader.readline())
            return answer

    async def gone(self) -> bool:
        """Whether the other end closed, whatever it said before."""
        async with asyncio.timeout(PATIENCE_S):
            with suppress(ConnectionError):
                while await self.reader.read(65536):
                    pass
        return True

    async def hello(self, client: str = "noisy") -> None:
        await self.say(("hello", {"protocol": PROTOCOL, "client": client}))
        assert "result" in await self.hear()


async def line(server: Server) -> Line:
    return Line(*await asyncio.open_unix_connection(server.path, limit=64 * MIB))


async def until(server: Server, count: int) -> None:
    """Return when so many connections are open."""
    async with asyncio.timeout(PATIENCE_S):
        while len(server.connections) != count:
            await asyncio.sleep(0.001)


def peer(server: Server) -> Peer:
    (found,) = server._peers.values()
    return found
