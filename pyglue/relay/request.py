"""Which parts of an agent's request are forwarded, and with what changes.

The relay is the only way out of a container without network, so a request must not
contain anything that makes the provider fetch, run or remember: server tools, MCP
servers, containers, files, URLs. Fields are allowed by name (``body``, ``content``,
``tools``); everything else is refused by name. The parsed request is encoded again and
sent. ``Checked`` also knows the most that can be billed for it (``bound``).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from pyglue.api.relay import ModelPolicy
from pyglue.errors import ErrorCode, HiveError
from pyglue.limits import RelayLimits
from pyglue.models.catalogue import KNOWN, Catalogue, ModelInfo
from pyglue.relay.body import Body, ThinkingConfig, read_body, text_of
from pyglue.relay.bound import Bound, bound_of, counted_bound
from pyglue.relay.plain import bad, look, refused, shown
from pyglue.relay.reader import Found, Reader

_MIN_OUTPUT: Final = 2048
_MIN_THINKING: Final = 1024
_NAME_MAX: Final = 256
_LONG_CONTEXT: Final = "context-1m-2025-08-07"
_LONG: Final = 1_000_000

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
"""Betas of Claude Code 2.1.329 about the form, caching and streaming of answers, none
of which reach outside. There are none for files, MCP, web, fallbacks and agents."""
_BETAS_OF_SERVER_TOOLS: Final = {
    "code_execution": ("code-execution-2025-05-22", "code-execution-2025-08-25"),
    "web_fetch": ("web-fetch-2025-09-10",),
    "web_search": ("web-search-2025-03-05",),
}


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A request that may be sent, and the most that can be billed for it."""

    body: Body
    model: ModelInfo
    betas: tuple[str, ...]
    found: Found
    bound: Bound
    is_billed: bool = True
    """Whether an answer costs money; counting is free."""

    @property
    def is_streamed(self) -> bool:
        """Whether the answer is a stream of events."""
        return self.is_billed and self.body.stream is True

    @property
    def max_tokens(self) -> int:
        """The maximum number of tokens in the answer."""
        asked = self.body.max_tokens
        return asked if isinstance(asked, int) else 0

    @property
    def max_cost_usd(self) -> float:
        """The cost in dollars of the longest possible answer."""
        return self.bound.cost_usd(self.model, self.max_tokens)

    def encoded(self) -> bytes:
        """Return the body to send."""
        return msgspec.json.encode(self.body)

    def encoded_to_count(self) -> bytes:
        """Return the body for the provider to count."""
        return msgspec.json.encode(self.body.counted())

    def without_body(self) -> "Checked":
        """Return the part that is still needed once the body is encoded."""
        kept = Body(max_tokens=self.body.max_tokens, stream=self.body.stream)
        return replace(self, body=kept)

    def counted(self, tokens: int) -> "Checked":
        """Return this with the provider's own count of the body."""
        exact = counted_bound(self.found, tokens, self.max_tokens)
        prompt = min(exact.prompt, self.bound.prompt)
        return replace(self, bound=replace(exact, prompt=prompt))

    def within(self, budget_usd: float) -> "Checked | None":
        """Return this with as many tokens as ``budget_usd`` buys; None if too few."""
        price = self.model.prices_for(self.bound.prompt).output / 1_000_000
        left = budget_usd - self.bound.cost_usd(self.model, 0)
        if left >= 0 and not price:
            return self
        return self.within_tokens(int(left / price) if price else 0)

    def within_tokens(self, affordable: int) -> "Checked | None":
        """Return this with at most so many tokens in the answer; None if too few."""
        if affordable < min(_MIN_OUTPUT, self.max_tokens):
            return None
        tokens = min(affordable, self.max_tokens)
        body = msgspec.structs.replace(self.body, max_tokens=tokens)
        thinking = body.thinking
        if isinstance(thinking, ThinkingConfig):
            asked = thinking.budget_tokens
            if isinstance(asked, int) and asked >= tokens:
                budget = max(_MIN_THINKING, tokens - _MIN_THINKING)
                body.thinking = msgspec.structs.replace(thinking, budget_tokens=budget)
        return replace(self, body=body)


def check(
    raw: bytes | bytearray,
    betas: Iterable[str],
    policy: ModelPolicy,
    *,
    counting: bool,
    limits: RelayLimits,
    models: Catalogue = KNOWN,
) -> Checked:
    """Parse and judge a request; ``counting`` is for ``count_tokens``.

    ``betas`` are the values of the ``anthropic-beta`` headers; ``models`` are the
    hive's.

    Raises:
        HiveError: ``bad_request``, ``field_refused``, ``model_not_allowed``.
    """
    look(raw, limits)
    body = read_body(raw)
    model = _model(body.model, policy, models)
    body.model = msgspec.Raw(msgspec.json.encode(model.id))
    reader = Reader(policy, limits)
    reader.read(body)
    output = body.max_tokens
    if not isinstance(output, int):
        if not counting:
            raise bad("max_tokens is missing")
        output = 0
    if output < 1 and not counting:
        raise bad("max_tokens must be at least 1")
    return Checked(
        body=body,
        model=model,
        betas=_betas(betas, policy, model),
        found=reader.found,
        bound=bound_of(reader.found, len(raw), output),
        is_billed=not counting,
    )


def _model(
    raw: msgspec.Raw | msgspec.UnsetType, policy: ModelPolicy, models: Catalogue
) -> ModelInfo:
    name = text_of(raw, longest=_NAME_MAX) if isinstance(raw, msgspec.Raw) else None
    found = None if name is None else models.resolve(name)
    if found is None or found.id not in policy.models:
        raise HiveError(
            ErrorCode.MODEL_NOT_ALLOWED,
            f"model: {shown(name)} is not one of this agent's models: "
            f"{', '.join(sorted(policy.models)) or 'none'}.",
        )
    return found


def _betas(
    headers: Iterable[str], policy: ModelPolicy, model: ModelInfo
) -> tuple[str, ...]:
    allowed = _BETAS.union(
        *(_BETAS_OF_SERVER_TOOLS.get(tool, ()) for tool in policy.server_tools)
    )
    asked = [name.strip() for header in headers for name in header.split(",")]
    for name in asked:
        if name and name not in allowed:
            raise refused(f"the beta {shown(name)}")
        if name == _LONG_CONTEXT and model.context < _LONG:
            raise refused(f"the beta {name} for {model.id}, whose price it changes,")
    return tuple(dict.fromkeys(name for name in asked if name))
