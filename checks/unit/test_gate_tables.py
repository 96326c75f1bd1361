"""The table of programs: attacks are refused, everyday work runs, each row holds."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyglue.bash_policy.table import Kind, Program, everything
from pyglue.harness.gate import Gate

CASES: Final = Path(__file__).resolve().parents[1] / "gate"
TABLE: Final = everything()
ROWS: Final = sorted({id(program): name for name, program in TABLE.items()}.values())


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


def spellings(program: Program) -> Iterator[list[str]]:
    """Yield words that the row keeps from wildcards, in the ways to write them."""
    words = program.refuse
    for name in sorted(words.long):
        yield [f"--{name}"]
        yield [f"--{name}", "value"]
        yield [f"--{name}=value"]
        if len(name) > 3 and f"--{name[:-1]}" not in program.allow:
            yield [f"--{name[:-1]}=value"]
    for letter in sorted(words.short):
        yield [f"-{letter}"]
        yield [f"-{letter}value"]
        yield [f"-q{letter}"]
        yield ["operand", f"-{letter}", "value"]
    for begin in words.begins:
        yield [f"{begin}value"]
    for exact in sorted(words.exact):
        yield [exact, "value"]
        if exact.startswith("-") and len(exact) > 2:
            yield [f"{exact}=value"]
            if program.row.style == "long":
                yield [f"-{exact}"]
    if program.accept is not None:
        yield ["--unheard-of"]
        yield ["--unheard-of=value"]
        yield ["-\u00a7"]
    for part in program.holds:
        yield [f"a{part}b"]
    if program.row.assigns:
        yield ["NAME=value"]
    if program.everyday:
        yield ["unheardof"]
    for word in sorted(program.unless):
        yield [word]
    if program.kind in (Kind.RUNS, Kind.CODE):
        yield []
        yield ["evil"]
        yield ["-x", "evil"]
        yield ["--", "evil"]


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_refused_in_every_spelling(name: str) -> None:
    for words in spellings(TABLE[name]):
        command = shlex.join([*name.split(), *words])
        assert refusal(f"{name} *", command) is not None, command


_TRICKS: Final = [
    (name, words)
    for name, program in sorted(TABLE.items())
    for words in spellings(program)
]
_HONEST: Final = st.sampled_from(["x", "src/a.py", "-v", "--verbose", "--", "a b", "1"])
_FREE: Final = frozenset(p.row.free for p in TABLE.values()) - {""}


@given(
    trick=st.sampled_from(_TRICKS),
    before=st.lists(_HONEST, max_size=3),
    after=st.lists(_HONEST, max_size=3),
    place=st.sampled_from(["", "/usr/bin/"]),
)
def test_tricks_among_honest_words_are_refused(
    trick: tuple[str, list[str]], before: list[str], after: list[str], place: str
) -> None:
    name, words = trick
    if name.startswith("."):
        place = ""  # a builtin, and a directory with a path
    program = TABLE[name]
    if program.everyday or program.unless or program.row.under:
        before = []  # the trick is, or follows, the subcommand
    before = [w for w in before if w not in _FREE]
    if name.endswith("sed") or (program.kind is Kind.READS and not words):
        return
    command = shlex.join([f"{place}{name.split()[0]}", *name.split()[1:], *before])
    line = shlex.join([*shlex.split(command), *words, *after])
    assert refusal(f"{place}{name} *", line) is not None, line


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
        assert "may not write it" in reason
    assert gate.refusal("NotebookEdit", {"notebook_path": path}) is not None
    assert gate.refusal("Read", {"file_path": path}) is None
    assert (
        Gate(tools=["Write"], bash_allow=[]).refusal("Write", {"file_path": path})
        is None
    )


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
