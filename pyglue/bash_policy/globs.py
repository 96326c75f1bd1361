"""What a glob of a command could become, and whether a wildcard may match all of it.

The agent chooses the names of its files, so a glob is any number of words of its form:
``*.py`` may become ``--exec=x.py``. It may never become an option, a subcommand, a
hidden file, or an operand that a program treats unlike the others. (That a file of a
start-up file's name exists is refused elsewhere: a glob makes no name.)
"""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from pyglue.bash_policy import git
from pyglue.bash_policy.match import Glob, Match
from pyglue.bash_policy.table import Kind, Program, subcommand

_SIGNS: Final = frozenset("*?")
_GIT: Final = "git"
_FILES: Final = frozenset({"", _GIT, "nix"})
"""Judges that treat all files alike; for git, with some subcommands."""


def problem(match: Match, program: Program | None) -> str | None:
    """Return why a glob among these words is refused; None if none is."""
    runs_inner = program is not None and program.kind is Kind.RUNS
    for at, word in enumerate(match.words):
        if not isinstance(word, Glob):
            continue
        refused = _anywhere(word, at)
        if refused is None and not runs_inner:
            refused = _operand(match, at, program)
        if refused is not None:
            return f"the glob {word[:60]!a} {refused}"
    return None


def _anywhere(word: str, at: int) -> str | None:
    if at == 0:
        return "cannot name a program"
    for part in PurePosixPath(word).parts:
        if part.startswith(".") and not _SIGNS.isdisjoint(part):
            return "could match hidden files, such as '..' or a start-up file"
    return None


def _operand(match: Match, at: int, program: Program | None) -> str | None:
    word, before = match.words[at], match.words[1:at]
    first = min(map(word.index, _SIGNS & set(word)))
    if word.startswith("-"):
        if "=" not in word[:first]:
            return "could become any option; name the options"
    elif first == 0 and "--" not in before and not _is_harmless(program):
        return f"could become an option; write './{word[:60]}'"
    operands = [w for w in before if not w.startswith("-")]
    if (
        not operands
        and "/" not in word
        and "." not in word
        and not _is_harmless(program)
    ):
        return "could become a subcommand; write './' before the name of a file"
    if program is None:
        return None
    rows = list(_rows(program, operands))
    if before and any(before[-1] in row.values for row in rows):
        return f"follows {before[-1][:40]!a}, which takes one value; name the file"
    if _git_counts(match, at, program) or any(_counts(row) for row in rows):
        return (
            "could become arguments with a meaning of their own; name the files, or "
            "quote it if the program is to see it as it is"
        )
    return None


def _rows(program: Program, operands: list[str]) -> Iterator[Program]:
    """Yield the rows of a program and of its subcommand's subcommands."""
    found: Program | None = program
    for word in operands:
        if found is None:
            return
        yield found
        found = subcommand(found, word)
    if found is not None:
        yield found


def _counts(row: Program) -> bool:
    """Whether the program distinguishes operands by position or content."""
    return bool(
        row.row.special not in _FILES
        or row.row.operands is not None
        or row.holds
        or row.words
        or row.row.assigns
    )


def _git_counts(match: Match, at: int, program: Program) -> bool:
    """Whether this is git, except for subcommands that treat all files alike."""
    if program.row.special != _GIT:
        return False
    begin = git.subcommand_at(match.words)
    return at <= begin or match.words[begin] not in git.EVERYDAY


def _is_harmless(program: Program | None) -> bool:
    return program is not None and program.is_harmless
