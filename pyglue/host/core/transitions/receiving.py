"""Transitions of an agent receiving messages."""

from dataclasses import dataclass, replace

from pyglue.host.core.agent import Agent, Parked
from pyglue.host.core.transitions.writing import Writing


@dataclass(kw_only=True)
class ReceivingTransitions(Writing):
    """The pending ``recv``, and how far the received messages are from a human."""

    def recv_parked(self, agent: Agent, parked: Parked) -> None:
        """It is waiting for the next message."""
        self._set(agent, replace(agent, parked=parked))

    def recv_claimed(self, agent: Agent) -> Parked | None:
        """A message ends its wait; return the pending ``recv``, if there is one."""
        parked = agent.parked
        if parked is not None:
            self._become(agent, replace(agent, parked=None))
        return parked

    def recv_interrupted(self, agent: Agent) -> None:
        """Its wait ends without a message."""
        parked = self.recv_claimed(agent)
        if parked is not None:
            parked.end()

    def recv_over(self, parked: Parked) -> None:
        """``parked`` has ended, unless another ``recv`` replaced it."""
        agent = parked.receiver.agent
        if agent.parked is parked:
            self._become(agent, replace(agent, parked=None))

    def messages_taken(self, agent: Agent, hop: int) -> None:
        """It received messages that are ``hop`` turns away from a human."""
        self._become(agent, replace(agent, hop=max(agent.hop, hop)))

    def messages_done(self, agent: Agent) -> None:
        """It acknowledged messages that it received outside a turn."""
        if agent.turn is None:
            self._become(agent, replace(agent, hop=0))
