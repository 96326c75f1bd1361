"""The models that the hive knows: one table of ids, aliases and list prices.

Used by the relay (what a request may name and what it costs), by the policy diff
(a dearer model widens) and by hived (which full ids an agent may use). Ids, aliases,
prices and contexts are those of the model catalogue inside Claude Code 2.1.329 (read
in November 2026; what the CLI asks for and computes with agrees): list prices of the
Anthropic API in US dollars per million tokens. They change with time and contract, so
costs are estimates; a web search by the model's side costs one cent.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_DATED: Final = re.compile(r"(claude-[a-z0-9-]+?)-20[0-9]{6}")
_SEARCH_USD: Final = 0.01
_SMALL: Final = "haiku"


@dataclass(frozen=True)
class Prices:
    """US dollars per million tokens; ``write_5m`` and ``write_1h`` fill the cache."""

    input: float
    output: float
    write_5m: float
    write_1h: float
    cache_read: float


@dataclass(frozen=True)
class Tokens:
    """What one request used. ``cache_write_1h`` is counted in ``cache_write`` too."""

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


@dataclass(frozen=True)
class ModelInfo:
    """A model; ``context`` in tokens. ``long`` are the prices above ``long_above``."""

    id: str
    prices: Prices
    context: int
    aliases: tuple[str, ...] = ()
    long: Prices | None = None
    long_above: int = 0
    is_own: bool = False
    """Whether the hive's configuration names it: the CLI knows nothing of it."""

    @property
    def rank(self) -> float:
        """Order by price: the most that an output and an input token cost together."""
        prices = self.long or self.prices
        return prices.output + prices.input

    def prices_for(self, prompt: int) -> Prices:
        """Return what holds for a prompt of so many tokens."""
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


_2_10: Final = Prices(2, 10, 2.5, 4, 0.2)
_3_15: Final = Prices(3, 15, 3.75, 6, 0.3)
_5_25: Final = Prices(5, 25, 6.25, 10, 0.5)
_8_40: Final = Prices(8, 40, 10, 16, 0.2)
_10_50: Final = Prices(10, 50, 12.5, 20, 1)
_10_50_CHEAP_READ: Final = Prices(10, 50, 12.5, 20, 0.25)
_15_75: Final = Prices(15, 75, 18.75, 30, 1.5)

MODELS: Final = (
    ModelInfo(
        "claude-haiku-5-5",
        Prices(0.1, 0.5, 0.125, 0.2, 0.01),
        1_000_000,
        ("haiku",),
        long=Prices(0.5, 2.5, 0.625, 1, 0.05),
        long_above=100_000,
    ),
    ModelInfo("claude-haiku-4-5", Prices(1, 5, 1.25, 2, 0.1), 200_000),
    ModelInfo("claude-sonnet-5-5", Prices(2, 10, 2.5, 4, 0.1), 1_000_000, ("sonnet",)),
    ModelInfo("claude-sonnet-5", _2_10, 1_000_000),
    ModelInfo("claude-sonnet-4-6", _3_15, 200_000),
    ModelInfo("claude-sonnet-4-5", _3_15, 200_000),
    ModelInfo("claude-sonnet-4-0", _3_15, 200_000, ("claude-sonnet-4",)),
    ModelInfo("claude-opus-5-5", Prices(4, 20, 5, 8, 0.2), 1_000_000, ("opus",)),
    ModelInfo("claude-opus-5", _5_25, 1_000_000),
    ModelInfo("claude-opus-4-8", _5_25, 1_000_000),
    ModelInfo("claude-opus-4-7", _5_25, 1_000_000),
    ModelInfo("claude-opus-4-6", _5_25, 200_000),
    ModelInfo("claude-opus-4-5", _5_25, 200_000),
    ModelInfo("claude-opus-4-1", _15_75, 200_000),
    ModelInfo("claude-opus-4-0", _15_75, 200_000, ("claude-opus-4",)),
    ModelInfo("claude-fable-5-2", _8_40, 1_000_000, ("fable",)),
    ModelInfo("claude-fable-5-1", _10_50_CHEAP_READ, 1_000_000),
    ModelInfo("claude-fable-5", _10_50, 1_000_000),
)


@dataclass(frozen=True)
class Catalogue:
    """The models of one hive: those above, and those of its configuration."""

    models: tuple[ModelInfo, ...]
    """In the order in which they are shown."""
    _by_name: Mapping[str, ModelInfo]

    @classmethod
    def of(cls, own: Sequence[ModelInfo] = ()) -> "Catalogue":
        """Make one; an alias or id of ``own`` takes the place of one of ours.

        The CLI itself turns an alias of ours into its id, so an id means what the
        hive's own alias says, unless the configuration names that id too.
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
        """Say that there is no such model, and which there are; None if there is."""
        if self.resolve(name) is not None:
            return None
        return f"There is no model {name[:100]!a}. {self.names()}"

    def names(self) -> str:
        """Say which models there are."""
        aliases = ", ".join(self.aliases)
        ids = ", ".join(model.id for model in self.models)
        return f"Use an alias ({aliases}) or a full id: {ids}."

    def same(self, one: str, other: str) -> bool:
        """Tell whether two names, aliases or full ids, mean the same model."""
        known, wanted = self.resolve(one), self.resolve(other)
        return one == other if known is None or wanted is None else known is wanted

    def small(self) -> ModelInfo:
        """Return the model that the CLI uses for its own small chores."""
        return self._by_name[_SMALL]


KNOWN: Final = Catalogue.of()
"""The models of a hive whose configuration adds none."""


def dearer(one: ModelInfo, other: ModelInfo) -> bool:
    """Tell whether ``one`` costs more than ``other``."""
    return one.rank > other.rank
