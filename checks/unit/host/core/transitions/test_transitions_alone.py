"""Only transitions change an agent's live state: in memory, and in the store."""

import ast
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from checks.kits.host.store import open_kit
from pyglue.host.core.agent import Agent, Everyone

PACKAGE: Final = Path(__file__).parents[5] / "pyglue"
HOST: Final = PACKAGE / "host"
TRANSITIONS: Final = "host/core/transitions/"
OWNER: Final = "core/transitions/writing.py"

# --- memory ---------------------------------------------------------------------------


def writes_around(source: str) -> list[int]:
    """Return the lines that could change a frozen object."""
    ways = ("setattr", "vars", "delattr", "__setattr__", "__dict__", "__delattr__")
    found = []
    for node in ast.walk(ast.parse(source)):
        name = getattr(node, "id", None) or getattr(node, "attr", None)
        if name in ways:
            found.append(node.lineno)  # type: ignore[attr-defined]
        if (
            isinstance(node, ast.Attribute)
            and node.attr.startswith("_")
            and ast.unparse(node.value).endswith("transitions")
        ):
            found.append(node.lineno)
    return found


def test_an_agents_present_is_written_in_one_module() -> None:
    writers = [
        path.relative_to(HOST).as_posix()
        for path in sorted(HOST.rglob("*.py"))
        if writes_around(path.read_text(encoding="utf-8"))
    ]
    assert writers == [OWNER]


@pytest.mark.parametrize(
    "line",
    [
        "setattr(agent, 'turn', 7)",
        "object.__setattr__(agent, 'turn', 7)",
        "agent.__dict__['turn'] = 7",
        "vars(agent).update(turn=7)",
        "self.transitions._become(agent, now)",
        "transitions._set(agent, now)",
    ],
)
def test_a_way_around_is_found(line: str) -> None:
    assert writes_around(line)


async def test_an_assignment_is_refused(tmp_path: Path) -> None:
    kit = await open_kit(tmp_path)
    alice: Any = await kit.agent("alice")
    everyone: Any = kit.registry.everyone
    for one in (alice, everyone):
        assert isinstance(one, Agent | Everyone)
        for field in dataclasses.fields(one):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(one, field.name, None)
    await kit.store.close()


# --- the store ------------------------------------------------------------------------

STORE: Final = ("agents", "control")
"""Modules of the store with the rows of agents, their turns and their controls."""
MODELS: Final = frozenset({"AgentModel", "TurnModel", "ControlModel"})
STATEMENT: Final = re.compile(
    r"\b(?:UPDATE|INSERT INTO|REPLACE INTO|DELETE FROM) "
    r"(?:agent|turn|agent_turns|control)\b"
)
OTHERS: Final = {
    "host/changes/deploy.py agents.create": "a new agent, which nobody knows yet",
    "host/life/destroy.py control.remove": "the controls of an agent that is no more",
    "host/life/purge.py agents.forget_turns": "the turns of an agent that is no more",
    "host/rebuild/write.py AgentModel": "a new store, before hived starts",
    "host/rebuild/write.py control.put": "a new store, before hived starts",
    "host/watch/turn_metrics.py agents.set_context_fill": "a metric, not in memory",
    "host/control/budgets.py agents.turns_since": "only reads",
    "store/kept.py statement": "an agent that is no more, or again",
    "store/agents.py AgentModel": "the owner of the rows",
    "store/agents.py TurnModel": "the owner of the rows",
    "store/agents.py statement": "the owner of the rows",
    "store/control.py ControlModel": "the owner of the rows",
}
"""Who else writes such rows, and why that changes no agent's live state."""


def writing(source: str) -> Iterator[str]:
    """Yield the functions whose first parameter is a transaction."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            first = next(iter(node.args.args), None)
            if first and first.annotation and ast.unparse(first.annotation) == "Tx":
                yield node.name


WRITING: Final = {
    module: frozenset(writing((PACKAGE / "store" / f"{module}.py").read_text("utf-8")))
    for module in STORE
}


def rows_written(source: str) -> set[str]:
    """Return what ``source`` uses to write such rows."""
    tree = ast.parse(source)
    names: dict[str, str] = {}
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom):
            continue
        for one in node.names:
            module = (node.module or "").removeprefix("pyglue.store.")
            if node.module == "pyglue.store" and one.name in STORE:
                names[one.asname or one.name] = one.name
            elif module in STORE and one.name in WRITING[module]:
                found.add(f"{module}.{one.name}")
            elif one.name in MODELS:
                found.add(one.name)
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attr):
                module = names.get(name, "")
                if attr in WRITING.get(module, ()):
                    found.add(f"{module}.{attr}")
            case ast.ClassDef(name=name) if name in MODELS:
                found.add(name)
            case ast.Constant(value=str(text)) if STATEMENT.search(text):
                found.add("statement")
    return found


def test_only_transitions_write_the_rows_of_agents() -> None:
    found = {
        f"{name} {what}"
        for place in ("host", "store")
        for path in (PACKAGE / place).rglob("*.py")
        for name in [path.relative_to(PACKAGE).as_posix()]
        if not name.startswith((TRANSITIONS, "store/migrations/"))
        if name != "store/models.py"
        for what in rows_written(path.read_text("utf-8"))
    }
    assert found == set(OTHERS)


@pytest.mark.parametrize(
    "source",
    [
        "from pyglue.store import agents\nagents.lose_turns(tx, 'alice')",
        "from pyglue.store import agents as rows\npartial(rows.end_turn, agent=1)",
        "from pyglue.store.agents import lose_turns\nwrite(lose_turns)",
        "from pyglue.store import control as rows\nwrite(lambda tx: rows.put(tx, row))",
        "from pyglue.store.models import TurnModel\nTurnModel.update(outcome='ok')",
        "tx.execute('UPDATE turn SET ended_at = 1')",
        "tx.execute(f'DELETE FROM agent WHERE {which}')",
    ],
)
def test_another_writer_of_rows_is_found(source: str) -> None:
    assert rows_written(source)


def test_the_ends_of_turns_are_seen() -> None:
    assert WRITING["agents"] >= {"start_turn", "end_turn", "lose_turns", "set_wanted"}
    assert WRITING["control"] == {"put", "remove"}
