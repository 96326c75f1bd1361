"""Every change of an agent's live state, by name: the only code that writes ``agent``.

One call changes memory and store and emits the event. There are two kinds:

- What the store may refuse (a turn, a deploy) is committed first. Memory follows with
  the commit, before its events are published, even if the caller has given up.
- Everything else (a pause, a problem, a lost harness) takes effect in memory at once.
  The write queued with it is repeated until it succeeds, and stores what memory says
  *when it runs*: a write that had to wait for the disk never restores an older value.

What is only observed (the provider's answers, ``recv``, message hops) is kept in memory
alone. Each change is reported to the listeners, and ends the pending ``recv`` of an
agent that may no longer receive messages.

``writing`` is the base: only it modifies the object. The modules beside it have the
transitions, by subject. Services use ``Transitions``, which has all of them.
"""

from dataclasses import dataclass, replace

from pyglue.host.core.agent import HIVE
from pyglue.host.core.transitions.blocks import BlockTransitions
from pyglue.host.core.transitions.deploys import DeployTransitions
from pyglue.host.core.transitions.harness import HarnessTransitions
from pyglue.host.core.transitions.receiving import ReceivingTransitions
from pyglue.store import agents as rows
from pyglue.store import control as control_rows


@dataclass(kw_only=True)
class Transitions(
    DeployTransitions, HarnessTransitions, ReceivingTransitions, BlockTransitions
):
    """Changes the agents of ``registry`` and their rows in ``store``."""

    async def load(self) -> None:
        """Read agents, their control rows, and their latest models."""
        for row in await self.store.read(rows.all_agents):
            self.registry.take(row)
        found = await self.store.read(control_rows.all_rows)
        used = await self.store.read(rows.last_models)
        everyone = self.registry.everyone
        hive = found.get(HIVE, everyone.control)
        self._become(everyone, replace(everyone, control=hive))
        for agent in self.registry.all():
            control = found.get(agent.name, agent.control)
            model = used.get(agent.name)
            self._set(agent, replace(agent, control=control, turn_model=model))
