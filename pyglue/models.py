"""The models that the hive knows: one table of ids, aliases and list prices.

Used by the relay (what a request may name and what it costs), by the policy diff
(a dearer model widens) and by hived (which full ids an agent may use). Ids, prices
and contexts are those that Claude Code 2.1.329 itself asks for and computes with:
measured in November 2026 by running it against a stand-in that reports a million
tokens of each kind. Prices are US dollars per million tokens; a cache write costs
1.25 times the input price for five minutes and 2 times for an hour.
"""

import re
from dataclasses import dataclass
from typing import Final

_DATED: Final = re.compile(r"(claude-[a-z0-9-]+?)-20[0-9]{6}")
_CACHE_WRITE: Final = 2.0


@dataclass(frozen=True)
class ModelInfo:
    """A model. ``context`` is in tokens; prices are USD per million tokens."""

    id: str
    input_usd: float
    output_usd: float
    cache_read_usd: float
    context: int
    aliases: tuple[str, ...] = ()

    @property
    def rank(self) -> float:
        """Order by price: what an output and an input token cost together."""
        return self.output_usd + self.input_usd

    def cost_usd(
        self,
        *,
        input_tokens: int = 0,
        output_tokens: int = 0,
        cache_read_tokens: int = 0,
        cache_write_tokens: int = 0,
    ) -> float:
        """Return what these tokens cost; cache writes at the dearer, hourly price."""
        total = (
            input_tokens * self.input_usd
            + output_tokens * self.output_usd
            + cache_read_tokens * self.cache_read_usd
            + cache_write_tokens * self.input_usd * _CACHE_WRITE
        )
        return total / 1_000_000


MODELS: Final = (
    ModelInfo("claude-haiku-5-5", 0.5, 0.5, 0.05, 1_000_000, ("haiku",)),
    ModelInfo("claude-haiku-4-5", 1, 5, 0.1, 200_000),
    ModelInfo("claude-sonnet-5-5", 2, 10, 0.1, 1_000_000, ("sonnet",)),
    ModelInfo("claude-sonnet-5", 2, 10, 0.2, 1_000_000),
    ModelInfo("claude-sonnet-4-6", 3, 15, 0.3, 200_000),
    ModelInfo("claude-sonnet-4-5", 3, 15, 0.3, 200_000),
    ModelInfo("claude-opus-5-5", 4, 20, 0.2, 1_000_000, ("opus",)),
    ModelInfo("claude-opus-5", 5, 25, 0.5, 1_000_000),
    ModelInfo("claude-opus-4-8", 5, 25, 0.5, 1_000_000),
    ModelInfo("claude-opus-4-7", 5, 25, 0.5, 1_000_000),
    ModelInfo("claude-opus-4-6", 5, 25, 0.5, 200_000),
    ModelInfo("claude-opus-4-5", 5, 25, 0.5, 200_000),
)
_BY_NAME: Final = {
    name: model for model in MODELS for name in (model.id, *model.aliases)
}


def resolve(name: str) -> ModelInfo | None:
    """Return the model that an alias or full id names, dated ids included."""
    dated = _DATED.fullmatch(name)
    return _BY_NAME.get(dated[1] if dated else name)


def small() -> ModelInfo:
    """Return the model that the CLI uses for its own small chores."""
    return _BY_NAME["haiku"]
