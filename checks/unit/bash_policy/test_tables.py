"""The table of programs: attacks are refused, everyday work runs, each row holds."""

import shlex
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given

from checks.kits.bash_policy.words import NAMES, TABLE, TRICKS, spellings
from pyglue.harness.gate.gate import Gate

CASES: Final = Path(__file__).resolve().parents[2] / "gate"


def cases(name: str) -> list[tuple[str, str]]:
    found = []
    for line in (CASES / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            pattern, arrow, command = line.partition(" => ")
            assert arrow, line
            found.append((pattern, command))
    return found


def refusal(pattern: str, command: str) -> str | None:
    return Gate(tools=["Bash"], bash_allow=[pattern]).refusal_of_command(command)


@pytest.mark.parametrize(("pattern", "command"), cases("refused"))
def test_what_an_author_did_not_think_of_is_refused(pattern: str, command: str) -> None:
    reason = refusal(pattern, command)
    assert reason is not None
    assert "syntax is not understood" not in reason


@pytest.mark.parametrize(("pattern", "command"), cases("runs"))
def test_everyday_work_runs(pattern: str, command: str) -> None:
    assert refusal(pattern, command) is None


@pytest.mark.parametrize(("pattern", "command"), cases("refused-honest"))
def test_known_false_refusals_say_what_to_do(pattern: str, command: str) -> None:
    reason = refusal(pattern, command)
    assert reason is not None
    assert any(x in reason for x in ("pattern", "single quotes"))


# --- every row, in every spelling ----------------------------------------------------


def test_every_name_is_refused_in_every_spelling() -> None:
    passed = []
    for name in NAMES:
        gate = Gate(tools=["Bash"], bash_allow=[f"{name} *"])
        for words in spellings(TABLE[name]):
            command = shlex.join([*name.split(), *words])
            if gate.refusal_of_command(command) is None:
                passed.append(command)
    assert passed == []


@given(drawn=TRICKS)
def test_tricks_among_honest_words_are_refused(drawn: tuple[str, str]) -> None:
    assert refusal(*drawn) is not None, drawn


# --- files that run later -------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        *("/state/.bashrc", "/state/p/.git/hooks/pre-commit", "/state/p/.git/config"),
        *("/state/p/.git", ".config/git/config", "/state/.ssh/config", ".npmrc"),
        *("/state/x/../.git/config", "/proc/self/mem", "/state/.local/bin/ls"),
    ],
)
def test_edit_tools_do_not_write_start_up_files(path: str) -> None:
    gate = Gate(tools=["Write", "Edit", "NotebookEdit", "Read"], bash_allow=["ls *"])
    for tool in ("Write", "Edit"):
        reason = gate.refusal(tool, {"file_path": path})
        assert reason is not None
        assert "must not write it" in reason
    assert gate.refusal("NotebookEdit", {"notebook_path": path}) is not None
    assert gate.refusal("Read", {"file_path": path}) is None
    without = Gate(tools=["Write"], bash_allow=[])  # it may get patterns later
    assert without.refusal("Write", {"file_path": path}) is not None


@pytest.mark.parametrize(
    "path",
    [
        *("/state/app/src/main.py", "/agents/alice/config/agent.nix", "/state/.env"),
        *("/state/p/.gitignore", "/state/p/.github/workflows/ci.yml", "Makefile"),
        *("/state/p/package.json", "/state/p/.eslintrc.json", "/state/notes.md"),
    ],
)
def test_edit_tools_write_the_rest(path: str) -> None:
    gate = Gate(tools=["Write"], bash_allow=["ls *"])
    assert gate.refusal("Write", {"file_path": path}) is None
