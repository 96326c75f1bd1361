"""The relay between a hostile agent and a hostile model provider.

``bodies``: requests that a container could send to its ``model.sock``. What goes up
must be what the policy allows, and paid for. ``answers``: what a broken or hostile API
could send back. What is settled must be sane, no secret may reach the agent, and the
relay goes on. Both use the product's relay with a stand-in for hived.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp
from hypothesis import strategies as st

from checks.fuzz.kit import Case, Trial
from checks.kits.patience import PATIENCE_S
from checks.kits.relay.bench import (
    KEY,
    MODEL,
    PATH,
    Setup,
    message,
    setup_in,
    with_upstream,
)
from checks.kits.relay.hived import FakeHived

_KINDS: Final = (
    *("text", "image", "document", "thinking", "redacted_thinking", "tool_use"),
    *("tool_result", "search_result", "server_tool_use", "web_search_tool_result"),
    *("mcp_tool_use", "mcp_tool_result", "container_upload", "file", "fallback"),
    *("web_fetch_tool_result", "code_execution_tool_result", "tool_reference", "x"),
    *("connector_text", "compaction", "", "TEXT", "\0"),
)
_TOOLS: Final = (
    *("web_search_20250305", "web_fetch_20250910", "code_execution_20250825"),
    *("mcp_toolset", "computer_20250124", "bash_20250124", "custom", "advisor_1"),
    *("text_editor_20250728", "memory_20250818", "tool_search_tool_regex_20251119"),
)
_SOURCES: Final = ("base64", "url", "file", "text", "content", "x")
_BETAS: Final = (
    *("claude-code-20250219", "mcp-client-2025-04-04", "files-api-2025-04-14"),
    *(
        "web-search-2025-03-05",
        "context-1m-2025-08-07",
        "x",
        "a,b",
        "skills-2025-10-02",
    ),
)
_FORBIDDEN_FIELDS: Final = frozenset({"mcp_servers", "container", "fallbacks", "betas"})
_ALLOWED_HEADERS: Final = frozenset(
    {
        *("host", "accept", "accept-encoding", "content-type", "content-length"),
        *("x-api-key", "anthropic-version", "anthropic-beta", "user-agent"),
        *("connection", "transfer-encoding"),
    }
)

_scalar: Final = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["https://192.0.2.1/", "\ud800", "1h", "ephemeral", "x" * 9000]),
)
_json: Final = st.recursive(
    _scalar,
    lambda below: st.one_of(
        st.lists(below, max_size=3),
        st.dictionaries(
            st.sampled_from(["type", "url", "data", "source", "text", "content", "id"]),
            below,
            max_size=3,
        ),
    ),
    max_leaves=8,
)
_source: Final = st.fixed_dictionaries(
    {"type": st.sampled_from(_SOURCES)},
    optional={
        "media_type": st.sampled_from(["image/png", "application/pdf", "text/html"]),
        "data": st.sampled_from(["AAAA", "not base64", "", "A" * 4000]),
        "url": st.just("https://192.0.2.1/x"),
        "file_id": st.just("file_1"),
        "content": _json,
    },
)
_block: Final = st.fixed_dictionaries(
    {"type": st.one_of(st.sampled_from(_KINDS), _json)},
    optional={
        "text": _scalar,
        "source": st.one_of(_source, _json),
        "content": _json,
        "cache_control": st.one_of(
            _json, st.just({"type": "ephemeral", "ttl": "\u0031h"})
        ),
        "name": _scalar,
        "input": _json,
        "id": _scalar,
        "server_name": _scalar,
    },
)
_tool: Final = st.fixed_dictionaries(
    {},
    optional={
        "type": st.one_of(st.sampled_from(_TOOLS), _json),
        "name": st.one_of(st.sampled_from(["web_search", "x"]), _json),
        "input_schema": _json,
        "max_uses": _scalar,
        "defer_loading": _scalar,
    },
)
_changes: Final = st.fixed_dictionaries(
    {},
    optional={
        "messages": st.lists(
            st.fixed_dictionaries(
                {
                    "role": st.sampled_from(["user", "assistant", "system", "tool", 1]),
                    "content": st.one_of(_scalar, st.lists(_block, max_size=3)),
                }
            ),
            max_size=3,
        ),
        "system": st.one_of(_json, st.lists(_block, max_size=2)),
        "tools": st.one_of(_json, st.lists(_tool, max_size=3)),
        "max_tokens": st.one_of(
            _scalar, st.sampled_from([1, 0, -1, 10**9, 1.5, "9", True])
        ),
        "model": st.sampled_from(
            [MODEL, "claude-opus-4-1", "", None, [MODEL], f"{MODEL} ", MODEL.upper()]
        ),
        "thinking": _json,
        "metadata": _json,
        "service_tier": st.one_of(_scalar, st.just("priority")),
        "stream": _scalar,
        "mcp_servers": _json,
        "container": _json,
        "output_config": _json,
        "context_management": _json,
        "speed": _scalar,
        "inference_geo": _scalar,
    },
)
_damage: Final = st.sampled_from(
    [*["none"] * 6, "cut", "twice", "key twice", "nul", "bom", "utf-16", "nan", "deep"]
)


def _raw(changes: dict[str, Any], damage: str) -> bytes:
    raw = json.dumps(message(**changes)).encode("utf-8", "surrogatepass")
    match damage:
        case "cut":
            return raw[: len(raw) * 2 // 3]
        case "twice":
            return raw + raw
        case "key twice":
            return raw[:-1] + b',"model":"claude-opus-4-1","mcp_servers":[]}'
        case "nul":
            return raw[:1] + b"\0" + raw[1:]
        case "bom":
            return b"\xef\xbb\xbf" + raw
        case "utf-16":
            return raw.decode("utf-8", "replace").encode("utf-16")
        case "nan":
            return raw[:-1] + b',"temperature":NaN}'
        case "deep":
            return raw[:-1] + b',"metadata":' + b"[" * 3000 + b"]" * 3000 + b"}"
        case _:
            return raw


async def bodies(trial: Trial) -> None:
    """Send drawn requests as alice; judge what comes to the model's side."""
    paths = st.sampled_from(
        [
            *[PATH] * 6,
            *("/v1/messages", "/v1/messages/count_tokens?beta=true", "/v1/files"),
            *("/v1/messages/../files", "/v1/messages%2fbatches", "//v1/messages"),
            *("/v1/messages?beta=true&x=1", "/v1/complete", "/v1/models"),
        ]
    )
    async with setup_in(trial.lab.room("relay")) as setup:

        async def body(
            case: Case, changes: dict[str, Any], damage: str, path: str, beta: str
        ) -> None:
            before = len(setup.model.bodies)
            headers = {"anthropic-beta": beta} if beta else {}
            headers |= {"x-api-key": "mine", "cookie": "a=b", "x-forwarded-for": "1"}
            data = _raw(changes, damage)
            async with (
                asyncio.timeout(PATIENCE_S),
                setup.alice.post(path, data=data, headers=headers) as answer,
            ):
                status, text = answer.status, await answer.text()
            wrong = _went_up(setup, before) or _answered(status, text)
            case.unless(
                f"{wrong}: {path} {data[:900]!r}" if wrong else None,
                refused=status >= 400,
            )

        await trial.explore(
            body,
            changes=_changes,
            damage=_damage,
            path=paths,
            beta=st.sampled_from(["", *_BETAS]),
        )


def _answered(status: int, text: str) -> str | None:
    if status >= 500:
        return f"status {status}: {text[:200]}"
    return "the key is in the answer" if KEY in text else None


def _went_up(setup: Setup, before: int) -> str | None:
    """Say what is wrong with what came to the model's side since ``before``."""
    for sent, headers in zip(
        setup.model.bodies[before:], setup.model.headers[before:], strict=True
    ):
        if sent.get("model") not in (MODEL, "claude-haiku-5-5"):
            return f"the model {sent.get('model')!r} went up"
        if _FORBIDDEN_FIELDS & sent.keys():
            return f"{sorted(_FORBIDDEN_FIELDS & sent.keys())} went up"
        if not isinstance(sent.get("max_tokens"), int) or sent["max_tokens"] < 1:
            return f"max_tokens {sent.get('max_tokens')!r} went up"
        odd = {name.lower() for name in headers} - _ALLOWED_HEADERS
        if odd or headers.get("X-Api-Key", headers.get("x-api-key")) != KEY:
            return f"headers {sorted(odd)} went up, or another key"
        reach = _reaching(sent)
        if reach is not None:
            return f"{reach} went up"
    if len(setup.hived.reserved) < len(setup.model.bodies):
        return "a request went up without a reservation"
    return None


def _reaching(sent: dict[str, Any]) -> str | None:
    """Return what of a request would make the model's side fetch or run something."""
    for tool in sent.get("tools") or ():
        kind = str(tool.get("type") or "custom")
        if kind.startswith(("web_", "code_execution", "mcp", "advisor")):
            return f"the tool {kind}"
    blocks = [
        block
        for one in sent.get("messages", ())
        if isinstance(one.get("content"), list)
        for block in one["content"]
    ]
    for block in blocks:
        source = block.get("source")
        if isinstance(source, dict) and source.get("type") in ("url", "file"):
            return f"a source of type {source['type']}"
        if str(block.get("type")).startswith(("mcp_", "server_", "web_", "container")):
            return f"a block of type {block['type']}"
    return None


# --- the model's side -------------------------------------------------------------

_figure: Final = st.one_of(
    st.integers(-(2**70), 2**70),
    st.sampled_from([0, 1, -1, 2**31, 2**53, 2**63 - 1, 2**63, 10**300]),
    _scalar,
    _json,
)
_usage: Final = st.one_of(
    st.dictionaries(
        st.sampled_from(
            [
                *("input_tokens", "output_tokens", "cache_read_input_tokens"),
                *("cache_creation_input_tokens", "server_tool_use", "cache_creation"),
            ]
        ),
        _figure,
    ),
    _json,
)
_event: Final = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            ["message_start", "message_delta", "message_stop", "error", "ping", "x"]
        )
    },
    optional={
        "usage": _usage,
        "message": st.one_of(st.fixed_dictionaries({"usage": _usage}), _json),
        "delta": _json,
    },
)
_head: Final = st.sampled_from(
    [
        *["HTTP/1.1 200 OK"] * 5,
        *("HTTP/1.1 500 X", "HTTP/1.1 429 X", "HTTP/1.1 529 X", "HTTP/1.1 302 Found"),
        *("HTTP/1.1 204 X", "HTTP/1.1 101 Up", "HTTP/1.1 999 X", "HTTP/2 200", "junk"),
        *("HTTP/1.1 401 X", "HTTP/1.1 100 Continue"),
    ]
)
_headers: Final = st.lists(
    st.sampled_from(
        [
            *("Set-Cookie: a=b", "Location: http://192.0.2.1/", "Retry-After: -5"),
            *("Retry-After: nan", "Retry-After: 1e400", "Content-Encoding: gzip"),
            *("Content-Encoding: br", "Transfer-Encoding: chunked", "X: " + "y" * 9000),
            *("Content-Length: 5", "Content-Length: -1", "Content-Length: 99999999"),
            *(f"X-Echo: {KEY}", f"Request-Id: {KEY}", "Connection: upgrade", "bad"),
        ]
    ),
    max_size=3,
)
_garbage: Final = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            *(b"data: {", b"data:" + b"[" * 5000, b"\x1f\x8b\x08\0junk"),
            *(b"\n" * 3000, b'{"error": "no such key"}'),
        ]
    ),
)


async def answers(trial: Trial) -> None:
    """Answer alice's requests as drawn; judge what is settled and what she sees."""
    turn = {"raw": b""}
    async with (
        _api(turn) as address,
        with_upstream(trial.lab.room("answers"), address) as (hived, alice),
    ):

        async def body(
            case: Case,
            head: str,
            headers: list[str],
            events: list[Any],
            junk: bytes,
            stream: bool,
        ) -> None:
            turn["raw"] = _written(head, headers, events, junk, stream)
            await _ask(case, hived, alice, turn["raw"], stream)

        await trial.explore(
            body,
            head=_head,
            headers=_headers,
            events=st.lists(_event, max_size=4),
            junk=_garbage,
            stream=st.booleans(),
        )


def _written(
    head: str, headers: list[str], events: list[Any], junk: bytes, stream: bool
) -> bytes:
    kind = "text/event-stream" if stream else "application/json"
    if " 200 " not in head:
        kind = "application/json"
        events = [*events, {"error": f"the key {KEY} is wrong"}]
    lines = [head, f"Content-Type: {kind}", *headers]
    if stream or " 200 " not in head:
        body = b"".join(b"data: %s\n\n" % json.dumps(one).encode() for one in events)
    else:
        body = json.dumps(events[0] if events else {}).encode()
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body + junk


@contextlib.asynccontextmanager
async def _api(turn: dict[str, bytes]) -> AsyncIterator[str]:
    """Answer each connection with the raw bytes of the moment, and close it."""

    async def answer(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(turn["raw"])
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def _ask(
    case: Case,
    hived: FakeHived,
    alice: aiohttp.ClientSession,
    raw: bytes,
    stream: bool,
) -> None:
    number = len(hived.settled) + 1
    status, seen, names = 0, b"", frozenset[str]()
    sent = {**message(stream=stream), "max_tokens": 100}
    try:
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(aiohttp.ClientError):
                async with alice.post(PATH, json=sent) as answer:
                    status = answer.status
                    names = frozenset(name.lower() for name in answer.headers)
                    seen = repr(answer.headers).encode() + await answer.read()
        settled = await hived.until_settled(number)
    except TimeoutError:
        case.wrong(f"no answer, or nothing settled: {raw[:900]!r}")
        return
    figures = (
        settled.input_tokens,
        settled.output_tokens,
        settled.cache_read_tokens,
        settled.cache_write_tokens,
    )
    reserved = hived.reserved[number - 1]
    wrong = None
    if not all(0 <= one < 2**40 for one in figures):
        wrong = f"settled {figures}"
    elif not 0 <= settled.cost_usd < 10_000_000:
        wrong = f"settled ${settled.cost_usd} of ${reserved.cost_usd}"
    elif KEY.encode() in seen:
        wrong = f"the key reached the agent: {seen[:300]!r}"
    elif names & {"set-cookie", "location", "x-echo"}:
        wrong = f"a header reached the agent: {sorted(names)}"
    case.unless(f"{wrong}: {raw[:900]!r}" if wrong else None, refused=status != 200)
