"""What the provider may bill at most, for tests of the daily limit."""

from typing import Any

from pyglue.models.catalogue import ModelInfo

CONTEXT = 1_000_000

PAGE = 3000

PAGES = 600


def price(model: ModelInfo, told: dict[str, Any]) -> float:
    """Return what the provider bills, by its price list."""
    written = told["cache_creation_input_tokens"]
    hour = told["cache_creation"]["ephemeral_1h_input_tokens"]
    parts = (told["input_tokens"], told["cache_read_input_tokens"], written)
    prices = model.prices_for(sum(parts))
    tokens = (
        told["input_tokens"] * prices.input
        + told["cache_read_input_tokens"] * prices.cache_read
        + (written - hour) * prices.write_5m
        + hour * prices.write_1h
        + told["output_tokens"] * prices.output
    )
    return tokens / 1e6 + 0.01 * told["server_tool_use"]["web_search_requests"]
