"""One option that differs, and the words to say so with.

Called by ``diff`` and its kinds. No option's name stands here: the words come with
the options from modules/agent/options.nix, and an option without words still gets a
sentence from its path and description.
"""

import hashlib
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from pyglue.api.approvals import Danger, Effect, PolicyChange
from pyglue.manifest.record import canonical
from pyglue.manifest.schema import Option
from pyglue.text.display import COMMAND_LENGTH, command_line, quoted, visible
from pyglue.text.option_path import option_path

_QUOTES: Final = frozenset("“”")


class Priced(Protocol):
    """A model as the alias table knows it; a higher ``rank`` costs more."""

    @property
    def id(self) -> str:
        """Full id."""

    @property
    def rank(self) -> float:
        """Order of price."""


Resolve = Callable[[str], Priced | None]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One option with its value before and after; ``owner`` is ``" of the …"``.

    ``part`` says that this is one entry of the option, where None means: none there.
    ``fallback`` is what the host makes of None, a ``Fallback``, if that is known.
    """

    option: Option
    path: tuple[str, ...]
    before: Any
    after: Any
    resolve: Resolve
    owner: str = ""
    part: bool = False
    fallback: "Fallback | None" = None

    @property
    def what(self) -> str:
        """Name the option, capitalised, with what it belongs to."""
        name = self.option.words.name
        if name is not None:
            return f"{capitalised(name)}{self.owner}"
        return f"The option {option_path(self.path)}{hint(self.option)}"

    def say(self, value: object) -> str:
        """Write a value of the option for people."""
        words = self.option.words
        if value is None:
            return words.null or words.default or "nothing"
        if isinstance(value, bool):
            return "on" if value else "off"
        if isinstance(value, int | float):
            return f"{words.prefix}{value}{words.suffix}"
        if isinstance(value, str):
            return exactly(value) if value else "nothing"
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return exact_command(value) if value else "nothing"
        text = canonical(value).decode()
        return _with_hash(text, visible(text), visible(text))

    def change(self, effect: Effect, sentence: str) -> PolicyChange:
        """Return the finished change, with what is always said where it widens."""
        also = self.option.words.also
        if also is not None and effect is Effect.WIDENS:
            sentence = f"{sentence} {also}"
        return PolicyChange(
            option=option_path(self.path),
            effect=effect,
            sentence=sentence,
            before=self._json(self.before),
            after=self._json(self.after),
            danger=danger_of(self.option) if effect is Effect.WIDENS else None,
        )

    def unjudged(self) -> PolicyChange:
        """Return the change of what nothing here can judge: it widens."""
        before, after = self.say(self.before), self.say(self.after)
        return self.change(
            Effect.WIDENS, f"{self.what} changes from {before} to {after}."
        )

    def at(self, name: str, before: object, after: object) -> "Difference":
        """Return one entry of this option; None means that there is none."""
        path = (*self.path, name)
        return replace(self, path=path, before=before, after=after, part=True)

    def _json(self, value: object) -> str | None:
        return None if self.part and value is None else canonical(value).decode()


@dataclass(frozen=True)
class Fallback:
    """What holds where an agent.nix says nothing; None: no limit at all."""

    value: Any


def danger_of(option: Option) -> Danger:
    """Return how bad it is if ``option`` widens; a word nobody knows is the worst."""
    found = (one for one in Danger if one == option.danger)
    return next(found, Danger.CRITICAL)


def exactly(text: str) -> str:
    """Quote a text so that two texts never read the same: cut ones with a hash."""
    return _with_hash(text, quoted(text), visible(text))


def exact_command(words: Sequence[str]) -> str:
    """Write a command line so that two never read the same."""
    text = shlex.join(words)
    return _with_hash(text, command_line(words), visible(text, limit=COMMAND_LENGTH))


def _with_hash(text: str, shown: str, inner: str) -> str:
    """Add length and hash where what is shown is not all of it, letter by letter."""
    if inner == text and _QUOTES.isdisjoint(text):
        return shown
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{shown} [{len(text)} characters, SHA-256 {digest[:16]}]"


def value_at(tree: Mapping[str, Any], option: Option) -> object:
    """Return the option's value in ``tree``, its default where there is none."""
    value: object = tree
    for part in option.path:
        if not isinstance(value, Mapping) or part not in value:
            return option.default
        value = value[part]
    return value


def hint(option: Option) -> str:
    """Return the first sentence of the option's description in brackets."""
    first = " ".join(option.description.split()).split(". ")[0].rstrip(".")
    return f" ({visible(first, limit=200)})" if first else ""


def capitalised(text: str) -> str:
    """Make the first letter a capital and leave the rest."""
    return text[:1].upper() + text[1:]
