"""A harness that runs no model: it takes messages, runs turns, and ends them.

It does what the real one does with refusals: the end of a turn is reported until it
is recorded, and any other refusal ends its connection.
"""

import asyncio
from typing import Any

from checks.kits.host.store import Kit
from pyglue.api.agent import CANCEL_TURN
from pyglue.api.common import Done
from pyglue.api.messages import Message, RecvParams
from pyglue.api.turns import TurnEndParams, TurnOutcome
from pyglue.errors import HiveError
from pyglue.host.core.agent import Agent, Receiver
from pyglue.store.failures import StoreError

NOW = RecvParams(max=32, had=())


class Harness:
    """The harness of one agent, over as many connections as it needs."""

    def __init__(self, kit: Kit, agent: Agent) -> None:
        self.kit = kit
        self.agent = agent
        self.holder: Receiver
        self.connect()

    # --- a connection, as far as hived needs one --------------------------------------

    def connect(self) -> None:
        """Say hello on a new connection."""
        self.holder = Receiver(agent=self.agent, harness=True)
        line: Any = self
        self.kit.transitions.harness_connected(self.agent, line, None)

    def close(self) -> None:
        """Lose the connection."""
        if not self.holder.gone:
            self.kit.disconnect(self.holder)

    def notify(self, *_: Any) -> None:
        """Hear what hived wants."""

    async def call(self, method: Any, *_: Any, **__: Any) -> Done:
        """Do what hived asks for: end the turn."""
        assert method is CANCEL_TURN
        assert self.agent.turn is not None
        await self.end(self.agent.turn, TurnOutcome.CANCELLED)
        return Done()

    # --- messages and turns -----------------------------------------------------------

    def back(self) -> None:
        """Connect again if the connection was lost."""
        if self.holder.gone:
            self.connect()

    async def recv(self) -> tuple[Message, ...]:
        """Ask for messages."""
        return (await self.kit.broker.mailbox.recv(self.holder, NOW)).messages

    async def begin(self, messages: tuple[Message, ...]) -> int:
        """Begin a turn with these messages; a refusal ends the connection."""
        seen = tuple(message.id for message in messages)
        mailbox = self.kit.broker.mailbox
        try:
            return await mailbox.turn_start(self.holder, "haiku", seen=seen)
        except HiveError:
            mailbox.delivery.release_loose(self.holder)
            self.close()
            raise

    async def end(self, turn: int, outcome: TurnOutcome = TurnOutcome.OK) -> None:
        """Report the end of a turn until it is recorded, or will not be."""
        params = TurnEndParams(turn=turn, outcome=outcome, reason="why")
        while True:
            try:
                await self.kit.broker.mailbox.turn_end(self.holder, params)
            except StoreError:
                await asyncio.sleep(0)
            except HiveError:
                self.close()
                return
            else:
                return

    async def finish_all(self) -> list[str]:
        """Take what waits, turn after turn, until there is nothing; return it."""
        self.back()
        if self.agent.turn is not None:
            await self.end(self.agent.turn)
        bodies: list[str] = []
        while messages := await self.recv():
            bodies += [message.body for message in messages]
            await self.end(await self.begin(messages))
        return bodies
