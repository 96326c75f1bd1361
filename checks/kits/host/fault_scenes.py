"""Scenarios, done again and again with a fault at another statement each time.

Each scenario is done over and over: once with a fault at its first statement, once at
its second, and so on until none is left to fail. The fault comes once, or lasts for a
while; then the store is well again. Afterwards every message is waiting, held by a
turn that runs, done or dead; memory, store and events say the same; and whatever was
acknowledged is delivered, whatever was refused is not.
"""

import contextlib
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from checks.kits.host.agreement import Witness
from checks.kits.host.harness import Harness
from checks.kits.host.store import Kit, open_kit
from checks.kits.store.faults import FOR_A_WHILE, ONCE, Fault, Faults
from pyglue.host.core.agent import Receiver
from pyglue.names import OPERATOR
from pyglue.store import inboxes
from pyglue.store.failures import StoreError
from pyglue.store.messages import NewMessage


@dataclass
class Scene:
    """Two agents with harnesses and one without, and the store that fails."""

    kit: Kit
    faults: Faults
    witness: Witness
    alice: Harness
    bob: Harness
    carol: Receiver

    async def post(self, text: str, to: str = "bob") -> int:
        new = NewMessage(sender=OPERATOR, recipient=to, body=text)
        return (await self.kit.broker.post(new)).id

    async def in_a_turn(self, text: str) -> int:
        """Let bob run a turn over a message."""
        await self.post(text)
        return await self.bob.begin(await self.bob.recv())

    @property
    def holding(self) -> frozenset[str]:
        live = (self.alice.holder, self.bob.holder, self.carol)
        return frozenset(holder.token for holder in live if not holder.gone)

    def carol_connects(self) -> None:
        self.carol = Receiver(agent=self.kit.registry.get("carol"))


Scenario = Callable[[Scene, str], AsyncGenerator[None, None]]
"""What comes before, the act, and what is seen afterwards, each up to its ``yield``."""


KINDS: Final = {
    "ends-the-transaction": (Fault.FULL, Fault.IOERR),
    "leaves-it-open": (Fault.READONLY, Fault.CORRUPT),
    "is-a-lock": (Fault.BUSY, Fault.LOCKED),
}
"""Faults that the store handles alike; they take turns over the statements."""


@contextlib.asynccontextmanager
async def scene_in(room: Path) -> AsyncIterator[Scene]:
    """Open what a scenario needs."""
    faults = Faults()
    kit = await open_kit(room, faults=faults)
    alice, bob = [Harness(kit, await kit.agent(name)) for name in ("alice", "bob")]
    carol = Receiver(agent=await kit.agent("carol"))
    yield Scene(kit, faults, Witness(kit), alice, bob, carol)
    faults.heal()
    await kit.store.close()


async def all_fail(scene: Scene, scenario: Scenario, kind: str) -> int:
    """Let each statement of the scenario fail; return how many messages are dead."""
    for times in (ONCE, FOR_A_WHILE):
        for at in itertools.count():
            fault = KINDS[kind][(at + (times is ONCE)) % 2]
            if not await fails_at(scene, scenario, at, fault, times):
                break
        assert at > 4, "it has at least a transaction with one statement"
    dead: int = await scene.kit.store.read(
        lambda reader: reader.execute(
            "SELECT count(*) FROM message WHERE state = 'dead'"
        ).fetchone()[0]
    )
    return dead


async def fails_at(
    scene: Scene, scenario: Scenario, at: int, fault: Fault, times: int
) -> bool:
    """Let the statement ``at`` of the scenario fail; false if it has no such one."""
    kit = scene.kit
    doing = scenario(scene, f"{at}, {times} times")
    await anext(doing)
    await scene.witness.quiet()
    scene.faults.arm(at, fault, times=times)
    await anext(doing)
    with contextlib.suppress(StoreError):
        await kit.store.write(lambda _: None)
    fired = scene.faults.fired
    scene.faults.heal()
    await scene.witness.quiet()
    await scene.witness.agrees(holding=scene.holding)
    with pytest.raises(StopAsyncIteration):
        await anext(doing)
    await scene.witness.quiet()
    await scene.witness.agrees()
    assert await kit.store.read(inboxes.waiting_counts) == {}
    return fired
