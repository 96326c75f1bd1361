"""Finds the program or script that a command names after its own options.

``timeout -s KILL 60 make x`` runs ``make``, and ``perl -I lib x.pl`` runs ``x.pl``: who
takes an option's value for the program lets a wildcard name the program itself. So
options are read as a row has them (``flags``, ``values``, ``code``), and where one is
not known, nobody can say what follows it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from pyglue.bash_policy.table import Program


class _Takes(Enum):
    NOTHING = auto()
    VALUE = auto()
    CODE = auto()
    CODE_WITHIN = auto()
    """Code that stands in the same word, as in ``-fx.awk``."""
    UNKNOWN = auto()


@dataclass(frozen=True, kw_only=True)
class Leading:
    """What was read of the words before a program, a script or ``-m``.

    ``at`` is where that stands; None if the words end before. ``given`` is the word
    with an option's code, so that what runs is known without ``at``, but options may
    still follow. ``unclear`` is an option that may or may not take a value.
    """

    at: int | None
    given: int | None = None
    unclear: str | None = None


def read(words: Sequence[str], program: Program, begin: int) -> Leading:
    """Read the options that begin at ``begin``, up to what they stand before."""
    at = begin
    given: int | None = None
    while at < len(words):
        word = words[at]
        if word == "--":
            at += 1
            break
        if not word.startswith("-") or word == "-":
            break
        if program.row.module and word == "-m":
            break
        match _takes(word, program):
            case _Takes.UNKNOWN:
                return Leading(at=None, given=given, unclear=word)
            case _Takes.VALUE:
                at += 2
            case _Takes.CODE:
                given = at + 1 if at + 1 < len(words) else given
                at += 2
            case _Takes.CODE_WITHIN:
                given = at
                at += 1
            case _Takes.NOTHING:
                at += 1
    return Leading(at=at if at < len(words) else None, given=given)


def _takes(word: str, program: Program) -> _Takes:
    whole = _exactly(word.partition("=")[0], program)
    if whole is not _Takes.UNKNOWN:
        if "=" not in word:
            return whole
        return _Takes.CODE_WITHIN if whole is _Takes.CODE else _Takes.NOTHING
    if word.startswith(program.flag_begins):
        return _Takes.NOTHING
    if word.startswith("--"):
        return _Takes.NOTHING if "=" in word else _Takes.UNKNOWN
    return _letters(word, program)


def _exactly(word: str, program: Program) -> _Takes:
    if word in program.code:
        return _Takes.CODE
    if word in program.values:
        return _Takes.VALUE
    return _Takes.NOTHING if word in program.flags else _Takes.UNKNOWN


def _letters(word: str, program: Program) -> _Takes:
    """Read letters in one word, the last of which may be followed by its value."""
    for at, letter in enumerate(word[1:], 1):
        taken = _exactly(f"-{letter}", program)
        is_last = at == len(word) - 1
        if taken is _Takes.CODE:
            return taken if is_last else _Takes.CODE_WITHIN
        if taken is _Takes.VALUE:
            return taken if is_last else _Takes.NOTHING
        if taken is _Takes.UNKNOWN:
            return taken
    return _Takes.NOTHING
