"""The live events of turns: for the current step, the history, and failed servers."""

from dataclasses import dataclass

from pyglue.api.common import data_as
from pyglue.api.events import ServerDown
from pyglue.api.turn_events import Server, TurnEventKind
from pyglue.api.turns import TurnEventParams
from pyglue.host.core.agent import Receiver
from pyglue.host.core.registry import Registry
from pyglue.host.watch.history import History
from pyglue.host.watch.steps import Steps
from pyglue.store.database import Store


@dataclass(frozen=True, kw_only=True)
class TurnEvents:
    """Passes each event to ``steps`` and, if there is space for it, to ``history``."""

    store: Store
    registry: Registry
    history: History
    steps: Steps

    def reported(self, receiver: Receiver, params: TurnEventParams) -> None:
        """Handle a live event; a harness that was replaced may still send some."""
        agent = receiver.agent
        if receiver.is_current:
            self.steps.reported(agent, params)
        if self.registry.disk_full is not None or agent.on_hold is not None:
            return
        kept = self.history.add(agent.name, params)
        if kept and params.kind == TurnEventKind.SERVER:
            server = data_as(Server, params.data)
            if server is not None:
                down = ServerDown(name=server.name, status=server.status)
                self.store.emit(agent.name, down)
