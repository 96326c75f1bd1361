"""What of an agent's request may go up, and what goes up instead of it.

The relay is the only way out of a container without network, so a request must not
carry anything that makes the model's side fetch, run or remember: server tools, MCP
servers, containers, files, URLs. Fields are let through by name; everything else is
refused with its name. What goes up is this parse, serialised anew. The lists hold
what Claude Code 2.1.329 was seen to send, and nothing that reaches outside.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from pyglue import models
from pyglue.api.relay import ModelPolicy
from pyglue.errors import ErrorCode, HiveError
from pyglue.models import ModelInfo, Tokens
from pyglue.relay.content import Reader, bad, refused, shown
from pyglue.relay.strict_json import parse, serialise

BODY_LIMIT: Final = 32 * 1024 * 1024
"""Largest request in bytes."""
_BYTES_PER_TOKEN: Final = 3
_AN_HOUR: Final = b'"1h"'
_MIN_OUTPUT: Final = 2048
_MIN_THINKING: Final = 1024
_MAX_OUTPUT: Final = 1_000_000

_FIELDS: Final = frozenset(
    {
        "cache_control",
        "context_management",
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "output_config",
        "output_format",
        "service_tier",
        "stop_sequences",
        "stream",
        "system",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
    }
)
_BETAS: Final = frozenset(
    {
        "cache-diagnosis-2026-04-07",
        "cache-keepalive-2026-09-03",
        "claude-code-20250219",
        "claude-code-side-query-2026-09-29",
        "context-1m-2025-08-07",
        "context-hint-2026-04-09",
        "context-management-2025-06-27",
        "effort-2025-11-24",
        "extended-cache-ttl-2025-04-11",
        "fine-grained-tool-streaming-2025-05-14",
        "interleaved-thinking-2025-05-14",
        "mid-conversation-system-2026-04-07",
        "mid-conversation-system-clear-at-2026-08-21",
        "mid-conversation-tool-changes-2026-07-01",
        "per-turn-control-2026-07-01",
        "prompt-caching-evict-2026-05-12",
        "prompt-caching-scope-2026-01-05",
        "redact-thinking-2026-02-12",
        "request-tags-2026-08-21",
        "structured-outputs-2025-12-15",
        "task-budgets-2026-03-13",
        "thinking-binding-controls-2026-08-01",
        "thinking-display-updates-2026-08-18",
        "thinking-resumption-2026-07-17",
        "thinking-token-count-2026-05-13",
        "timing-2026-09-09",
        "token-counting-2024-11-01",
        "tool-provenance-2026-10-26",
    }
)
"""What Claude Code 2.1.329 knows of how answers are shaped, cached and streamed; none
of it reaches outside. Betas for files, MCP, web, fallbacks and agents are not here."""
_BETAS_OF_SERVER_TOOLS: Final = {
    "code_execution": ("code-execution-2025-05-22", "code-execution-2025-08-25"),
    "web_fetch": ("web-fetch-2025-09-10",),
    "web_search": ("web-search-2025-03-05",),
}


@dataclass(frozen=True)
class Checked:
    """A request that may go up. ``input_tokens`` is an estimate, rather too high."""

    body: dict[str, Any]
    model: ModelInfo
    betas: tuple[str, ...]
    input_tokens: int
    keeps_for_an_hour: bool = False
    """Whether some of it may be cached for an hour, which costs twice as much."""

    @property
    def is_streamed(self) -> bool:
        """Whether the answer comes as events."""
        return self.body.get("stream") is True

    @property
    def max_tokens(self) -> int:
        """How many tokens may come back."""
        return int(self.body.get("max_tokens", 0))

    @property
    def input_cost_usd(self) -> float:
        """Dollars for what is sent."""
        return self.model.cost_usd(self._tokens_at_most(output=0))

    @property
    def max_cost_usd(self) -> float:
        """Dollars if every token that is asked for comes back."""
        return self.model.cost_usd(self._tokens_at_most(output=self.max_tokens))

    def _tokens_at_most(self, *, output: int) -> Tokens:
        if not self.keeps_for_an_hour:
            return Tokens(input=self.input_tokens, output=output)
        cached = self.input_tokens
        return Tokens(cache_write=cached, cache_write_1h=cached, output=output)

    def encoded(self) -> bytes:
        """Return what is sent."""
        return serialise(self.body)

    def within(self, budget_usd: float) -> "Checked | None":
        """Return this with as many tokens as ``budget_usd`` pays; None if too few."""
        price = self.model.prices_for(self.input_tokens).output / 1_000_000
        return self.within_tokens(int((budget_usd - self.input_cost_usd) / price))

    def within_tokens(self, affordable: int) -> "Checked | None":
        """Return this with at most so many tokens to come back; None if too few."""
        if affordable < min(_MIN_OUTPUT, self.max_tokens):
            return None
        tokens = min(affordable, self.max_tokens)
        body = {**self.body, "max_tokens": tokens}
        thinking = body.get("thinking")
        asked = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
        if isinstance(thinking, dict) and isinstance(asked, int) and asked >= tokens:
            budget = max(_MIN_THINKING, tokens - _MIN_THINKING)
            body["thinking"] = {**thinking, "budget_tokens": budget}
        return replace(self, body=body)


def check(
    raw: bytes, betas: Iterable[str], policy: ModelPolicy, *, counting: bool
) -> Checked:
    """Parse and judge a request; ``counting`` is for ``count_tokens``.

    ``betas`` are the values of the ``anthropic-beta`` headers.

    Raises:
        HiveError: ``bad_request``, ``field_refused``, ``model_not_allowed``.
    """
    body = parse(raw)
    for name in sorted(body.keys() - _FIELDS):
        raise refused(f"the field {shown(name)}")
    model = _model(body.get("model"), policy)
    reader = Reader(policy)
    reader.tools(body.get("tools"))
    reader.content(body.get("system"))
    reader.messages(body.get("messages"))
    tokens = body.get("max_tokens", 0 if counting else None)
    if not isinstance(tokens, int) or isinstance(tokens, bool):
        raise bad("max_tokens must be a whole number")
    if not 0 <= tokens <= _MAX_OUTPUT:
        raise bad(f"max_tokens must lie between 0 and {_MAX_OUTPUT}")
    return Checked(
        body={**body, "model": model.id},
        model=model,
        betas=_betas(betas, policy),
        input_tokens=reader.tokens(len(raw), bytes_per_token=_BYTES_PER_TOKEN),
        keeps_for_an_hour=_AN_HOUR in raw,
    )


def _model(name: object, policy: ModelPolicy) -> ModelInfo:
    found = models.resolve(name) if isinstance(name, str) else None
    if found is None or found.id not in policy.models:
        raise HiveError(
            ErrorCode.MODEL_NOT_ALLOWED,
            f"model: {shown(name)} is not one of this agent's models: "
            f"{', '.join(sorted(policy.models)) or 'none'}.",
        )
    return found


def _betas(headers: Iterable[str], policy: ModelPolicy) -> tuple[str, ...]:
    allowed = _BETAS.union(
        *(_BETAS_OF_SERVER_TOOLS.get(tool, ()) for tool in policy.server_tools)
    )
    asked = [name.strip() for header in headers for name in header.split(",")]
    for name in asked:
        if name and name not in allowed:
            raise refused(f"the beta {shown(name)}")
    return tuple(dict.fromkeys(name for name in asked if name))
