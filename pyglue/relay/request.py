"""What of an agent's request may go up, and what goes up instead of it.

The relay is the only way out of a container without network, so a request must not
carry anything that makes the model's side fetch, run or remember: server tools, MCP
servers, containers, files, URLs. Fields are let through by name; everything else is
refused with its name. What goes up is this parse, serialised anew.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pyglue import models
from pyglue.api.relay import ModelPolicy
from pyglue.errors import ErrorCode, HiveError
from pyglue.models import ModelInfo

BODY_LIMIT: Final = 32 * 1024 * 1024
"""Largest request in bytes."""
_DEPTH_MAX: Final = 100
_BYTES_PER_TOKEN: Final = 3
_MIN_OUTPUT: Final = 1024

_FIELDS: Final = frozenset(
    {
        "model",
        "messages",
        "system",
        "tools",
        "tool_choice",
        "stream",
        "max_tokens",
        "temperature",
        "top_p",
        "top_k",
        "stop_sequences",
        "metadata",
        "thinking",
        "context_management",
        "output_config",
        "output_format",
        "cache_control",
        "service_tier",
    }
)
_SERVER_TOOLS: Final = {
    "web_search": "web_search",
    "web_fetch": "web_fetch",
    "code_execution": "code_execution",
    "bash_code_execution": "code_execution",
    "text_editor_code_execution": "code_execution",
}
_CLIENT_TOOLS: Final = ("bash", "text_editor", "memory", "computer")
_SOURCES: Final = frozenset({"base64", "text", "content"})
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


@dataclass(frozen=True)
class Checked:
    """A request that may go up, and the most it may cost."""

    body: dict[str, Any]
    model: ModelInfo
    betas: tuple[str, ...]
    input_cost_usd: float

    @property
    def max_cost_usd(self) -> float:
        """Dollars if every token that is asked for comes back."""
        output = int(self.body.get("max_tokens", 0))
        return self.input_cost_usd + self.model.cost_usd(output_tokens=output)

    def encoded(self) -> bytes:
        """Return what is sent."""
        return json.dumps(self.body, separators=(",", ":"), ensure_ascii=False).encode(
            "utf-8", "surrogatepass"
        )

    def within(self, budget_usd: float) -> "Checked | None":
        """Return this with as many tokens as ``budget_usd`` pays; None if too few."""
        left = budget_usd - self.input_cost_usd
        affordable = int(left / self.model.cost_usd(output_tokens=1))
        if affordable < _MIN_OUTPUT:
            return None
        tokens = min(affordable, int(self.body["max_tokens"]))
        body = {**self.body, "max_tokens": tokens}
        return Checked(body, self.model, self.betas, self.input_cost_usd)


def check(raw: bytes, beta: str, policy: ModelPolicy, *, counting: bool) -> Checked:
    """Parse and judge a request; ``counting`` is for ``count_tokens``.

    Raises:
        HiveError: ``bad_request``, ``field_refused``, ``model_not_allowed``.
    """
    body = _parse(raw)
    unknown = sorted(set(body) - _FIELDS)
    if unknown:
        raise _refused(f"the field {unknown[0][:60]!a}")
    model = _model(body.get("model"), policy)
    for tool in _list(body, "tools"):
        _check_tool(tool, policy)
    _check_content(body.get("system"))
    for message in _list(body, "messages"):
        if not isinstance(message, dict):
            raise _bad("messages must be objects")
        _check_content(message.get("content"))
    tokens = body.get("max_tokens", 0 if counting else None)
    if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 0:
        raise _bad("max_tokens must be a whole number")
    return Checked(
        body={**body, "model": model.id},
        model=model,
        betas=_betas(beta),
        input_cost_usd=model.cost_usd(input_tokens=len(raw) // _BYTES_PER_TOKEN),
    )


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise _bad("the body is not plain JSON") from error
    if not isinstance(body, dict):
        raise _bad("the body is not an object")
    _check_depth(body)
    return body


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _check_depth(body: object) -> None:
    level: list[object] = [body]
    for _ in range(_DEPTH_MAX):
        level = [item for value in level for item in _inside(value)]
        if not level:
            return
    raise _bad(f"the body is nested more than {_DEPTH_MAX} deep")


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _list(body: Mapping[str, Any], name: str) -> list[Any]:
    value = body.get(name, [])
    if not isinstance(value, list):
        raise _bad(f"{name} must be a list")
    return value


def _model(name: object, policy: ModelPolicy) -> ModelInfo:
    found = models.resolve(name) if isinstance(name, str) else None
    if found is None or found.id not in policy.models:
        raise HiveError(
            ErrorCode.MODEL_NOT_ALLOWED,
            f"{str(name)[:80]!a} is not a model of this agent. Allowed: "
            f"{', '.join(policy.models)}.",
        )
    return found


def _check_tool(tool: object, policy: ModelPolicy) -> None:
    if not isinstance(tool, dict):
        raise _bad("tools must be objects")
    kind = tool.get("type", "custom")
    if kind == "custom":
        return
    family = str(kind).rpartition("_")[0] or str(kind)
    server = _SERVER_TOOLS.get(family)
    if server is not None and server in policy.server_tools:
        return
    if family in _CLIENT_TOOLS:
        return
    raise _refused(f"a tool of type {str(kind)[:60]!a}")


def _check_content(content: object) -> None:
    """Refuse content that the model's side would fetch, at any depth."""
    level: list[object] = [content]
    while level:
        for value in level:
            if isinstance(value, dict):
                _check_block(value)
        level = [item for value in level for item in _inside(value)]


def _check_block(block: dict[str, Any]) -> None:
    kind = block.get("type")
    if kind in ("image", "document"):
        source = block.get("source")
        source_kind = source.get("type") if isinstance(source, dict) else None
        if source_kind not in _SOURCES:
            raise _refused(f"a source of type {str(source_kind)[:60]!a}")
    elif kind in ("container_upload", "mcp_tool_use", "mcp_tool_result"):
        raise _refused(f"a block of type {kind!a}")


def _betas(header: str) -> tuple[str, ...]:
    asked = [name.strip() for name in header.split(",") if name.strip()]
    for name in asked:
        if name not in _BETAS:
            raise _refused(f"the beta {name[:60]!a}")
    return tuple(asked)


def _bad(what: str) -> HiveError:
    return HiveError(ErrorCode.BAD_REQUEST, f"The request is not right: {what}.")


def _refused(what: str) -> HiveError:
    return HiveError(
        ErrorCode.FIELD_REFUSED,
        f"The hive does not let {what} through to the model: it could reach outside. "
        "An option of the agent's manifest may allow it.",
    )
