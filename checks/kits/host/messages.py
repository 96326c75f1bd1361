"""Messages between the agents of a ``Kit``: sends, leases and turns."""

import asyncio
from typing import Any

from checks.kits.host.store import Kit
from checks.kits.patience import BEYOND_S
from pyglue.api.messages import AckParams, RecvParams, RecvResult, SendParams
from pyglue.api.turns import TurnEndParams, TurnOutcome
from pyglue.host.core.agent import Receiver
from pyglue.host.messages.mailbox import Mailbox

WAIT = RecvParams(wait_seconds=BEYOND_S, max=32)
NOW = RecvParams(max=32)


def holder(kit: Kit, name: str) -> Receiver:
    return Receiver(agent=kit.registry.get(name))


async def send(kit: Kit, sender: str, to: str, body: str = "hi", **more: Any) -> int:
    params = SendParams(to=to, body=body, **more)
    return (await kit.broker.send(kit.registry.get(sender), params)).id


async def end(kit: Kit, who: Receiver, turn: int, outcome: TurnOutcome) -> None:
    await kit.broker.mailbox.turn_end(who, TurnEndParams(turn=turn, outcome=outcome))


async def acked(
    mailbox: Mailbox, who: Receiver, numbers: tuple[int, ...] | None = None
) -> int:
    """Acknowledge messages, these or all, and return how many were."""
    return (await mailbox.ack(who, AckParams(messages=numbers))).acknowledged


async def parks(kit: Kit, who: Receiver) -> "asyncio.Task[RecvResult]":
    """Let an agent wait for mail, and return that when he does."""
    parked = asyncio.create_task(kit.broker.mailbox.recv(who, WAIT))
    while who.agent.parked is None:
        await asyncio.sleep(0)
    return parked


async def crossing(
    kit: Kit, bob: Receiver, body: str = "hi"
) -> tuple["asyncio.Task[RecvResult]", "asyncio.Task[int]"]:
    """Let a send claim bob's wait, and return both when nothing is stored yet."""
    parked = await parks(kit, bob)
    sending = asyncio.create_task(send(kit, "alice", "bob", body))
    while bob.agent.parked is not None:
        await asyncio.sleep(0)
    return parked, sending
