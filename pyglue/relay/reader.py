"""The walk through a request, which judges every block and finds what is billable."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from msgspec import UNSET, Raw

from pyglue.api.relay import ModelPolicy
from pyglue.limits import RelayLimits
from pyglue.relay.body import Body, ToolChoice
from pyglue.relay.content import (
    Block,
    BlocksSource,
    CacheControl,
    Citations,
    Document,
    Image,
    InnerBlock,
    Part,
    PdfSource,
    ResultBlock,
    SearchResult,
    ServerPart,
    ServerResult,
    TextBlock,
    TextSource,
    ToolAddition,
    ToolDefinition,
    ToolReference,
    ToolRemoval,
    ToolResult,
    begins,
    check_texts,
    size,
)
from pyglue.relay.plain import bad, decoded, refused
from pyglue.relay.tools import ClientTool, ServerTool, judge

_CITED: Final = 8
"""Tokens per byte of a cited document at most: every sentence is numbered."""


@dataclass(kw_only=True)
class Found:
    """Facts about a request that its number of bytes does not tell."""

    images: int = 0
    documents: int = 0
    media_bytes: int = 0
    references: int = 0
    largest_tool: int = 0
    provider_tools: int = 0
    cited_tokens: int = 0
    caches: bool = False
    caches_for_an_hour: bool = False
    server_tools: tuple[ServerTool, ...] = ()


class Reader:
    """Walks one request, judges it, and replaces its bytes with parsed parts."""

    def __init__(self, policy: ModelPolicy, limits: RelayLimits) -> None:
        self._allowed = frozenset(policy.server_tools)
        self._limits = limits
        self._blocks = 0
        self.found = Found()

    def read(self, body: Body) -> None:
        """Judge all of ``body``.

        Raises:
            HiveError: ``bad_request``, ``field_refused``.
        """
        self._cache(body.cache_control)
        if isinstance(body.tool_choice, ToolChoice):
            check_texts(body.tool_choice)
        if isinstance(body.tools, list):
            body.tools = [self._tool(tool) for tool in body.tools]
        if isinstance(body.system, Raw):
            body.system = self._content(body.system, list[TextBlock], "system")
        for message in body.messages if isinstance(body.messages, list) else ():
            message.content = self._content(message.content, list[Block], "content")

    def _content(self, raw: Raw, kind: type[Sequence[Part]], where: str) -> Raw:
        """Judge a text or a list of blocks; the parsed form is encoded again later."""
        if begins(raw) in (b'"', b"n"):
            return raw
        blocks = decoded(raw, kind, where)
        self._count(blocks)
        for block in blocks:
            self._block(block)
        return _encodable(blocks)

    def _count(self, blocks: Sequence[Part]) -> None:
        self._blocks += len(blocks)
        if self._blocks > self._limits.blocks:
            raise bad(f"it has more than {self._limits.blocks} blocks")

    def _block(self, block: Part) -> None:
        check_texts(block)
        self._cache(getattr(block, "cache_control", UNSET))
        match block:
            case Image():
                self._image(block)
            case Document():
                self._document(block)
            case SearchResult():
                self._count(block.content)
                self._cited(block.citations, sum(size(b.text) for b in block.content))
                for inner in block.content:
                    self._block(inner)
            case ToolResult() if isinstance(block.content, Raw):
                block.content = self._content(
                    block.content, list[ResultBlock], "tool_result"
                )
            case ToolReference():
                self.found.references += 1
            case ToolAddition(tool=ToolDefinition() as new):
                new.definition = self._tool(new.definition)
            case ToolAddition() | ToolRemoval():
                self._block(block.tool)
            case ServerPart():
                if not self._allowed:
                    raise refused("a block of a server tool")
                # It may contain a document, which counts as one.
                self.found.documents += isinstance(block, ServerResult)

    def _image(self, image: Image) -> None:
        check_texts(image.source)
        self.found.images += 1
        self.found.media_bytes += size(image.source.data)

    def _document(self, document: Document) -> None:
        source = document.source
        check_texts(source)
        match source:
            case PdfSource():
                self.found.documents += 1
                self.found.media_bytes += size(source.data)
            case TextSource():
                self._cited(document.citations, size(source.data))
            case BlocksSource():
                self._cited(document.citations, size(source.content))
                source.content = self._content(
                    source.content, list[InnerBlock], "a document"
                )

    def _cited(self, citations: object, length: int) -> None:
        if isinstance(citations, Citations) and citations.enabled:
            self.found.cited_tokens += (_CITED - 1) * length

    def _tool(self, raw: Raw) -> Raw:
        tool, server = judge(raw, self._allowed)
        check_texts(tool)
        self._cache(tool.cache_control)
        found = self.found
        found.largest_tool = max(found.largest_tool, size(raw))
        found.provider_tools += isinstance(tool, ClientTool) or server is not None
        if server is not None:
            found.server_tools += (server,)
        return _encodable(tool)

    def _cache(self, control: object) -> None:
        if isinstance(control, CacheControl):
            self.found.caches = True
            self.found.caches_for_an_hour |= control.ttl == "1h"


def _encodable(value: object) -> Raw:
    """Return a parsed value in place of its bytes: it encodes to the same."""
    return cast("Raw", value)
