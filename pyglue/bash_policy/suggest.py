"""A pattern that would allow a refused command, as a suggestion.

The gate names it to the agent, and the dashboard to the operator. It is as narrow as
an everyday pattern is: ``npm run *`` rather than ``npm *``.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from pyglue.bash_policy import judge
from pyglue.bash_policy.match import Pattern
from pyglue.bash_policy.table import find, subcommand

TEXT_MAX: Final = 300
TEXT: Final = re.compile(
    "[A-Za-z0-9@%+=:,./_~^?!{}*#-]+( [A-Za-z0-9@%+=:,./_~^?!{}*#-]+)*"
)
"""An entry of ``bash.allow``, as modules/agent/options.nix has it (a test compares)."""
_SUBCOMMAND: Final = re.compile(r"[a-z][a-z0-9:_-]*")


def pattern(command: Sequence[str]) -> str | None:
    """Return a pattern under which ``command`` would run; None if none is known."""
    return next((p for p in _candidates(command) if _allows(p, command)), None)


def _candidates(command: Sequence[str]) -> Iterator[str]:
    """Yield patterns, the one that people would write first."""
    begin = 2 if _has_subcommand(command) else 1
    for count in range(begin, len(command) + 1):
        yield " ".join((*command[:count], "*"))
    yield " ".join(command)


def _has_subcommand(command: Sequence[str]) -> bool:
    if len(command) < 2 or not _SUBCOMMAND.fullmatch(command[1]):
        return False
    program = find(command[0])
    if program is None or program.everyday or program.unless or program.row.special:
        return True
    return subcommand(program, command[1]) is not None


def _allows(text: str, command: Sequence[str]) -> bool:
    words = text.split(" ")
    if any("*" in word for word in words[:-1]) or len(text.encode()) > TEXT_MAX:
        return False
    match = Pattern(text).match(command) if TEXT.fullmatch(text) else None
    return match is not None and judge.problem(match) is None
