"""The outer structure of a request; ``reader`` walks its contents."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from pyglue.relay.content import (
    Cached,
    MaybeText,
    Opaque,
    Part,
    begins,
    size,
)
from pyglue.relay.plain import bad, decoded

_TOKENS_MAX = 1_000_000


class _Strict(msgspec.Struct, forbid_unknown_fields=True):
    pass


class Format(_Strict):
    """The JSON schema that an answer must follow."""

    type: Literal["json_schema"]
    schema: Opaque


class TaskBudget(_Strict):
    """The budget that the model is told."""

    type: Literal["tokens"]
    total: int
    remaining: int | UnsetType | None = UNSET


class OutputConfig(_Strict):
    """How the model should answer."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | UnsetType | None = UNSET
    format: Format | UnsetType | None = UNSET
    task_budget: TaskBudget | UnsetType | None = UNSET


class Metadata(_Strict):
    """The user of the request."""

    user_id: Annotated[str, Meta(max_length=4096)] | UnsetType | None = UNSET


class ThinkingConfig(_Strict):
    """How much the model may think."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: int | UnsetType = UNSET
    display: Literal["omitted", "summarized", "updates"] | UnsetType | None = UNSET
    block_binding: Opaque | UnsetType = UNSET


class ToolChoice(Part):
    """Which tool the model must call."""

    texts = ("name",)
    type: Literal["auto", "any", "none", "tool"]
    name: MaybeText = UNSET
    disable_parallel_tool_use: bool | UnsetType | None = UNSET


class Edit(_Strict):
    """A part of the prompt to leave out. Not summaries, which are billed separately."""

    type: Literal["clear_thinking_20251015", "clear_tool_uses_20250919"]
    keep: Opaque | UnsetType = UNSET
    trigger: Opaque | UnsetType = UNSET
    clear_at_least: Opaque | UnsetType = UNSET
    exclude_tools: Opaque | UnsetType = UNSET
    clear_tool_inputs: Opaque | UnsetType = UNSET


class ContextManagement(_Strict):
    """See ``Edit``."""

    edits: list[Edit] | UnsetType | None = UNSET


class Message(_Strict):
    """A message; its content is judged separately."""

    role: Literal["user", "assistant", "system"]
    content: Raw
    output_config: OutputConfig | UnsetType | None = UNSET
    clear_at: Literal["next_user_message"] | UnsetType | None = UNSET


class Counted(_Strict, kw_only=True):
    """The part of a request that the provider counts."""

    model: Raw | UnsetType = UNSET
    messages: list[Message] | UnsetType = UNSET
    system: Raw | UnsetType = UNSET
    tools: list[Raw] | UnsetType | None = UNSET
    tool_choice: ToolChoice | UnsetType | None = UNSET
    thinking: ThinkingConfig | UnsetType | None = UNSET
    cache_control: Cached = UNSET
    context_management: ContextManagement | UnsetType | None = UNSET
    output_config: OutputConfig | UnsetType | None = UNSET
    output_format: Format | UnsetType | None = UNSET


class Body(Counted, kw_only=True):
    """A request for an answer."""

    max_tokens: Annotated[int, Meta(ge=0, le=_TOKENS_MAX)] | UnsetType = UNSET
    metadata: Metadata | UnsetType | None = UNSET
    service_tier: Literal["auto", "standard_only"] | UnsetType | None = UNSET
    stop_sequences: Opaque | UnsetType = UNSET
    stream: bool | UnsetType | None = UNSET
    temperature: float | UnsetType | None = UNSET
    top_k: int | UnsetType | None = UNSET
    top_p: float | UnsetType | None = UNSET

    def counted(self) -> Counted:
        """Return the part that ``count_tokens`` accepts."""
        names = Counted.__struct_fields__
        return Counted(**{name: getattr(self, name) for name in names})


def read_body(raw: bytes | bytearray) -> Body:
    """Return the request in ``raw``, which is not judged yet.

    Raises:
        HiveError: ``bad_request``, ``field_refused``.
    """
    body = decoded(raw, Body, "the body")
    if isinstance(body.stop_sequences, Raw) and begins(body.stop_sequences) != b"[":
        raise bad("stop_sequences must be a list")
    return body


def text_of(raw: Raw, *, longest: int) -> str | None:
    """Return the string in ``raw``; None if it is not one or too long."""
    if begins(raw) != b'"' or size(raw) > longest:
        return None
    return decoded(raw, str, "a text")
