"""Programs whose arguments are too complex for the table."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from pyglue.bash_policy import git, options, say
from pyglue.bash_policy.match import Match
from pyglue.bash_policy.table import Words
from pyglue.bash_policy.words import names

_SED_SAFE: Final = names(
    """
    -n -E -r -s -z -u -nE -En -nr -rn --quiet --silent --regexp-extended --null-data
    --separate --unbuffered --posix --sandbox -e --
    """
)
_ADDRESS: Final = r"(?:[0-9]+|\$|/[^/\\\n\[]*/)"
_SED_STEP: Final = (
    rf" *(?:{_ADDRESS}(?:,(?:{_ADDRESS}|[+~][0-9]+))?)? *!? *"
    r"(?:[pdq=]|s/[^/\\\n\[]*/[^/\\\n\[]*/[gpiI0-9]*) *"
)
_SED_SCRIPT: Final = re.compile(rf"{_SED_STEP}(?:;{_SED_STEP})*")
"""Scripts that print, delete or replace text and can do nothing else."""

_PRINTF_STORES: Final = re.compile(r"%[^%a-zA-Z]*[hjlLqtz]*n")

_TAR_LETTERS: Final = Words.parse("-F -I -P -T -g -s -L", style="gnu")

_NIX_SAFE: Final = names("--json --parse --xml --strict --show-trace -")
_NIX_RUNNERS: Final = names("run shell develop repl fmt bundle env edit")

_TESTS_OF_NAMES: Final = frozenset(["-v", "-R"])
"""They look up a variable, and evaluate the subscript that its name may have."""


def _sed(match: Match, begin: int) -> str | None:
    """Scripts of sed can run commands and write files: take only those that can't."""
    takes_script = False
    given = False
    for i in range(begin, len(match.words)):
        word = match.words[i]
        is_option = word.startswith("-") and not takes_script
        is_script = takes_script or not (is_option or given)
        takes_script = is_option and word == "-e"
        given = given or is_script
        if match.literal[i]:
            continue
        if is_option and word not in _SED_SAFE:
            return say.named(word)
        if is_script and not _SED_SCRIPT.fullmatch(word):
            return (
                f"the sed script {word[:60]!a} is not one of plain addresses with "
                "p, d, q, = or s/old/new/, so it must be named by a pattern"
            )
    return None


def _test(match: Match, begin: int) -> str | None:
    for i in range(begin, len(match.words)):
        word = match.words[i]
        if not match.literal[i] and word in _TESTS_OF_NAMES:
            return say.named(word)
        if not match.literal[i] and match.words[i - 1] in _TESTS_OF_NAMES:
            return f"the variable {word[:60]!a} must be named by a pattern"
    return None


def _printf(match: Match, begin: int) -> str | None:
    for i in range(begin, len(match.words)):
        word = match.words[i].replace("%%", "")
        if not match.literal[i] and _PRINTF_STORES.search(word):
            return "'%n' stores into a variable, so a pattern must name it"
    return None


def _tar(match: Match, begin: int) -> str | None:
    """The first word may be options without their dash."""
    if len(match.words) <= begin or match.literal[begin]:
        return None
    word = match.words[begin]
    if not word.startswith("-") and options.is_listed(f"-{word}", _TAR_LETTERS):
        return say.named(word)
    return None


def _nix(match: Match, begin: int) -> str | None:
    words = match.words
    first = words[0].endswith("nix")
    for i in range(begin, len(words)):
        is_option = words[i].startswith("-")
        if not match.literal[i]:
            if is_option and words[i] not in _NIX_SAFE:
                return say.named(words[i])
            if first and words[i] in _NIX_RUNNERS:
                return say.runs_others(f"nix {words[i]}")
        first = first and is_option
    return None


JUDGES: Final[Mapping[str, Callable[[Match, int], str | None]]] = {
    "git": git.judge,
    "nix": _nix,
    "printf": _printf,
    "sed": _sed,
    "tar": _tar,
    "test": _test,
}
