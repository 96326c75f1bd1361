"""What a wildcard of the Bash gate never lets through, although a pattern matches.

A pattern such as ``git *`` is meant for git's everyday use; taken literally it would
also run any program (``git -c alias.x='!sh' x``) or write any file (``--output=…``). So
a wildcard does not match words that the table protects; to allow one, write it out in a
pattern.
"""

from collections.abc import Sequence
from typing import Final

from pyglue.bash_policy import globs, leading, options, say, special, startup
from pyglue.bash_policy.match import Match
from pyglue.bash_policy.table import Kind, Program, basename, find, subcommand
from pyglue.bash_policy.words import names

_RESERVED: Final = names(
    """
    ! [[ ]] { } if then else elif fi case esac for select while until do done in
    function
    """
)
"""Words that cannot start a simple command."""

_FIRST_WORDS: Final = names(
    """
    alias config console debug edit editor eval exec extension plugin repl sh shell
    """
)
"""Subcommands by which many programs run others."""


def problem(match: Match) -> str | None:
    """Return why these words are refused although a pattern matches; None if not."""
    words = match.words
    if words[0] in _RESERVED:
        return f"{words[0]!a} is shell syntax"
    program = find(words[0])
    refused = (
        _above(match, program)
        or _startup_file(match, program)
        or globs.problem(match, program)
    )
    if refused is not None:
        return refused
    if not match.names_program and (program is None or "/" in words[0]):
        return (
            f"the gate does not know the program {words[0][:60]!a}, so a pattern must "
            "name it"
        )
    return _judge(match, program)


def _above(match: Match, program: Program | None) -> str | None:
    """A path that goes up leaves the place that a pattern is meant for."""
    below = None
    if program is not None and len(match.words) > 1:
        below = subcommand(program, match.words[1])
    if any(known is not None and known.row.up for known in (program, below)):
        return None
    for word, is_literal in zip(match.words[1:], match.literal[1:], strict=False):
        if not is_literal and startup.goes_up(word):
            return (
                f"a wildcard never matches '..' in a path, as in {word[:60]!a}; use a "
                "path without '..', or have a pattern name this one"
            )
    return None


def _judge(match: Match, program: Program | None) -> str | None:
    name = basename(match.words[0])
    if program is None:
        return _unknown(name, match)
    return _program(name, match, program, 1)


def _program(name: str, match: Match, program: Program, begin: int) -> str | None:
    """Check the arguments of a program, or of its subcommand."""
    if program.kind is Kind.RUNS:
        return _runs(name, match, program, begin)
    if program.kind is Kind.CODE:
        return _code(name, match, program, begin)
    if program.row.special:
        judged = special.JUDGES[program.row.special](match, begin)
        if judged is not None:
            return judged
    refused = _rest(match, program, begin)
    return refused or _subcommand(name, match, program, begin)


def _rest(match: Match, program: Program, begin: int) -> str | None:
    """Judge all further words by the row's lists."""
    limit = program.row.operands
    operands, has_ended = 0, False
    for i in range(begin, len(match.words)):
        word = match.words[i]
        if program.row.free and word == program.row.free:
            return None
        is_value = not has_ended and match.words[i - 1] in program.values
        is_operand = has_ended or word == "-" or not word.startswith("-")
        operands += is_operand and not is_value
        has_ended = has_ended or (word == "--" and not is_value)
        # Where operands count, options end at the first: they do for some programs.
        has_ended = has_ended or (limit is not None and operands > 0)
        if match.literal[i]:
            continue
        if options.is_refused(word, program):
            return say.named(word)
        if any(part in word for part in program.holds):
            return say.argument(word, "can mean more than a file or a name")
        if not is_operand:
            continue
        refused = _argument(word, program)
        if refused is not None:
            return refused
        if limit is not None and operands > limit and not is_value:
            return say.argument(word, "may be written to, or set")
    return None


def _argument(word: str, program: Program) -> str | None:
    before, sign, _ = word.partition("=")
    if sign and program.row.assigns:
        return f"the variable {word[:60]!a} must be named by a pattern"
    if program.words and before not in program.words:
        return say.argument(word, "is not one of the known arguments")
    return None


def _subcommand(name: str, match: Match, program: Program, begin: int) -> str | None:
    """Find the subcommand, and check it and its arguments."""
    if not program.everyday and not program.unless and not _has_subcommands(program):
        return None
    at = begin
    while at < len(match.words) and match.words[at].startswith("-"):
        word = match.words[at]
        if program.everyday and not match.literal[at] and word not in program.flags:
            has_more = any(not w.startswith("-") for w in match.words[at:])
            if has_more:
                return say.named(word)
        at += 2 if word in program.values else 1
    if at >= len(match.words):
        return None
    word = match.words[at]
    known = subcommand(program, word)
    if not match.literal[at]:
        allowed = not program.everyday or word in program.everyday
        if not allowed or word in program.unless:
            return say.subcommand(name, word)
    if known is None:
        return None
    return _program(f"{name} {word}", match, known, at + 1)


def _has_subcommands(program: Program) -> bool:
    return any(subcommand(program, word) for word in ("run", "exec", "install"))


def _runs(name: str, match: Match, program: Program, begin: int) -> str | None:
    """Allow a whole command line, or judge the program that is run as itself."""
    if all(match.literal):
        return None
    hint = program.row.hint
    if not program.row.inner:
        return say.runs_others(name, hint)
    named = match.words[: _named(match)]
    at, skip = begin, program.row.skip
    while True:
        found = leading.read(named, program, at)
        if found.unclear is not None:
            return say.unclear(name, found.unclear)
        if found.at is None:
            return say.runs_others(name, hint)
        at = found.at + 1
        if skip:
            skip -= 1
        elif "=" not in named[found.at]:
            return _inner(name, match.after(found.at), program)


def _inner(name: str, match: Match, program: Program) -> str | None:
    found = find(match.words[0])
    if program.row.inner_reads and (found is None or not found.is_harmless):
        return (
            f"{name!a} adds arguments that the gate does not see, so it may only run "
            "programs that read; write a pattern without '*' for others"
        )
    return problem(match)


def _code(name: str, match: Match, program: Program, begin: int) -> str | None:
    """All up to the program or script must be named, and there must be one."""
    words, literal = match.words, match.literal
    if all(literal):
        return None
    end = _named(match)
    found = leading.read(words[:end], program, begin)
    if found.unclear is not None:
        return say.unclear(name, found.unclear)
    at = found.at
    if at is None:
        if found.given is None:
            return say.runs_code(name, program.row.hint)
        return _further_options(words, end)
    if words[at] != "-m" or not program.row.module:
        known = subcommand(program, words[at])
        if known is None:
            return None
        return _program(f"{name} {words[at]}", match, known, at + 1)
    if literal[at + 1]:
        return problem(match.after(at + 1))
    return say.runs_code(name, program.row.hint)


def _further_options(words: Sequence[str], begin: int) -> str | None:
    """Options after code are the interpreter's still, up to the first operand."""
    for word in words[begin:]:
        if word == "--" or not word.startswith("-"):
            return None
        if word != "-":
            return say.named(word)
    return None


def _named(match: Match) -> int:
    """Return how many of the words are named before the first wildcard."""
    literal = match.literal[: len(match.words)]
    return literal.index(False) if False in literal else len(literal)


def _unknown(name: str, match: Match) -> str | None:
    """Judge a program that has no row; one that is named by a path is a script."""
    if "/" in match.words[0] and match.literal[0]:
        return None
    for i in range(1, len(match.words)):
        word = match.words[i]
        if match.literal[i]:
            continue
        first = all(w.startswith("-") for w in match.words[1:i])
        if (
            options.is_suspicious(word)
            or word.startswith("@")
            or (first and word in _FIRST_WORDS)
        ):
            return (
                f"the gate does not know {name[:60]!a}, and {word[:40]!a} could "
                "choose what it runs, reads or writes, so a pattern must name it "
                f"(as in '{name[:40]} {word.partition('=')[0][:40]} *')"
            )
    return None


def _startup_file(match: Match, program: Program | None) -> str | None:
    """Anyone who can write these decides what every later command runs."""
    reads = program is not None and program.kind is Kind.READS
    reads = reads or _is_git_that_reads(match.words)
    for i in range(1, len(match.words)):
        word = match.words[i]
        if match.literal[i]:
            continue
        if startup.runs_at_startup(word) or (
            not reads
            and not word.startswith("--exclude=")
            and match.words[i - 1] != "--exclude"
            and startup.must_not_be_written(word)
        ):
            return (
                f"{word[:60]!a} is, or holds, what a shell, git or another program "
                "reads by itself as commands or configuration, so it must be named by "
                "a pattern"
            )
    return None


def _is_git_that_reads(words: Sequence[str]) -> bool:
    writes = ("clone", "init", "mv", "worktree", "submodule", "bundle", "archive", "-C")
    return basename(words[0]).startswith("git") and not any(w in writes for w in words)
