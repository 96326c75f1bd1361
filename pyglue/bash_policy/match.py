"""A pattern of ``bash.allow``, and the words of a command that it names."""

from collections.abc import Sequence
from dataclasses import dataclass


class Glob(str):
    """A word of a command that the shell replaces with names of files.

    ``globs`` says which of them a wildcard of a pattern may match; a pattern's own
    words never match one.
    """

    __slots__ = ()


@dataclass(frozen=True)
class Match:
    """Words that a pattern matches, and which of them it names without a wildcard.

    ``literal`` is longer than ``words`` when the pattern is open at its end, so that it
    is True throughout only for a pattern without any wildcard. ``names_program`` is
    False where the first word is ``*`` alone.
    """

    words: tuple[str, ...]
    literal: tuple[bool, ...]
    names_program: bool = True

    def after(self, begin: int) -> "Match":
        """Return the match of the command that begins at ``begin``."""
        return Match(self.words[begin:], self.literal[begin:])


@dataclass(frozen=True)
class _Word:
    """A word of a pattern, split at its wildcards."""

    text: str

    @property
    def is_literal(self) -> bool:
        return "*" not in self.text

    def matches(self, word: str) -> bool:
        if self.is_literal:
            return word == self.text and not isinstance(word, Glob)
        if isinstance(word, Glob) and "?" in self.text:
            return False  # one is a letter, and the other any letter
        if word.startswith("-") and self.text.startswith("*"):
            return False  # a wildcard for a name must not become an option
        return ".." not in word.split("/") and self._holds_in_order(word)

    def _holds_in_order(self, word: str) -> bool:
        """Find the parts from left to right, in time linear in the word's length."""
        first, *middle, last = self.text.split("*")
        at, end = len(first), len(word) - len(last)
        if at > end or not word.startswith(first) or not word.endswith(last):
            return False
        for part in middle:
            found = word.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True


class Pattern:
    """An entry of the manifest's Bash list: words, ``*`` in one or as the last."""

    def __init__(self, text: str) -> None:
        parts = text.split()
        self.text = text
        self.open_end = bool(parts) and parts[-1] == "*"
        self._words = [_Word(part) for part in parts[: -1 if self.open_end else None]]

    @property
    def fixed(self) -> tuple[str, ...]:
        """The words before an open end, with their wildcards."""
        return tuple(word.text for word in self._words)

    @property
    def names_program(self) -> bool:
        """Whether the first word says at least something of the program."""
        return bool(self._words) and self._words[0].text.strip("*") != ""

    def match(self, command: Sequence[str]) -> Match | None:
        """Match a command's words; None if the pattern does not."""
        fixed = len(self._words)
        if len(command) < fixed or (len(command) > fixed and not self.open_end):
            return None
        if not all(w.matches(c) for w, c in zip(self._words, command, strict=False)):
            return None
        if fixed and "/" in command[0] and "/" not in self.fixed[0]:
            return None  # a name that is looked up is no path
        literal = tuple(w.is_literal for w in self._words)
        if self.open_end:
            literal += (False,) * (len(command) - fixed + 1)
        return Match(tuple(command), literal, self.names_program)
