"""The table of programs: what is known of each, from ``tables/*.toml``.

A row says which words a wildcard of a pattern may not match. Nobody can list all
programs: one without a row is judged by what its options are called (``options``).
Words of ``refuse`` and ``accept`` are: ``--name`` a long option, also abbreviated
(``refuse``) and with ``=value``; ``-x`` a letter, also among others; ``-x:`` one that
takes a value (``accept``); ``begin*`` whatever begins so; anything else that very word.
With ``style = "long"`` options are whole words, with one dash or two.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Final

import msgspec

from pyglue import strict_json


class Kind(StrEnum):
    """What a program does with its arguments, beyond what its options say."""

    READS = "reads"
    """Puts no content into files."""
    PLAIN = "plain"
    RUNS = "runs"
    """Runs the program that its arguments name: a pattern must name all of it."""
    CODE = "code"
    """Runs the code or script that its first argument is: a pattern must name that."""


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row as it is written: each text is a list of words."""

    names: str
    under: str = ""
    """The row is about subcommands of these programs, or of ``docker/compose``."""
    kind: Kind = Kind.PLAIN
    special: str = ""
    """The judge in ``special`` for what a table cannot express."""
    style: str = "gnu"
    refuse: str = ""
    allow: str = ""
    """Long options that are no abbreviation of a refused one."""
    accept: str | None = None
    """If given, all other options are refused."""
    everyday: str = ""
    """Subcommands that a wildcard may match; a pattern may name others."""
    everyday_unless: str = ""
    """Subcommands that a wildcard may not match."""
    flags: str = ""
    """Options without a value before the subcommand, program or script; ``begin*``."""
    values: str = ""
    """Options whose value is the next word, to find what comes after it."""
    code: str = ""
    """For CODE: options whose value is what runs; more options may follow it."""
    inner: bool = False
    """For RUNS: what follows the program's name is judged as that program's."""
    inner_reads: bool = False
    """The same, but only for a program that reads, whatever its arguments."""
    skip: int = 0
    """Arguments before the inner program's name."""
    module: bool = False
    """For CODE: ``-m name`` runs a module, judged as the program of that name."""
    operands: int | None = None
    """A wildcard may give this many arguments that are no options."""
    holds: str = ""
    """Text that no argument may contain."""
    words: str = ""
    """Names before ``=`` that arguments may have; no others."""
    assigns: bool = False
    """An argument NAME=value sets a variable and must be named."""
    up: bool = False
    """Paths among its arguments may hold ``..``, as they usually do."""
    free: str = ""
    """What follows this word is for the project's own program."""
    note: str = ""
    """Shown to the operator when a pattern allows this with any arguments."""
    hint: str = ""
    """What to write instead."""


@dataclass(frozen=True, kw_only=True)
class Words:
    """Options as ``refuse`` or ``accept`` list them, sorted by how they match."""

    long: frozenset[str]
    short: frozenset[str]
    valued: frozenset[str]
    begins: tuple[str, ...]
    exact: frozenset[str]

    @classmethod
    def parse(cls, text: str, *, style: str) -> "Words":
        """Sort the words of ``text``."""
        found: dict[str, set[str]] = {
            kind: set() for kind in ("long", "short", "valued", "begins", "exact")
        }
        for word in text.split():
            if word.endswith("*") and len(word) > 1:
                found["begins"].add(word[:-1])
            elif style == "long" or word == "--" or not word.startswith("-"):
                found["exact"].add(word)
            elif word.startswith("--"):
                found["long"].add(word[2:])
            elif len(word) == 2:
                found["short"].add(word[1])
            elif len(word) == 3 and word.endswith(":"):
                found["valued"].add(word[1])
            else:
                found["exact"].add(word)
        begins = tuple(sorted(found.pop("begins")))
        return cls(begins=begins, **{k: frozenset(v) for k, v in found.items()})


@dataclass(frozen=True, kw_only=True)
class Program:
    """A row, ready to judge by, for one of the names that it is about."""

    name: str
    """The name in the table: of a subcommand with its program's in front."""
    row: Row
    kind: Kind
    refuse: Words
    accept: Words | None
    allow: frozenset[str]
    everyday: frozenset[str]
    unless: frozenset[str]
    flags: frozenset[str]
    flag_begins: tuple[str, ...]
    values: frozenset[str]
    code: frozenset[str]
    holds: tuple[str, ...]
    words: frozenset[str]

    @property
    def is_harmless(self) -> bool:
        """Whether it reads, whatever its arguments."""
        row = self.row
        limited = row.refuse or row.special or row.operands is not None or row.holds
        return self.kind is Kind.READS and not limited and self.accept is None


_CROSS: Final = re.compile(r"^[a-z0-9_]+-(?:[a-z0-9_]+-)?(?:linux|elf)[a-z0-9_]*-")
_VERSION: Final = re.compile(r"[-.]?[0-9][0-9.]*$")
_VARIANT: Final = re.compile(
    r"[.-](?:basic|distrib|nox|gtk3?|openbsd|real|static|tiny|traditional|wrapped)$"
)


def basename(word: str) -> str:
    """Return a program's name without its directory; ``.`` is one too."""
    return PurePosixPath(word).name or word


def find(word: str) -> Program | None:
    """Return the row of the program that ``word`` runs."""
    table = _table()
    name = basename(word)
    if name.startswith(("ld-linux", "ld.so", "ld-musl")):
        return table["ld.so"]
    bare = _VARIANT.sub("", _CROSS.sub("", name))
    plain = _VERSION.sub("", bare) or bare
    for known in (name, bare, plain, _VARIANT.sub("", plain)):
        if known in table:
            return table[known]
    return table[name[:3]] if name.startswith(("git-", "nix-")) else None


def subcommand(program: Program, word: str) -> Program | None:
    """Return the row of a subcommand of ``program``."""
    table = _table()
    for name in (program.name, *program.row.names.split()):
        found = table.get(f"{name} {word}")
        if found is not None:
            return found
    return None


def everything() -> Mapping[str, Program]:
    """Return the table: the names of programs, and ``program subcommand``."""
    return _table()


@cache
def _table() -> dict[str, Program]:
    table: dict[str, Program] = {}
    for row in _rows():
        program = _program(row)
        above = [one.replace("/", " ") for one in row.under.split()] or [""]
        for name in (f"{a} {n}".strip() for a in above for n in row.names.split()):
            if name in table:
                raise ValueError(f"{name} has two rows")
            table[name] = replace(program, name=name)
    return table


def _rows() -> Iterator[Row]:
    folder = files(__package__) / "tables"
    for source in sorted(folder.iterdir(), key=lambda file: file.name):
        if source.name.endswith(".toml"):
            data = tomllib.loads(source.read_text(encoding="utf-8"))
            yield from strict_json.convert(data["program"], list[Row])


def _program(row: Row) -> Program:
    def parsed(text: str) -> Words:
        return Words.parse(text, style=row.style)

    return Program(
        name="",
        row=row,
        kind=row.kind,
        refuse=parsed(row.refuse),
        accept=None if row.accept is None else parsed(row.accept),
        allow=frozenset(row.allow.split()),
        everyday=frozenset(row.everyday.split()),
        unless=frozenset(row.everyday_unless.split()),
        flags=frozenset(row.flags.split()),
        flag_begins=Words.parse(row.flags, style="long").begins,
        values=frozenset(row.values.split()),
        code=frozenset(row.code.split()),
        holds=tuple(row.holds.split()),
        words=frozenset(row.words.split()),
    )
