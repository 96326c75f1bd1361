"""The upper bound of a request's bill, from its parsed body.

No token is shorter than a byte, so a text counts as its number of bytes. A page of a
PDF, an image and a tool's name stand for more than their bytes and count as their
maximum. A model never reads more than its context, however much is sent. With server
tools, it reads everything again after each use. Everything that may be cached is
assumed to be written to the cache, at the highest of the requested prices.
"""

from dataclasses import dataclass
from typing import Final

from pyglue.models.catalogue import ModelInfo, Tokens
from pyglue.relay.reader import Found

CONTEXT_MAX: Final = 1_000_000
"""The largest context of any model, regardless of what is documented for one."""
_IMAGE_TOKENS: Final = 5000
_PAGES: Final = 600
_PAGE_TOKENS: Final = 3000
_PROMPT_TOKENS: Final = 2000
"""The provider's own additions to the prompt: how to use tools and formats."""
_PROVIDER_TOOL_TOKENS: Final = 2000
_COUNT_MARGIN: Final = 0.05
"""The provider calls its own count an estimate that may be slightly off."""


@dataclass(frozen=True, kw_only=True)
class Bound:
    """The most that the provider can bill besides the answer: see ``Checked``."""

    prompt: int
    """Tokens that are read, in all readings together."""
    searches: int
    fee_usd: float
    caches: bool
    caches_for_an_hour: bool

    def tokens(self, output: int) -> Tokens:
        """Return the most expensive usage within this bound."""
        if not self.caches:
            return Tokens(input=self.prompt, output=output, searches=self.searches)
        return Tokens(
            cache_write=self.prompt,
            cache_write_1h=self.prompt if self.caches_for_an_hour else 0,
            output=output,
            searches=self.searches,
        )

    def cost_usd(self, model: ModelInfo, output: int) -> float:
        """Return the most dollars for this and ``output`` tokens."""
        return model.cost_usd(self.tokens(output)) + self.fee_usd


def bound_of(found: Found, length: int, output: int) -> Bound:
    """Return the bound for a body of ``length`` bytes."""
    read = (
        _PROMPT_TOKENS
        + length
        - found.media_bytes
        + found.images * _IMAGE_TOKENS
        + found.documents * _PAGES * _PAGE_TOKENS
        + found.references * found.largest_tool
        + found.provider_tools * _PROVIDER_TOOL_TOKENS
        + found.cited_tokens
    )
    return _with_server_tools(found, read, output)


def counted_bound(found: Found, counted: int, output: int) -> Bound:
    """Return the bound for a body that the provider has counted."""
    read = int(counted * (1 + _COUNT_MARGIN)) + _PROMPT_TOKENS
    return _with_server_tools(found, read, output)


def _with_server_tools(found: Found, read: int, output: int) -> Bound:
    tools = found.server_tools
    uses = sum(tool.uses for tool in tools)
    if uses:
        read += output + sum(tool.uses * tool.result_tokens for tool in tools)
    return Bound(
        prompt=(1 + uses) * min(read, CONTEXT_MAX),
        searches=sum(tool.searches for tool in tools),
        fee_usd=sum(tool.fee_usd for tool in tools),
        caches=found.caches,
        caches_for_an_hour=found.caches_for_an_hour,
    )
