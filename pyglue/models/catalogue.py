"""The models that the hive knows: one table of ids, aliases and list prices.

Used by the relay (what a request may name and what it costs), by the policy diff
(a more expensive model widens) and by hived (which full IDs an agent may use). IDs,
aliases, prices and contexts are those of the model catalogue in Claude Code 2.1.329 (as
of November 2026; consistent with the CLI's requests and calculations): list prices of
the Anthropic API in US dollars per million tokens. They change with time and contract,
so costs are estimates; a web search by the model provider costs one cent.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_DATED: Final = re.compile(r"(claude-[a-z0-9-]+?)-20[0-9]{6}")
_SEARCH_USD: Final = 0.01
_SMALL: Final = "haiku"


@dataclass(frozen=True, kw_only=True)
class Prices:
    """US dollars per million tokens; ``write_5m`` and ``write_1h`` fill the cache."""

    input: float
    output: float
    write_5m: float
    write_1h: float
    cache_read: float


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """The usage of one request. ``cache_write`` includes ``cache_write_1h``."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    searches: int = 0

    @property
    def prompt(self) -> int:
        """Everything that was read by the model."""
        return self.input + self.cache_read + self.cache_write


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """A model; ``context`` in tokens. ``long`` are the prices above ``long_above``."""

    id: str
    prices: Prices
    context: int
    aliases: tuple[str, ...] = ()
    long: Prices | None = None
    long_above: int = 0
    is_own: bool = False
    """Whether it comes from the hive's configuration: the CLI does not know it."""

    @property
    def rank(self) -> float:
        """Order by price: the most that an output and an input token cost together."""
        prices = self.long or self.prices
        return prices.output + prices.input

    def prices_for(self, prompt: int) -> Prices:
        """Return the prices for a prompt of this many tokens."""
        return self.long if self.long and prompt > self.long_above else self.prices

    def cost_usd(self, tokens: Tokens) -> float:
        """Return what these tokens cost at list price."""
        prices = self.prices_for(tokens.prompt)
        hourly = min(tokens.cache_write_1h, tokens.cache_write)
        total = (
            tokens.input * prices.input
            + tokens.output * prices.output
            + tokens.cache_read * prices.cache_read
            + (tokens.cache_write - hourly) * prices.write_5m
            + hourly * prices.write_1h
        )
        return total / 1_000_000 + tokens.searches * _SEARCH_USD


_2_10: Final = Prices(input=2, output=10, write_5m=2.5, write_1h=4, cache_read=0.2)
_3_15: Final = Prices(input=3, output=15, write_5m=3.75, write_1h=6, cache_read=0.3)
_5_25: Final = Prices(input=5, output=25, write_5m=6.25, write_1h=10, cache_read=0.5)
_8_40: Final = Prices(input=8, output=40, write_5m=10, write_1h=16, cache_read=0.2)
_10_50: Final = Prices(input=10, output=50, write_5m=12.5, write_1h=20, cache_read=1)
_10_50_CHEAP_READ: Final = Prices(
    input=10, output=50, write_5m=12.5, write_1h=20, cache_read=0.25
)
_15_75: Final = Prices(input=15, output=75, write_5m=18.75, write_1h=30, cache_read=1.5)

MODELS: Final = (
    ModelInfo(
        id="claude-haiku-5-5",
        prices=Prices(
            input=0.1, output=0.5, write_5m=0.125, write_1h=0.2, cache_read=0.01
        ),
        context=1_000_000,
        aliases=("haiku",),
        long=Prices(input=0.5, output=2.5, write_5m=0.625, write_1h=1, cache_read=0.05),
        long_above=100_000,
    ),
    ModelInfo(
        id="claude-haiku-4-5",
        prices=Prices(input=1, output=5, write_5m=1.25, write_1h=2, cache_read=0.1),
        context=200_000,
    ),
    ModelInfo(
        id="claude-sonnet-5-5",
        prices=Prices(input=2, output=10, write_5m=2.5, write_1h=4, cache_read=0.1),
        context=1_000_000,
        aliases=("sonnet",),
    ),
    ModelInfo(id="claude-sonnet-5", prices=_2_10, context=1_000_000),
    ModelInfo(id="claude-sonnet-4-6", prices=_3_15, context=200_000),
    ModelInfo(id="claude-sonnet-4-5", prices=_3_15, context=200_000),
    ModelInfo(
        id="claude-sonnet-4-0",
        prices=_3_15,
        context=200_000,
        aliases=("claude-sonnet-4",),
    ),
    ModelInfo(
        id="claude-opus-5-5",
        prices=Prices(input=4, output=20, write_5m=5, write_1h=8, cache_read=0.2),
        context=1_000_000,
        aliases=("opus",),
    ),
    ModelInfo(id="claude-opus-5", prices=_5_25, context=1_000_000),
    ModelInfo(id="claude-opus-4-8", prices=_5_25, context=1_000_000),
    ModelInfo(id="claude-opus-4-7", prices=_5_25, context=1_000_000),
    ModelInfo(id="claude-opus-4-6", prices=_5_25, context=200_000),
    ModelInfo(id="claude-opus-4-5", prices=_5_25, context=200_000),
    ModelInfo(id="claude-opus-4-1", prices=_15_75, context=200_000),
    ModelInfo(
        id="claude-opus-4-0", prices=_15_75, context=200_000, aliases=("claude-opus-4",)
    ),
    ModelInfo(
        id="claude-fable-5-2", prices=_8_40, context=1_000_000, aliases=("fable",)
    ),
    ModelInfo(id="claude-fable-5-1", prices=_10_50_CHEAP_READ, context=1_000_000),
    ModelInfo(id="claude-fable-5", prices=_10_50, context=1_000_000),
)


@dataclass(frozen=True)
class Catalogue:
    """The models of one hive: those above, and those of its configuration."""

    models: tuple[ModelInfo, ...]
    """In the order in which they are shown."""
    _by_name: Mapping[str, ModelInfo]

    @classmethod
    def of(cls, own: Sequence[ModelInfo] = ()) -> "Catalogue":
        """Create one; an alias or id of ``own`` replaces one of ours.

        The CLI itself resolves our aliases to ids, so an id refers to the model of the
        configured alias, unless the configuration has that id too.
        """
        aliases = {alias: model for model in own for alias in model.aliases}
        ids = {model.id: model for model in own}
        found: dict[str, ModelInfo] = {}
        for model in MODELS:
            instead = (aliases[name] for name in model.aliases if name in aliases)
            meant = ids.get(model.id) or next(instead, model)
            found |= dict.fromkeys((model.id, *model.aliases), meant)
        found |= ids | aliases
        left = [model for model in MODELS if found[model.id] is model]
        return cls((*own, *left), found)

    def resolve(self, name: str) -> ModelInfo | None:
        """Return the model that an alias or full id names, dated ids included."""
        dated = _DATED.fullmatch(name)
        return self._by_name.get(name) or self._by_name.get(dated[1] if dated else "")

    @property
    def aliases(self) -> tuple[str, ...]:
        """One short name for each model that has one."""
        return tuple(model.aliases[0] for model in self.models if model.aliases)

    def unknown(self, name: str) -> str | None:
        """Return the error for an unknown model; None if it is known."""
        if self.resolve(name) is not None:
            return None
        return f"There is no model {name[:100]!a}. {self.names()}"

    def names(self) -> str:
        """Return the known models in words."""
        aliases = ", ".join(self.aliases)
        ids = ", ".join(model.id for model in self.models)
        return f"Use an alias ({aliases}) or a full id: {ids}."

    def same(self, one: str, other: str) -> bool:
        """Return whether two names, aliases or full ids, mean the same model."""
        known, wanted = self.resolve(one), self.resolve(other)
        return one == other if known is None or wanted is None else known is wanted

    def small(self) -> ModelInfo:
        """Return the model that the CLI uses for its own small chores."""
        return self._by_name[_SMALL]


KNOWN: Final = Catalogue.of()
"""The models of a hive whose configuration adds none."""


def dearer(one: ModelInfo, other: ModelInfo) -> bool:
    """Return whether ``one`` costs more than ``other``."""
    return one.rank > other.rank
