"""hived's way of a message: ``python -m checks.bench.mail_server ROOM [AGENTS]``.

The real store, registry, broker and agent API on one socket an agent (``ROOM/NAME``),
put together as ``bootstrap`` does, without what a message never meets: containers,
proposals, the relay. Ends when its standard input does.
"""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import pyglue.host.bootstrap  # noqa: F401 - all that hived loads counts in its memory
from checks.bench.mail_agents import PARKED, SENDER, parked
from checks.kits.host.store import Kit, open_kit
from pyglue.api.common import PROTOCOL, HelloParams, HelloResult
from pyglue.config import MessageLimits
from pyglue.host.api.agent import agent_handlers
from pyglue.host.core.agent import Agent
from pyglue.jsonrpc import Connection, Handlers, serve
from pyglue.jsonrpc.listen import Session
from pyglue.limits import AGENT_RPC, CLIENT_RPC

_UNLIMITED = 10**9


def session(kit: Kit, agent: Agent, *, harness: bool = False) -> Session:
    """Return what answers an agent's connections."""

    def answer(
        connection: Connection, hello: HelloParams
    ) -> tuple[HelloResult, Handlers]:
        result = HelloResult(
            protocol=PROTOCOL, role=agent.role, server="bench", agent=agent.name
        )
        return result, agent_handlers(kit, agent, connection, harness=harness)

    return answer


async def _serve(room: Path, waiting: tuple[str, ...]) -> None:
    limits = MessageLimits(
        per_pair_per_minute=_UNLIMITED, per_agent_per_minute=_UNLIMITED
    )
    kit = await open_kit(room, limits)
    servers = [
        await serve(
            room / name,
            session(kit, await kit.agent(name)),
            limits=replace(AGENT_RPC, bucket=CLIENT_RPC.bucket),
        )
        for name in (SENDER, *waiting)
    ]
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for server in servers:
        server.close()
    await kit.store.close()


if __name__ == "__main__":
    count = int(sys.argv[2]) if len(sys.argv) > 2 else len(PARKED)
    asyncio.run(_serve(Path(sys.argv[1]), parked(count)))
