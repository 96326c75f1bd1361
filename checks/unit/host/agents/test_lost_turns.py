"""A turn whose harness disconnects, over a real session: it ends, and is reported."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from checks.kits.api.events import data
from checks.kits.host.messages import send
from checks.kits.host.store import Kit, open_kit
from checks.kits.patience import PATIENCE_S
from pyglue.api.agent import RECV, TURN_START
from pyglue.api.common import PROTOCOL, AgentState, HarnessReport, HelloParams
from pyglue.api.messages import RecvParams
from pyglue.api.turns import TurnStartParams
from pyglue.config import HiveConfig
from pyglue.host.agents.lifecycle import Lifecycle
from pyglue.host.agents.sockets import AgentSockets
from pyglue.host.agents.specs import Specs
from pyglue.host.core.agent import Agent
from pyglue.host.wiring.sockets import agent_session
from pyglue.jsonrpc import Connection, Handlers, connect
from pyglue.redaction.redactor import Redactor
from pyglue.store import messages


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    opened = await open_kit(tmp_path)
    for name in ("alice", "bob"):
        await opened.agent(name)
    yield opened
    await opened.store.close()


async def stopped(_name: str, *, grace_s: float) -> None:
    """Stop a container: there is none."""


@pytest.fixture
async def lifecycle(kit: Kit, tmp_path: Path) -> AsyncIterator[Lifecycle]:
    """hived's side of an agent's socket, with a container that always runs."""
    part: Any = SimpleNamespace
    config = HiveConfig(state_dir=str(tmp_path), runtime_dir=str(tmp_path))
    found = Lifecycle(
        transitions=kit.transitions,
        relay=part(remove=lambda _name: None),
        egress=part(remove=lambda _name: None),
        sockets=AgentSockets(
            directories=part(make_run=lambda _name: tmp_path),
            config=config,
            redactor=Redactor(),
        ),
        backend=part(running=lambda _name: True, stop=stopped),
        config=config,
        specs=Specs(config=config, workspaces=part()),
    )
    services: Any = kit  # without those for other roles
    found.sockets.connect(lambda agent: agent_session(services, found, agent))
    yield found
    found.sockets.close()


async def harness(lifecycle: Lifecycle, agent: Agent, socket: Path) -> Connection:
    """Connect as the agent's harness, take its message and begin a turn with it."""
    await lifecycle.sockets.open(agent)
    assert agent.applied is not None
    report = HarnessReport(manifest_sha256=agent.applied.sha256)
    hello = HelloParams(protocol=PROTOCOL, client="test", harness=report)
    connection = await connect(socket, Handlers(), hello=hello)
    taken = await connection.call(RECV, RecvParams(wait_seconds=0, max=10))
    seen = tuple(message.id for message in taken.messages)
    await connection.call(TURN_START, TurnStartParams(messages=seen))
    return connection


async def ended(kit: Kit) -> dict[str, Any]:
    """Return what was told of the turn's end."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            for event in kit.events:
                if event.kind == "turn.ended":
                    return data(event)
            await asyncio.sleep(0)


async def disconnect(_lifecycle: Lifecycle, _agent: Agent, client: Connection) -> None:
    client.close()


async def drop(lifecycle: Lifecycle, agent: Agent, _client: Connection) -> None:
    lifecycle.drop_harness(agent)


async def stop(lifecycle: Lifecycle, agent: Agent, _client: Connection) -> None:
    await lifecycle.stop(agent)


@pytest.mark.parametrize("loses", [disconnect, drop, stop])
async def test_its_turn_ends_and_its_message_is_queued_again(
    kit: Kit, lifecycle: Lifecycle, tmp_path: Path, loses: Callable[..., Any]
) -> None:
    bob = kit.registry.get("bob")
    await send(kit, "alice", "bob", "do this")
    client = await harness(lifecycle, bob, tmp_path / "hive.sock")
    assert bob.turn is not None
    over = asyncio.ensure_future(kit.transitions.turn_over(bob))
    await loses(lifecycle, bob, client)
    told = await ended(kit)
    assert told["outcome"] == "failed"
    async with asyncio.timeout(PATIENCE_S):
        await over  # who waits for the turn's end is not left waiting
        while not await kit.store.read(lambda reader: messages.waiting(reader, "bob")):
            await asyncio.sleep(0)  # it follows when the connection is closed
    assert bob.turn is None
    assert bob.state in (AgentState.STARTING, AgentState.STOPPED, AgentState.IDLE)
    ends = [event for event in kit.events if event.kind == "turn.ended"]
    assert len(ends) == 1
    client.close()
