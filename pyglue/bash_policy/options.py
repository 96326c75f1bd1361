"""Whether a wildcard may match an option: by the program's row, or by its name."""

import re
from typing import Final

from pyglue.bash_policy.table import Program, Words
from pyglue.bash_policy.words import names

_LETTERS: Final = frozenset("aAghHjklnNqRsuvVyz#0123456789")
"""Letters that seldom choose a program, a file or a configuration."""

_STEMS: Final = tuple(
    sorted(
        names(
            """
            addon agent arg askpass backend bin boot browser call chdir cmd
            code command compiler conf cwd define dest dir driver dump edit
            engine env eval exec exp ext file filter format handle helper
            home hook host import include index init inter lib linker load
            loader log make module on opt out pager path plug post pre
            prefix preset profile program prop provider proxy python rc
            registry remote report require root run save script set shell
            source temp theme tool trace transform trigger url use view with
            wrap write
            """
        )
    )
)
_TAILS: Final = tuple(stem for stem in _STEMS if len(stem) > 3)
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[-_.:]+")


def is_refused(word: str, program: Program) -> bool:
    """Return whether a row protects ``word`` from wildcards."""
    if word.partition("=")[0] in program.allow:
        return False
    long_style = program.row.style == "long"
    if _matches(word, program.refuse, long_style=long_style, refusing=True):
        return True
    if program.accept is None or word in ("-", "--") or not word.startswith("-"):
        return False
    return not _matches(word, program.accept, long_style=long_style, refusing=False)


def is_listed(word: str, words: Words) -> bool:
    """Return whether an option is among refused ones, in any of its spellings."""
    return _matches(word, words, long_style=False, refusing=True)


def is_suspicious(word: str) -> bool:
    """Return whether an option of an unknown program has a dangerous-looking name.

    Those are options that choose a program, code, a configuration or a file to write.
    """
    if word in ("-", "--") or not word.startswith("-"):
        return False
    if not word.startswith("--"):
        return any(letter not in _LETTERS for letter in word[1:])
    parts = [part.lower() for part in _CAMEL.split(word[2:].partition("=")[0])]
    return any(part.startswith(_STEMS) or part.endswith(_TAILS) for part in parts)


def _matches(word: str, words: Words, *, long_style: bool, refusing: bool) -> bool:
    name, _, _ = word.partition("=")
    if long_style and word.startswith("--") and len(word) > 2:
        word, name = word[1:], name[1:]
    if word in words.exact or name in words.exact or word.startswith(words.begins):
        return True
    if long_style:
        # getopt_long_only and argparse take a beginning of a long option, too
        return (
            refusing and len(name) > 4 and any(e.startswith(name) for e in words.exact)
        )
    if word.startswith("--"):
        if refusing:
            return len(name) > 2 and any(f.startswith(name[2:]) for f in words.long)
        return name[2:] in words.long
    if not word.startswith("-") or len(word) < 2:
        return False
    if refusing:
        return any(letter in words.short for letter in word[1:])
    return _all_letters(word[1:], words)


def _all_letters(letters: str, words: Words) -> bool:
    for letter in letters:
        if letter in words.valued:
            return True
        if letter.isdigit() and "#" in words.short:
            continue
        if letter not in words.short:
            return False
    return True
