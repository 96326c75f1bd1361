"""The tools allowed in a request, and the cost of the provider's own.

A client's tools run in the sandbox. Server tools run at the provider: only those named
in the manifest are allowed, and only with a maximum number of uses, because each use is
billed and makes the model read everything again.
"""

import re
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from pyglue import strict_json
from pyglue.relay.content import Cached, MaybeCitations, MaybeText, Opaque, Part, Text
from pyglue.relay.plain import bad, decoded, refused, shown
from pyglue.strict_json import JsonError

_CLIENT_TOOL: Final = re.compile(r"(bash|computer|memory|text_editor)_[0-9]{8}")
_SERVER_TOOL: Final = re.compile(r"(web_search|web_fetch|code_execution)_[0-9]{8}")
_KIND_MAX: Final = 64
_SEARCH_TOKENS: Final = 50_000
"""Assumed addition of one search to the prompt: several times ten long results."""
_CODE_USES: Final = 10
"""Code has no maximum number of uses; the provider ends a request after ten steps."""
_CODE_TOKENS: Final = 1_000_000
_CODE_USD: Final = 0.05
"""One hour of a container, the longest time that one request can use."""


@dataclass(frozen=True, kw_only=True)
class ServerTool:
    """The most that a server tool can do in one request."""

    uses: int
    result_tokens: int
    searches: int = 0
    fee_usd: float = 0.0


class _Kind(msgspec.Struct):
    type: Raw | UnsetType = UNSET


class _Tool(Part):
    texts: ClassVar[tuple[str, ...]] = ("name",)
    name: Text
    cache_control: Cached = UNSET
    defer_loading: bool | UnsetType | None = UNSET


class CustomTool(_Tool):
    """A tool defined by the client."""

    texts = ("name", "description")
    type: Literal["custom"] | UnsetType | None = UNSET
    description: MaybeText = UNSET
    input_schema: Opaque | UnsetType = UNSET
    input_examples: Opaque | UnsetType = UNSET
    strict: bool | UnsetType | None = UNSET
    eager_input_streaming: bool | UnsetType | None = UNSET
    citations: MaybeCitations = UNSET


class ClientTool(_Tool, kw_only=True):
    """A tool defined by the provider and run by the client."""

    type: str
    strict: bool | UnsetType | None = UNSET
    input_examples: Opaque | UnsetType = UNSET
    display_width_px: int | UnsetType = UNSET
    display_height_px: int | UnsetType = UNSET
    display_number: int | UnsetType | None = UNSET
    enable_zoom: bool | UnsetType = UNSET
    max_characters: int | UnsetType | None = UNSET


_Uses = Annotated[int, Meta(ge=1, le=50)]


class _Search(_Tool, kw_only=True):
    type: str
    max_uses: _Uses
    allowed_domains: Opaque | UnsetType = UNSET
    blocked_domains: Opaque | UnsetType = UNSET
    user_location: Opaque | UnsetType = UNSET
    search_profile: Opaque | UnsetType = UNSET


class _Fetch(_Tool, kw_only=True):
    type: str
    max_uses: _Uses
    max_content_tokens: Annotated[int, Meta(ge=1, le=1_000_000)]
    allowed_domains: Opaque | UnsetType = UNSET
    blocked_domains: Opaque | UnsetType = UNSET
    citations: MaybeCitations = UNSET


class _Code(_Tool, kw_only=True):
    type: str


Tool = CustomTool | ClientTool | _Search | _Fetch | _Code


def judge(raw: Raw, allowed: frozenset[str]) -> tuple[Tool, ServerTool | None]:
    """Return a tool and, for one of the ``allowed`` server tools, the most it can do.

    Raises:
        HiveError: ``bad_request``, ``field_refused``.
    """
    kind = _kind(decoded(raw, _Kind, "tools").type)
    if kind == "custom":
        return decoded(raw, CustomTool, "tools"), None
    if _CLIENT_TOOL.fullmatch(kind):
        return decoded(raw, ClientTool, f"the tool {kind}"), None
    server = _SERVER_TOOL.fullmatch(kind)
    if server is None or server[1] not in allowed:
        raise refused(f"a tool of type {shown(kind)}")
    where = f"the tool {kind}"
    match server[1]:
        case "web_search":
            search = decoded(raw, _Search, where)
            uses = search.max_uses
            return search, ServerTool(
                uses=uses, result_tokens=_SEARCH_TOKENS, searches=uses
            )
        case "web_fetch":
            fetch = decoded(raw, _Fetch, where)
            return fetch, ServerTool(
                uses=fetch.max_uses, result_tokens=fetch.max_content_tokens
            )
        case _:
            code = decoded(raw, _Code, where)
            return code, ServerTool(
                uses=_CODE_USES, result_tokens=_CODE_TOKENS, fee_usd=_CODE_USD
            )


def _kind(raw: Raw | UnsetType) -> str:
    if isinstance(raw, UnsetType) or bytes(raw) == b"null":
        return "custom"
    if memoryview(raw).nbytes > _KIND_MAX:
        raise refused("a tool of an overlong type")
    try:
        return strict_json.read(raw, str)
    except JsonError:
        raise bad("the type of a tool must be a string") from None
