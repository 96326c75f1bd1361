"""Invariants between store, memory and events once nothing is in progress."""

from dataclasses import dataclass, field
from typing import Any

from checks.kits.api.events import data
from checks.kits.host.store import Kit, row_repair, settled
from pyglue.store import agents, control
from pyglue.store.database import Reader


@dataclass
class Witness:
    """Hears the events, as a page does, and compares them with store and memory."""

    kit: Kit
    running: dict[str, int] = field(default_factory=dict)
    states: dict[str, dict[str, Any]] = field(default_factory=dict)
    heard: int = 0
    written: int = 0
    """The last event that was found in the store."""

    async def quiet(self) -> None:
        """Wait until everything that was kept is written, and followed."""
        await self.kit.store.write(lambda _: None)
        while self.kit.store.problem is not None:
            await self.kit.store.write(lambda _: None)
        await settled()
        await self.kit.store.write(lambda _: None)
        await settled()

    async def agrees(self, *, holding: frozenset[str] = frozenset()) -> None:
        """Compare all of it; ``holding`` are tokens of live connections."""
        new = self.kit.events[self.heard :]
        self._listen()
        found = await self.kit.store.read(lambda reader: _stored(reader, self.written))
        turns = {}
        for agent in self.kit.registry.all():
            row = found.agents[agent.name]
            assert (row.wanted, row.problem) == (agent.wanted, agent.problem)
            assert (row.approval, row.commit) == (agent.approval, agent.commit)
            assert found.controls.get(agent.name, agent.control) == agent.control
            if agent.turn is not None:
                assert agent.harness is not None
                turns[agent.name] = agent.turn
            said = self.states.get(agent.name)
            if said is not None:
                assert (said["state"], said["detail"]) == (
                    agent.state.value,
                    agent.detail,
                )
        assert found.turns == turns
        assert self.running == turns
        assert found.controls.get("hive", self.kit.registry.hive) == (
            self.kit.registry.hive
        )
        for number, recipient, state, holder, turn in found.messages:
            if state == "held":
                live = turns.get(recipient) == turn is not None
                assert live or (turn is None and holder in holding), number
            else:
                assert state in ("waiting", "done", "dead")
        assert [one.says for one in await row_repair(self.kit).look()] == []
        assert found.events == [event.seq for event in new]
        self.written = max(found.events, default=self.written)

    def _listen(self) -> None:
        for event in self.kit.events[self.heard :]:
            told, name = data(event), event.agent or ""
            if event.kind == "turn.started":
                assert name not in self.running
                self.running[name] = told["turn"]
            elif event.kind == "turn.ended":
                assert self.running.pop(name) == told["turn"]
            elif event.kind == "agent.state":
                self.states[name] = told
        self.heard = len(self.kit.events)


@dataclass(frozen=True)
class _Stored:
    agents: dict[str, agents.AgentRow]
    controls: dict[str, control.Control]
    turns: dict[str, int]
    messages: list[tuple[int, str, str, str | None, int | None]]
    events: list[int]


def _stored(reader: Reader, after: int) -> _Stored:
    turns = reader.execute("SELECT agent, id FROM turn WHERE ended_at IS NULL")
    messages = reader.execute(
        "SELECT id, recipient, state, holder, turn FROM message "
        "WHERE state NOT IN ('done', 'dead')"
    )
    events = reader.execute("SELECT seq FROM event WHERE seq > ? ORDER BY seq", after)
    return _Stored(
        agents={row.name: row for row in agents.all_agents(reader)},
        controls=control.all_rows(reader),
        turns=dict(turns.fetchall()),
        messages=messages.fetchall(),
        events=[seq for (seq,) in events.fetchall()],
    )
