"""Types of the allowed content in a request's tools and messages.

Called by ``request``. A block, source, tool or field that is not listed is refused by
name: it could make the provider fetch, run or remember something, which would give an
agent without a network access to the internet, or cost more than is reserved. The input
and output of tools are the agent's own text and are not examined. The lists contain
what Claude Code 2.1.329 sends.
"""

from typing import ClassVar, Final, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from pyglue.relay.plain import bad

Text = Raw
"""A JSON string, kept as the original bytes; ``texts`` of a type lists its own."""
MaybeText = Raw | UnsetType
Opaque = Raw
"""Any JSON, passed on unchanged."""


class Part(msgspec.Struct, forbid_unknown_fields=True):
    """A part of a request: fields that it does not list are refused."""

    texts: ClassVar[tuple[str, ...]] = ()


class CacheControl(Part, tag="ephemeral"):
    """The end of a cached prefix, and its lifetime: 5 minutes or an hour."""

    ttl: Literal["5m", "1h"] | UnsetType | None = UNSET
    scope: Literal["global"] | UnsetType = UNSET
    evict_on_complete: bool | UnsetType = UNSET


Cached = CacheControl | UnsetType | None


class Citations(msgspec.Struct, forbid_unknown_fields=True):
    """Whether answers cite a document, which is then read in numbered pieces."""

    enabled: bool = False


MaybeCitations = Citations | UnsetType | None


class TextBlock(Part, tag="text"):
    """Text; ``citations`` are those of an earlier answer."""

    texts = ("text",)
    text: Text
    citations: Opaque | UnsetType = UNSET
    cache_control: Cached = UNSET


class Thinking(Part, tag="thinking"):
    """A model's thinking, with its signature."""

    texts = ("thinking", "signature")
    thinking: Text
    signature: Text


class RedactedThinking(Part, tag="redacted_thinking"):
    """Thinking that is hidden."""

    texts = ("data",)
    data: Text


class ToolUse(Part, tag="tool_use"):
    """A call of a client's tool."""

    texts = ("id", "name")
    id: Text
    name: Text
    input: Opaque
    caller: Opaque | UnsetType = UNSET
    cache_control: Cached = UNSET


class ImageSource(Part, tag="base64"):
    """An image in the request."""

    texts = ("data",)
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: Text


class Image(Part, tag="image"):
    """An image."""

    source: ImageSource
    cache_control: Cached = UNSET


class PdfSource(Part, tag="base64"):
    """A PDF in the request."""

    texts = ("data",)
    media_type: Literal["application/pdf"]
    data: Text


class TextSource(Part, tag="text"):
    """A document of plain text."""

    texts = ("data",)
    media_type: Literal["text/plain"]
    data: Text


class BlocksSource(Part, tag="content"):
    """A document of texts and images."""

    content: Raw


class Document(Part, tag="document"):
    """A document."""

    texts = ("title", "context")
    source: PdfSource | TextSource | BlocksSource
    title: MaybeText = UNSET
    context: MaybeText = UNSET
    citations: MaybeCitations = UNSET
    cache_control: Cached = UNSET


class SearchResult(Part, tag="search_result"):
    """A result of a client's own search."""

    texts = ("source", "title")
    source: Text
    title: Text
    content: list[TextBlock]
    citations: MaybeCitations = UNSET
    cache_control: Cached = UNSET


class ToolReference(Part, tag="tool_reference"):
    """The name of a tool, which the provider replaces with the tool's definition."""

    texts = ("tool_name", "name")
    tool_name: MaybeText = UNSET
    name: MaybeText = UNSET
    cache_control: Cached = UNSET


class ToolDefinition(Part, tag="tool_definition"):
    """A tool that is added during a conversation."""

    definition: Raw


class ToolAddition(Part, tag="tool_addition"):
    """Adds a tool from here on."""

    tool: ToolReference | ToolDefinition
    cache_control: Cached = UNSET


class ToolRemoval(Part, tag="tool_removal"):
    """Removes a tool from here on."""

    tool: ToolReference
    cache_control: Cached = UNSET


class ToolResult(Part, tag="tool_result"):
    """The result of a client's tool: a text, or ``ResultBlock``s."""

    texts = ("tool_use_id",)
    tool_use_id: Text
    content: Raw | UnsetType = UNSET
    is_error: bool | UnsetType | None = UNSET
    cache_control: Cached = UNSET


class ServerPart(Part):
    """A server tool's part of the conversation; only for agents with such tools."""


class ServerToolUse(ServerPart, tag="server_tool_use"):
    """A call of a server tool."""

    texts = ("id", "name")
    id: Text
    name: Text
    input: Opaque
    caller: Opaque | UnsetType = UNSET
    cache_control: Cached = UNSET


class ServerResult(ServerPart):
    """The result of a server tool; may contain documents."""

    texts = ("tool_use_id",)
    tool_use_id: Text
    content: Opaque
    caller: Opaque | UnsetType = UNSET
    cache_control: Cached = UNSET


class SearchToolResult(ServerResult, tag="web_search_tool_result"):
    """See ``ServerResult``."""


class FetchToolResult(ServerResult, tag="web_fetch_tool_result"):
    """See ``ServerResult``."""


class CodeToolResult(ServerResult, tag="code_execution_tool_result"):
    """See ``ServerResult``."""


class BashToolResult(ServerResult, tag="bash_code_execution_tool_result"):
    """See ``ServerResult``."""


class EditorToolResult(ServerResult, tag="text_editor_code_execution_tool_result"):
    """See ``ServerResult``."""


InnerBlock = TextBlock | Image
ResultBlock = TextBlock | Image | Document | SearchResult | ToolReference
Block = (
    TextBlock
    | Image
    | Document
    | SearchResult
    | ToolReference
    | Thinking
    | RedactedThinking
    | ToolUse
    | ToolResult
    | ToolAddition
    | ToolRemoval
    | ServerToolUse
    | SearchToolResult
    | FetchToolResult
    | CodeToolResult
    | BashToolResult
    | EditorToolResult
)
_QUOTE: Final = b'"'
_NULL: Final = b"n"


def begins(raw: Raw) -> bytes:
    """Return the first byte, which tells the type of the JSON value."""
    return bytes(memoryview(raw)[:1])


def size(raw: Raw) -> int:
    """Return the number of bytes."""
    return memoryview(raw).nbytes


def check_texts(part: Part) -> None:
    """Check that the values that must be strings are strings.

    Raises:
        HiveError: ``bad_request``.
    """
    for name in part.texts:
        value = getattr(part, name)
        if isinstance(value, Raw) and begins(value) not in (_QUOTE, _NULL):
            raise bad(f"{name} must be a string")
