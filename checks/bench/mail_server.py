"""hived's way of a message, as a process: ``python -m checks.bench.mail_server ROOM``.

The real store, registry, broker and agent API on one socket an agent (``ROOM/NAME``),
put together as ``bootstrap`` does, without what a message never meets: containers,
proposals, the relay. Ends when its standard input does.
"""

import asyncio
import sys
from pathlib import Path

from checks.bench.mail_agents import NAMES
from checks.host_kit import Kit, open_kit
from pyglue.api.common import PROTOCOL, HelloParams, HelloResult
from pyglue.config import MessageLimits
from pyglue.host.agent_api import AgentApi
from pyglue.host.registry import Agent
from pyglue.jsonrpc import AGENT_LINE_LIMIT, Connection, Handlers, serve
from pyglue.jsonrpc.sockets import Session

_UNLIMITED = 10**9


def _session(kit: Kit, agent: Agent) -> Session:
    def session(
        connection: Connection, hello: HelloParams
    ) -> tuple[HelloResult, Handlers]:
        api = AgentApi(
            agent,
            connection,
            store=kit.store,
            registry=kit.registry,
            broker=kit.broker,
            questions=kit.questions,
            terminals=kit.terminals,
            budgets=kit.budgets,
            controls=kit.controls,
            history=kit.history,
            harness=False,
        )
        result = HelloResult(
            protocol=PROTOCOL, role=agent.role, server="bench", agent=agent.name
        )
        return result, api.handlers()

    return session


async def _serve(room: Path) -> None:
    limits = MessageLimits(
        per_pair_per_minute=_UNLIMITED, per_agent_per_minute=_UNLIMITED
    )
    kit = await open_kit(room, limits)
    servers = [
        await serve(
            room / name,
            _session(kit, await kit.agent(name)),
            line_limit=AGENT_LINE_LIMIT,
        )
        for name in NAMES
    ]
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for server in servers:
        server.close()
    await kit.store.close()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
