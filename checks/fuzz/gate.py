"""The Bash gate against real bash: allowed commands run as parsed.

The grammar, the stubs and the programs are those of ``test_gate_runs``. The gate is
policy and not a wall; a case is wrong when bash runs other words than the gate read,
or a program runs another that no pattern named. What the table of programs keeps from
wildcards must be refused among whatever other words.
"""

import asyncio
from typing import Any

from hypothesis import strategies as st

from checks.fuzz import test_gate_runs as corpus
from checks.fuzz.kit import Case, Trial
from checks.kits.bash_policy.words import TRICKS
from pyglue.harness.gate.gate import Gate
from pyglue.harness.gate.words import ShellReader

_NARROW = Gate(tools=["Bash"], bash_allow=["a *", "b *"])
_lines = st.tuples(st.just("line"), corpus._LINES)
_tricks = st.tuples(st.just("trick"), TRICKS)
_programs = st.tuples(st.just("program"), corpus._REAL)


async def attack(trial: Trial) -> None:
    """Ask the gate for each command, and run what it lets through."""
    stubbed = corpus.Room(trial.lab.room("gate"), real=False)
    real = corpus.Room(trial.lab.room("gate"), real=True)

    async def body(case: Case, drawn: tuple[str, Any]) -> None:
        kind, command = drawn
        if kind == "line":
            await asyncio.to_thread(_line, case, command, stubbed)
        elif kind == "trick":
            _trick(case, *command)
        else:
            program, words = command
            await asyncio.to_thread(_program, case, program, words, real)

    try:
        await trial.explore(body, drawn=st.one_of(_lines, _programs, _tricks))
    finally:
        stubbed.close()
        real.close()


def _line(case: Case, line: str, room: corpus.Room) -> None:
    if _NARROW.refusal_of_command(line) is not None:
        case.refused()
        return
    seen = room.expanded(ShellReader().read(line).commands)
    ran = sorted(room.run(line))
    differs = not set(ran) <= set(seen) or not {c[0] for c in ran} <= {"a", "b"}
    case.unless(
        f"{line!r} ran {ran!r}, read as {seen!r}" if differs else None, refused=False
    )


def _trick(case: Case, pattern: str, command: str) -> None:
    gate = Gate(tools=["Bash"], bash_allow=[pattern])
    passed = gate.refusal_of_command(command) is None
    case.unless(
        f"{pattern!r} lets {command!r} through" if passed else None, refused=True
    )


def _program(
    case: Case, program: tuple[str, ...], words: list[str], room: corpus.Room
) -> None:
    line = " ".join([*program, *map(corpus._quoted, words)])
    if corpus._OPEN.refusal_of_command(line) is not None:
        case.refused()
        return
    ran = [call for call in room.run(f"{line}; git status") if call[0] != "wrote"]
    case.unless(f"{line!r} ran {ran!r}" if ran else None, refused=False)
