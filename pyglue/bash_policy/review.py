"""Reviews a proposed pattern: whether it can match, and what it allows.

A pattern with which the gate would refuse every command is refused immediately, with an
alternative, so that no approval shows permissions that do not exist. One that allows
any program gets its own sentence on the approval.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pyglue.bash_policy import git, judge, leading, options
from pyglue.bash_policy.match import Pattern
from pyglue.bash_policy.table import Kind, Program, basename, find, subcommand
from pyglue.bash_policy.words import names
from pyglue.text.display import quoted
from pyglue.text.option_path import option_path

_OPTION: Final = option_path(("bash", "allow"))
_SAMPLES: Final = 8
"""Everyday subcommands to try; a manifest has 200 patterns."""

_MARKS: Final = frozenset("~{}!#?")
"""Characters that no program's name contains; most have a meaning in the shell."""
_SHELLS: Final = names("ash bash dash fish ksh sh zsh")


def useless(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Return, for each pattern that can never match, what to write instead."""
    for text in patterns(manifest):
        reason = never_matches(text)
        if reason is not None:
            yield f"{_OPTION}: {quoted(text)} lets no command run: {reason}."


def patterns(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the Bash patterns of a manifest."""
    bash = manifest.get("bash")
    allow = bash.get("allow") if isinstance(bash, Mapping) else None
    if not isinstance(allow, list | tuple):
        return ()
    return tuple(text for text in allow if isinstance(text, str))


def never_matches(text: str) -> str | None:
    """Say why no command passes, and what to write instead; None if one does."""
    pattern = Pattern(text)
    first = text.split(" ")[0]
    if "=" in first:
        name = first.partition("=")[0]
        return f"a command cannot begin with a variable; set {name} in hyperhive.env"
    reason = _only_quoted(text)
    if reason is not None:
        return reason
    for command in _samples(pattern):
        match = pattern.match(command)
        if match is None:
            continue
        problem = judge.problem(match)
        if problem is None:
            return None
        reason = reason or problem
    return reason or "a wildcard never matches '..' in a path; write the path out"


def _only_quoted(text: str) -> str | None:
    """Say which word a command could only have in quotes, where it means little."""
    if text in ("Bash", ":*"):
        return "write '*' for every command that the gate knows, or name commands"
    first, *_ = words = text.split(" ")
    if not _MARKS.isdisjoint(first):
        return f"no program is called {first[:60]!a}"
    for word in words:
        if word == "~" or word.startswith("~/") or "=~/" in word:
            return f"the shell replaces {word[:60]!a}; write the path, such as /state/x"
    return None


def power(text: str) -> str | None:
    """Describe what a pattern allows beyond its wording; None: nothing."""
    pattern = Pattern(text)
    first = text.split(" ")[0]
    if not pattern.names_program:
        return "it names no program, so the agent can run any that the gate knows"
    if "*" in first:
        if "/" in first:
            return "the agent can run any program that it can place at such a path"
        return "the agent can run every program with such a name"
    notes = [note for note in _notes(pattern.fixed, open_end=pattern.open_end) if note]
    if pattern.open_end:
        notes += _named_options(pattern.fixed)
    return "; ".join(dict.fromkeys(notes)) or None


def _samples(pattern: Pattern) -> Iterator[tuple[str, ...]]:
    """Yield commands that the pattern should let through, if it lets any."""
    fixed = pattern.fixed
    first = ["ls"]
    if pattern.names_program:
        first = [fixed[0].replace("*", x) for x in ("x", "")]
    tails: list[tuple[str, ...]] = [()]
    if pattern.open_end:
        tails = [("x",), ("p",), ("x", "x"), ("if=x",)]
        tails += [(word,) for word in sorted(_everyday(fixed))[:_SAMPLES]]
    for begin in first:
        for filling in ("x", "", "p"):
            words = [word.replace("*", filling) for word in fixed[1:]]
            yield from ((begin, *words, *tail) for tail in tails)


def _everyday(fixed: tuple[str, ...]) -> frozenset[str]:
    found = frozenset({"status"})
    for _, program in _programs(fixed):
        if program is not None and program.everyday:
            found = program.everyday
    return found


def _notes(fixed: tuple[str, ...], *, open_end: bool) -> Iterator[str]:
    programs = list(_programs(fixed))
    for _, program in programs:
        if program is not None and program.row.note and open_end:
            yield program.row.note
    name, program = programs[-1]
    if program is None:
        if open_end and "/" not in name:
            yield (
                f"the hive does not know {name}, and refuses only options with "
                "dangerous-looking names"
            )
        elif open_end:
            yield _script(name)
    elif program.kind is Kind.CODE or (name in _SHELLS and len(fixed) > 1):
        yield _script(_script_of(fixed, name))


def _script_of(fixed: tuple[str, ...], name: str) -> str:
    """Return what an interpreter runs: the first word that is no option, or value."""
    last = basename(name.split()[-1])
    begin = next((i for i, w in enumerate(fixed) if basename(w) == last), 0) + 1
    program = find(fixed[begin - 1])
    if program is not None and program.kind is Kind.CODE:
        found = leading.read(fixed, program, begin)
        at = found.at if found.given is None else found.given
        return name if at is None else fixed[at]
    return next((w for w in fixed[begin:] if not w.startswith("-")), name)


def _named_options(fixed: tuple[str, ...]) -> Iterator[str]:
    """Yield a note on an option last in a pattern, whose value a wildcard gives."""
    *_, (name, program) = _programs(fixed)
    last = fixed[-1]
    if program is None or not last.startswith("-") or "=" in last:
        return
    if options.is_refused(last, program) or (
        program.row.special == "git" and git.is_refused(last)
    ):
        yield (
            f"it lets the agent choose the value of {name} {last}, which can be a "
            "program, a configuration or a file to write"
        )


def _script(name: str) -> str:
    return f"it runs {name}: if the agent can write that, it can run any program"


def _programs(
    fixed: tuple[str, ...],
) -> Iterator[tuple[str, Program | None]]:
    """Yield the program that a pattern names, then what that runs."""
    words = list(fixed)
    while words:
        name, program = basename(words[0]), find(words[0])
        yield words[0] if "/" in words[0] else name, program
        words = words[1:]
        while program is not None:
            at = _operand(program, words)
            below = None if at is None else subcommand(program, words[at])
            if below is None or at is None:
                break
            word = words[at]
            words = words[at + 1 :]
            program = below
            yield f"{name} {word}", program
        if program is None or not (program.row.inner or _is_module(program, words)):
            return
        words = _inner(program, words)


def _operand(program: Program, words: list[str]) -> int | None:
    """Return where the first word stands that is no option, nor the value of one."""
    before = ("", *words)
    return next(
        (
            at
            for at, word in enumerate(words)
            if not word.startswith("-") and before[at] not in program.values
        ),
        None,
    )


def _is_module(program: Program, words: list[str]) -> bool:
    return program.row.module and "-m" in words


def _inner(program: Program, words: list[str]) -> list[str]:
    if program.row.module:
        return words[words.index("-m") + 1 :]
    at, skip = 0, program.row.skip
    while True:
        found = leading.read(words, program, at).at
        if found is None:
            return []
        if not skip and "=" not in words[found]:
            return words[found:]
        skip -= bool(skip)
        at = found + 1
