"""Programs and options that a wildcard of the Bash gate never lets through.

A pattern such as ``git *`` is meant for git's everyday use; taken by the letter it
would also run any program (``git -c alias.x='!sh' x``, ``--upload-pack=…``) or write
any file (``--output=…``). So words matched by a wildcard may not be one of these;
who wants one writes it out in a pattern. GNU and git options may be abbreviated,
which is why prefixes count. What is known of programs is in ``programs``. Called by
``gate`` alone.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Final

from pyglue.harness import programs
from pyglue.harness.programs import Options

_VERSION: Final = re.compile(r"[-.]?[0-9][0-9.]*$")

_SED_SAFE: Final = programs.names(
    "-n -E -r -s -z -u -nE -En -nr -rn --quiet --silent --regexp-extended --null-data "
    "--separate --unbuffered --posix --sandbox -e --"
)
_ADDRESS: Final = r"(?:[0-9]+|\$|/[^/\\\n\[]*/)"
_SED_STEP: Final = (
    rf" *(?:{_ADDRESS}(?:,(?:{_ADDRESS}|[+~][0-9]+))?)? *!? *"
    r"(?:[pdq=]|s/[^/\\\n\[]*/[^/\\\n\[]*/[gpiI0-9]*) *"
)
_SED_SCRIPT: Final = re.compile(rf"{_SED_STEP}(?:;{_SED_STEP})*")
"""Scripts that print, delete or replace text and can do nothing else."""


_PRINTF_STORES: Final = re.compile(r"%[^%a-zA-Z]*[hjlLqtz]*n")


def problem(words: Sequence[str], literal: Sequence[bool]) -> str | None:
    """Say why these words are refused although a pattern matches; None if not.

    ``literal[i]`` tells that the pattern names ``words[i]`` without a wildcard; it is
    longer than ``words`` when the pattern is open at its end.
    """
    name = PurePosixPath(words[0]).name
    plain = _VERSION.sub("", name) or name
    if words[0] in programs.RESERVED:
        return f"{words[0]!a} is shell syntax"
    at_startup = _startup_file(words, literal)
    if at_startup is not None:
        return at_startup
    if {name, plain} & programs.WRAPPERS or name.startswith(("ld-linux", "ld.so")):
        return None if all(literal) else _runs_others(name)
    if {name, plain} & programs.INTERPRETERS:
        return _interpreter(name, words, literal)
    if name == "git":
        return _git(words, literal)
    if name == "nix" or name.startswith("nix-"):
        return _nix(words, literal)
    if name in ("sed", "gsed"):
        return _sed(words, literal)
    if name in programs.TESTS:
        return _test(words, literal)
    options = programs.OPTIONS.get(name) or programs.OPTIONS.get(plain)
    if options is not None:
        return _other(name, words, literal, options)
    return None


def _runs_others(name: str) -> str:
    return (
        f"{name!a} runs other commands or changes what they mean, so it needs a "
        "pattern without '*'"
    )


def _interpreter(
    name: str, words: Sequence[str], literal: Sequence[bool]
) -> str | None:
    """All up to the program or script must be named, and there must be one."""
    at = 1
    while at < len(words) and literal[at] and words[at].startswith("-"):
        at += 1
    if all(literal) or (at < len(words) and literal[at]):
        return None
    return (
        f"{name!a} runs the program that its arguments give, so a pattern must name "
        "the script (as in 'python3 /state/report.py *')"
    )


def _git(words: Sequence[str], literal: Sequence[bool]) -> str | None:
    at = 1
    while at < len(words) and words[at].startswith("-"):
        if not literal[at]:
            return _named(words[at])
        takes_value = words[at] in programs.GIT_WITH_VALUE
        is_directory = words[at] == "-C"
        at += 1
        if takes_value and at < len(words):
            if not literal[at] and not is_directory:
                return _named(words[at])
            at += 1
    if at >= len(words):
        return None
    command = words[at]
    if not literal[at] and command not in programs.GIT_EVERYDAY:
        return f"'git {command[:40]}' is not one of git's everyday commands"
    if command in programs.GIT_RUNNERS and not all(literal):
        return _runs_others(f"git {command}")
    return _git_command(command, words, literal, at + 1)


def _git_command(
    command: str, words: Sequence[str], literal: Sequence[bool], begin: int
) -> str | None:
    """Judge what follows the name of git's ``command``."""
    if command in programs.GIT_REMOTE:
        for i in range(begin, len(words)):
            if not literal[i] and "::" in words[i]:
                return f"{words[i][:60]!a} could name a program for git to run"
            if not literal[i] and words[i] == "foreach":
                return _runs_others(f"git {command} foreach")
    refused = None
    if command == "clone":
        refused = _rest(words, literal, begin, programs.GIT_CLONE)
    elif command == "config":
        refused = _git_config(words, literal, begin)
    elif command in ("merge", "cherry-pick", "revert", "rebase", "pull"):
        refused = _rest(words, literal, begin, programs.GIT_MERGE)
    return refused or _rest(words, literal, begin, programs.GIT)


def _git_config(
    words: Sequence[str], literal: Sequence[bool], begin: int
) -> str | None:
    """Many keys name programs: only those that cannot may come from a wildcard."""
    refused = _rest(words, literal, begin, programs.GIT_CONFIG)
    if refused is not None:
        return refused
    for i in range(begin, len(words)):
        word = words[i]
        if word.startswith("-") or "." not in word:
            continue  # an option, 'get', 'set'
        section = word.partition(".")[0].lower()
        if not literal[i] and section not in programs.GIT_SAFE_SECTIONS:
            return f"the key {word[:60]!a} must be named by a pattern to be used"
        break
    else:
        for i in range(begin, len(words)):
            if not literal[i] and words[i] in ("rename-section", "--rename-section"):
                return _named(words[i])
    return None


def _nix(words: Sequence[str], literal: Sequence[bool]) -> str | None:
    for i in range(1, len(words)):
        if literal[i]:
            continue
        if words[i].startswith("-") and words[i] not in programs.NIX_SAFE:
            return _named(words[i])
        if i == 1 and words[0].endswith("nix") and words[1] in programs.NIX_RUNNERS:
            return _runs_others(f"nix {words[1]}")
    return None


def _sed(words: Sequence[str], literal: Sequence[bool]) -> str | None:
    """Scripts of sed can run commands and write files: take only those that can't."""
    takes_script = False
    given = False
    for i in range(1, len(words)):
        is_option = words[i].startswith("-") and not takes_script
        is_script = takes_script or not (is_option or given)
        takes_script = is_option and words[i] == "-e"
        given = given or is_script
        if literal[i]:
            continue
        if is_option and words[i] not in _SED_SAFE:
            return _named(words[i])
        if is_script and not _SED_SCRIPT.fullmatch(words[i]):
            return (
                f"the sed script {words[i][:60]!a} is not one of plain addresses with "
                "p, d, q, = or s/old/new/, so it must be named by a pattern"
            )
    return None


def _startup_file(words: Sequence[str], literal: Sequence[bool]) -> str | None:
    """Whoever can write these has every later command run what they like."""
    for i in range(1, len(words)):
        if literal[i]:
            continue
        parts = PurePosixPath(words[i].rpartition("=")[2]).parts
        in_git = any(
            one == ".git" and then in ("config", "hooks")
            for one, then in pairwise(parts)
        )
        if in_git or (parts and parts[-1] in programs.STARTUP_FILES):
            return (
                f"{words[i][:60]!a} is read by the shell or by git as commands, so it "
                "must be named by a pattern"
            )
    return None


def _test(words: Sequence[str], literal: Sequence[bool]) -> str | None:
    for i in range(1, len(words)):
        if not literal[i] and words[i] in programs.TESTS_OF_NAMES:
            return _named(words[i])
        if not literal[i] and words[i - 1] in programs.TESTS_OF_NAMES:
            return f"the variable {words[i][:60]!a} must be named by a pattern"
    return None


def _other(
    name: str, words: Sequence[str], literal: Sequence[bool], options: Options
) -> str | None:
    if (
        name.endswith("tar")
        and len(words) > 1
        and not literal[1]
        and not words[1].startswith("-")
        and _is_risky(f"-{words[1]}", options)  # options without their dash
    ):
        return _named(words[1])
    if name.endswith("make"):
        for i in range(1, len(words)):
            if not literal[i] and "=" in words[i] and not words[i].startswith("-"):
                return f"the variable {words[i][:60]!a} must be named by a pattern"
    if name == "printf":
        for i in range(1, len(words)):
            if not literal[i] and _PRINTF_STORES.search(words[i].replace("%%", "")):
                return "'%n' stores into a variable, so a pattern must name it"
    return _rest(words, literal, 1, options)


def _rest(
    words: Sequence[str], literal: Sequence[bool], begin: int, options: Options
) -> str | None:
    for i in range(begin, len(words)):
        if not literal[i] and _is_risky(words[i], options):
            return _named(words[i])
    return None


def _is_risky(word: str, options: Options) -> bool:
    if word in options.exact or word.startswith(options.begins):
        return True
    if word.startswith("--"):
        name = word[2:].partition("=")[0]
        return bool(name) and any(full.startswith(name) for full in options.long)
    if word.startswith("-"):
        return any(letter in options.short for letter in word[1:])
    return False


def _named(word: str) -> str:
    shown = word.partition("=")[0][:40]
    hint = ""
    if len(word) > 2 and not word.startswith("--"):
        hint = " (write short options and their values as separate words)"
    return f"the option {shown!a} must be named by a pattern to be used{hint}"
