"""Words that the table of programs protects from wildcards, in all spellings."""

import shlex
from collections.abc import Iterator
from typing import Final

from hypothesis import strategies as st

from pyglue.bash_policy.table import Kind, Program, everything

TABLE: Final = everything()
NAMES: Final = sorted(TABLE)


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


_TRICKS: Final = [
    (name, words)
    for name, program in sorted(TABLE.items())
    for words in spellings(program)
    if name not in ("sed", "gsed")  # by their scripts, and not by the table
]
_HONEST: Final = ("x", "src/a.py", "-v", "--verbose", "--", "a b", "1")
_FREE: Final = frozenset(p.row.free for p in TABLE.values()) - {""}


def _composed(
    trick: tuple[str, list[str]], before: list[str], after: list[str], place: str
) -> tuple[str, str]:
    name, words = trick
    program = TABLE[name]
    if program.everyday or program.unless or program.row.under:
        before = []  # the trick is, or follows, the subcommand
    if name.startswith("."):
        place = ""  # a builtin, and a directory with a path
    first, *more = name.split()
    before = [word for word in before if word not in _FREE]
    command = [f"{place}{first}", *more, *before, *words, *after]
    return f"{place}{name} *", shlex.join(command)


_honest = st.lists(st.sampled_from(_HONEST), max_size=3)
TRICKS: Final = st.builds(
    _composed,
    st.sampled_from(_TRICKS),
    _honest,
    _honest,
    st.sampled_from(("", "/usr/bin/")),
)
"""A pattern that is open at its end, and a command with a trick in it."""
