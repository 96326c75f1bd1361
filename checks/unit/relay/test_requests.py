"""What the relay allows, by name, and what it refuses."""

import json
from typing import Any

import pytest

from checks.kits.relay.bench import MODEL, message
from checks.kits.relay.requests import (
    CACHE,
    CODE,
    FETCH,
    HIT,
    PDF,
    REFUSED,
    SEARCH,
    TEXT,
    content,
    judge,
    refusal,
    sent,
)
from pyglue.errors import ErrorCode

# --- what goes up -------------------------------------------------------------------


def test_what_the_cli_sends_goes_up() -> None:
    asked = message(
        system=[{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        tools=[
            {"name": "Bash", "description": "d", "input_schema": {"type": "object"}}
        ],
        tool_choice={"type": "auto"},
        thinking={"type": "adaptive", "display": "omitted"},
        context_management={"edits": [{"type": "clear_thinking_20251015"}]},
        output_config={"effort": "medium"},
        metadata={"user_id": "u"},
        temperature=1,
    )
    asked["messages"] += [
        {"role": "system", "content": "s", "output_config": {"effort": "low"}},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "t", "signature": "s"},
                {"type": "tool_use", "id": "1", "name": "Bash", "input": {"a": 1.5}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "1",
                    "content": [
                        {
                            "type": "image",
                            "source": {
                                "type": "base64",
                                "media_type": "image/png",
                                "data": "A" * 300_000,
                            },
                        }
                    ],
                }
            ],
        },
    ]
    checked = judge(asked, "claude-code-20250219, effort-2025-11-24")
    assert json.loads(checked.encoded()) == asked
    assert checked.betas == ("claude-code-20250219", "effort-2025-11-24")
    assert 5000 < checked.bound.prompt < 9000  # an image is not its bytes


@pytest.mark.parametrize("name", ["sonnet", MODEL, f"{MODEL}-20260401"])
def test_models_go_up_by_their_full_id(name: str) -> None:
    assert sent(message(model=name))["model"] == MODEL


def test_arguments_and_text_are_not_looked_into() -> None:
    trap = {"type": "image", "source": {"type": "url", "url": "http://x"}}
    tool = {"type": "tool_use", "id": "1", "name": "t", "input": trap}
    body = content({"type": "text", "text": json.dumps(trap)}, tool)
    assert sent(body) == body


@pytest.mark.parametrize("text", ["\U0001f600", "é漢", "\u0000", "\u2028"])
def test_text_goes_up_as_it_came(text: str) -> None:
    assert json.loads(judge(message(text)).encoded()) == message(text)


def test_counting_needs_no_max_tokens() -> None:
    body = message()
    del body["max_tokens"]
    assert judge(body, counting=True).max_tokens == 0
    assert refusal(body).code is ErrorCode.BAD_REQUEST


# --- refusals -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "field",
    [
        "mcp_servers",
        "container",
        "files",
        "fallbacks",
        "inference_geo",
        "speed",
        "requests",
        "a'\n\x1b[0m" * 40,
    ],
)
def test_fields_that_are_not_listed(field: str) -> None:
    changed: dict[str, Any] = {field: []}
    error = refusal(message(**changed))
    assert error.code is ErrorCode.FIELD_REFUSED
    assert ascii(field)[1:10] in error.message
    assert error.message.isascii() and "\n" not in error.message
    assert len(error.message) < 400


@pytest.mark.parametrize(
    "kind",
    [
        "web_search_20250305",
        "web_fetch_20250910",
        "code_execution_20250825",
        "bash_code_execution_20250825",
        "advisor_20260301",
        "mcp_toolset",
        "tool_search_tool_regex_20251119",
        "bash_evil",
        "web_search",
        7,
        ["custom"],
        "custom" * 100,
    ],
)
def test_server_tools(kind: Any) -> None:
    tool = {"type": kind, "name": "t"}
    assert refusal(message(tools=[tool])).code in REFUSED
    added = {
        "type": "tool_addition",
        "tool": {"type": "tool_definition", "definition": tool},
    }
    body = message(messages=[{"role": "system", "content": [added]}])
    assert refusal(body).code in REFUSED


@pytest.mark.parametrize(
    ("allowed", "kind", "beta"),
    [
        ("web_search", {**SEARCH, "max_uses": 8}, "web-search-2025-03-05"),
        (
            "web_fetch",
            {**FETCH, "max_uses": 2, "max_content_tokens": 9000},
            "web-fetch-2025-09-10",
        ),
        ("code_execution", CODE, "code-execution-2025-08-25"),
    ],
)
def test_server_tools_that_the_manifest_names(
    allowed: str, kind: dict[str, Any], beta: str
) -> None:
    body = message(tools=[kind])
    assert judge(body, beta, server_tools=(allowed,)).betas == (beta,)
    others = {"web_search", "web_fetch", "code_execution"} - {allowed}
    error = refusal(body, beta, server_tools=tuple(others))
    assert error.code is ErrorCode.FIELD_REFUSED
    assert refusal(message(), beta).code is ErrorCode.FIELD_REFUSED


@pytest.mark.parametrize(
    "tool",
    [
        SEARCH,
        FETCH,
        {**SEARCH, "max_uses": 0},
        {**SEARCH, "max_uses": 51},
        {**SEARCH, "max_uses": 1.5},
        {**SEARCH, "max_uses": None},
        {**FETCH, "max_uses": 3},
        {**FETCH, "max_content_tokens": 3},
        {**CODE, "container": "x"},
    ],
)
def test_server_tools_without_a_number_of_uses(tool: dict[str, Any]) -> None:
    every = ("web_search", "web_fetch", "code_execution")
    assert refusal(message(tools=[tool]), server_tools=every).code in REFUSED


def test_results_of_server_tools_only_for_who_has_one() -> None:
    body = content(
        {"type": "web_search_tool_result", "tool_use_id": "1", "content": []}
    )
    assert refusal(body).code is ErrorCode.FIELD_REFUSED
    assert sent(body, server_tools=("web_search",)) == body


def test_client_tools_go_up() -> None:
    kinds = ("custom", "bash_20250124", "text_editor_20250728", "memory_20250818")
    body = message(tools=[{"type": kind, "name": "t"} for kind in kinds])
    assert sent(body) == body


@pytest.mark.parametrize("kind", ["image", "document"])
@pytest.mark.parametrize("source", ["url", "file", "", None])
def test_sources_that_the_models_side_would_fetch(kind: str, source: Any) -> None:
    block = {"type": kind, "source": {"type": source, "url": "http://x"}}
    nested = {"type": "tool_result", "tool_use_id": "1", "content": [block]}
    inside = {"type": "document", "source": {"type": "content", "content": [block]}}
    for one in (block, nested, inside):
        assert refusal(content(one)).code in REFUSED
    assert refusal(message(system=[block])).code in REFUSED


@pytest.mark.parametrize(
    "kind",
    [
        "container_upload",
        "mcp_tool_use",
        "compaction",
        "new",
        None,
        1,
        ["text"],
        {"text": 1},
        "text" * 100_000,
    ],
)
def test_blocks_that_are_not_listed(kind: Any) -> None:
    assert refusal(content({"type": kind})).code in REFUSED


def test_message_fields_that_are_not_listed() -> None:
    body = message(messages=[{"role": "user", "content": "x", "tool_changes": []}])
    assert "tool_changes" in refusal(body).message


@pytest.mark.parametrize(
    "name",
    [
        "claude-opus-5-5",
        "opus",
        "claude-sonnet-5",
        "gpt",
        "",
        None,
        3,
        "Sonnet",
        "a\nb",
    ],
)
def test_models_of_others(name: Any) -> None:
    error = refusal(message(model=name))
    assert error.code is ErrorCode.MODEL_NOT_ALLOWED
    assert error.message.startswith("model: ") and "\n" not in error.message
    assert refusal({}, models=()).code is ErrorCode.MODEL_NOT_ALLOWED


@pytest.mark.parametrize(
    "beta",
    [
        "files-api-2025-04-14",
        "mcp-servers-2025-12-04",
        "server-side-fallback-2026-07-01",
        "claude-code-20250219,fast-mode-2026-02-01",
        "oauth-2025-04-20",
        "é",
    ],
)
def test_betas_that_are_not_listed(beta: str) -> None:
    assert refusal(message(), beta).code is ErrorCode.FIELD_REFUSED
    assert refusal(message(), "effort-2025-11-24", beta).code is ErrorCode.FIELD_REFUSED


@pytest.mark.parametrize(
    "block",
    [
        {**TEXT, "text": {"type": "file"}},
        {**TEXT, "file_id": "x"},
        {**TEXT, "cache_control": {**CACHE, "ttl": "2h"}},
        {**TEXT, "cache_control": {**CACHE, "ttl": ["1h"]}},
        {**TEXT, "cache_control": {"type": "persistent"}},
        {**TEXT, "cache_control": "1h"},
        {"type": "thinking", "thinking": "t", "signature": "s", "cache_control": CACHE},
        {"type": "tool_use", "id": "1", "name": "t"},
        {"type": "tool_use", "id": [], "name": "t", "input": {}},
        {**HIT, "content": [{"type": "image", "source": PDF}]},
        {**HIT, "content": [{**TEXT, "x": 1}]},
        {**HIT, "content": {"type": "text"}},
        {**HIT, "url": "http://x"},
        {"type": "image", "source": PDF},
        {"type": "image", "source": {**PDF, "media_type": "image/svg+xml"}},
        {"type": "document", "source": {**PDF, "media_type": "text/html"}},
        {"type": "document", "source": {**PDF, "url": "http://x"}},
        {"type": "document", "source": PDF, "citations": "yes"},
        {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "tool_use"}]},
        {"type": "tool_result", "tool_use_id": "1", "content": 7},
    ],
)
def test_what_blocks_may_not_hold(block: dict[str, Any]) -> None:
    assert refusal(content(block)).code in REFUSED
    nested = {"type": "tool_result", "tool_use_id": "1", "content": [block]}
    assert refusal(content(nested)).code in REFUSED


@pytest.mark.parametrize(
    "fields",
    [
        {"service_tier": "priority"},
        {"service_tier": "flex"},
        {"metadata": {"user_id": "u", "session": "s"}},
        {"metadata": {"user_id": "u" * 5000}},
        {"metadata": []},
        {"context_management": {"edits": [{"type": "compact_20260112"}]}},
        {"context_management": {"compact": True}},
        {"output_config": {"speed": "fast"}},
        {"output_format": {"type": "grammar", "schema": {}}},
        {"thinking": {"type": "enabled", "budget": 3}},
        {"tool_choice": {"type": "mcp"}},
        {"cache_control": {"type": "ephemeral", "ttl": "1d"}},
        {"tools": [{"name": "t", "input_schema": {}, "allowed_callers": ["x"]}]},
    ],
)
def test_what_fields_may_not_hold(fields: dict[str, Any]) -> None:
    assert refusal(message(**fields)).code in REFUSED
    body = message(messages=[{"role": "user", "content": "x", **fields}])
    assert refusal(body).code in REFUSED


def test_a_longer_context_is_only_for_models_whose_price_it_does_not_change() -> None:
    beta = "context-1m-2025-08-07"
    assert judge(message(), beta).betas == (beta,)
    old = message(model="claude-sonnet-4-5")
    error = refusal(old, beta, models=("claude-sonnet-4-5",))
    assert error.code is ErrorCode.FIELD_REFUSED


# --- the form -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b'{"temperature":NaN}', "JSON"),
        (b'{"temperature":-Infinity}', "JSON"),
        (b'{"temperature":1e999}', "out of range"),
        (b"[]", "object"),
        (b"", "JSON"),
        (b"\xff", "UTF-8"),
        (b'{"model":"\xed\xa0\x80"}', "UTF-8"),
        (b'{"model":"\\ud800"}', "JSON"),
        ('{"model":"sonnet"}'.encode("utf-16"), "UTF-8"),
        (b'{"a":1} {}', "field"),
        (b"[" * 200_000, "object"),
        (b'{"stop_sequences":' + b"[" * 20_000, "deep"),
        (b'{"stop_sequences":' + b'{"a":' * 20_000, "deep"),
        (b'{"stop_sequences":[' + b"{}," * 500_001 + b"1]}", "braces"),
        (b'{"stop_sequences":{}}', "list"),
    ],
)
def test_what_is_not_plain_json(raw: bytes, why: str) -> None:
    error = refusal(raw)
    assert error.code in REFUSED
    assert why in error.message


def test_many_commas_and_brackets_in_a_text_are_no_values() -> None:
    assert judge(message(',["\\' * 1_200_000)).model.id == MODEL


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": {}},
        {"messages": ["x"]},
        {"messages": [{"role": "user", "content": 1}]},
        {"messages": [{"role": "user", "content": ["x"]}]},
        {"messages": [{"role": "user", "content": [{"type": "image"}]}]},
        {"tools": {}},
        {"tools": ["x"]},
        {"system": 3},
        {"max_tokens": "1"},
        {"max_tokens": True},
        {"max_tokens": -1},
        {"max_tokens": 0},
        {"max_tokens": 1.5},
        {"max_tokens": 10**400},
    ],
)
def test_what_is_not_in_the_apis_form(fields: dict[str, Any]) -> None:
    assert refusal(message(**fields)).code in REFUSED
