"""hived's way of a live event: ``python -m checks.bench.events_server ROOM``.

The real store, history, event bus and agent API, put together as ``bootstrap`` does.
Five secrets are looked for in each line, which has none. The agent reports on
``ROOM/agent`` without a limit; a dashboard subscribes on ``ROOM/operator``. Ends when
its standard input does.
"""

import asyncio
import hashlib
import sys
from dataclasses import replace
from pathlib import Path

from checks.bench.mail_server import session
from checks.kits.host.store import Kit, open_kit
from pyglue.api import operator as api
from pyglue.api.common import PROTOCOL, HelloParams, HelloResult, Role
from pyglue.api.events import SubscribeParams, SubscribeResult
from pyglue.host.core.token_bucket import TokenBucket
from pyglue.jsonrpc import Connection, Handlers, serve
from pyglue.limits import AGENT_RPC, CLIENT_RPC, OPERATOR_RPC
from pyglue.redaction.redactor import Redactor

AGENT = "agent"
_UNLIMITED = 10**15


def _subscribers(kit: Kit, connection: Connection) -> tuple[HelloResult, Handlers]:
    async def subscribe(params: SubscribeParams) -> SubscribeResult:
        return SubscribeResult(seq=kit.bus.subscribe(connection, params.since))

    handlers = Handlers()
    handlers.on(api.SUBSCRIBE, subscribe)
    return HelloResult(protocol=PROTOCOL, role=Role.OPERATOR, server="bench"), handlers


async def _serve(room: Path) -> None:
    kit = await open_kit(room)
    unlimited = TokenBucket(_UNLIMITED, _UNLIMITED)
    kit.history._buckets[AGENT] = unlimited

    def operator(
        connection: Connection, _hello: HelloParams
    ) -> tuple[HelloResult, Handlers]:
        return _subscribers(kit, connection)

    agent = session(kit, await kit.agent(AGENT), harness=True)
    limits = replace(AGENT_RPC, bucket=CLIENT_RPC.bucket)
    redactor = Redactor()
    for number in range(5):
        value = hashlib.sha256(bytes([number])).hexdigest()[:40]
        redactor.learn(f"TOKEN_{number}", f"ghp_{value}")
    servers = [
        await serve(room / AGENT, agent, limits=limits, clean=redactor.line),
        await serve(room / "operator", operator, limits=OPERATOR_RPC),
    ]
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for server in servers:
        server.close()
    await kit.store.close()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
