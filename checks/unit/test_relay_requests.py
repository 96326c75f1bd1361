"""What the relay lets through, by name, and what it refuses."""

import json
from typing import Any

import pytest

from checks.relay_kit import MODEL, message, policy
from pyglue.errors import ErrorCode, HiveError
from pyglue.relay import strict_json
from pyglue.relay.request import Checked, check


def judge(
    body: Any,
    *betas: str,
    counting: bool = False,
    **fields: Any,
) -> Checked:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return check(raw, betas, policy(**fields), counting=counting)


def refusal(
    body: Any,
    *betas: str,
    **fields: Any,
) -> HiveError:
    with pytest.raises(HiveError) as caught:
        judge(body, *betas, **fields)
    return caught.value


def content(*blocks: Any) -> dict[str, Any]:
    return message(messages=[{"role": "user", "content": list(blocks)}])


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
    assert 5000 < checked.input_tokens < 6000  # an image is not its bytes


@pytest.mark.parametrize("name", ["sonnet", MODEL, f"{MODEL}-20260401"])
def test_models_go_up_by_their_full_id(name: str) -> None:
    assert judge(message(model=name)).body["model"] == MODEL


def test_arguments_and_text_are_not_looked_into() -> None:
    trap = {"type": "image", "source": {"type": "url", "url": "http://x"}}
    tool = {"type": "tool_use", "id": "1", "name": "t", "input": trap}
    body = content({"type": "text", "text": json.dumps(trap)}, tool)
    assert judge(body).body == body


@pytest.mark.parametrize("text", ["\ud800", "é漢", "\u0000", "\u2028"])
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
        None,
        7,
        ["custom"],
    ],
)
def test_server_tools(kind: Any) -> None:
    tool = {"type": kind, "name": "t"}
    assert refusal(message(tools=[tool])).code is ErrorCode.FIELD_REFUSED
    added = {
        "type": "tool_addition",
        "tool": {"type": "tool_definition", "definition": tool},
    }
    body = message(messages=[{"role": "system", "content": [added]}])
    assert refusal(body).code is ErrorCode.FIELD_REFUSED


@pytest.mark.parametrize(
    ("allowed", "kind", "beta"),
    [
        ("web_search", "web_search_20250305", "web-search-2025-03-05"),
        ("web_fetch", "web_fetch_20250910", "web-fetch-2025-09-10"),
        ("code_execution", "code_execution_20250825", "code-execution-2025-08-25"),
    ],
)
def test_server_tools_that_the_manifest_names(
    allowed: str, kind: str, beta: str
) -> None:
    body = message(tools=[{"type": kind, "name": "t"}])
    assert judge(body, beta, server_tools=(allowed,)).betas == (beta,)
    others = {"web_search", "web_fetch", "code_execution"} - {allowed}
    error = refusal(body, beta, server_tools=tuple(others))
    assert error.code is ErrorCode.FIELD_REFUSED
    assert refusal(message(), beta).code is ErrorCode.FIELD_REFUSED


def test_results_of_server_tools_only_for_who_has_one() -> None:
    body = content(
        {"type": "web_search_tool_result", "tool_use_id": "1", "content": []}
    )
    assert refusal(body).code is ErrorCode.FIELD_REFUSED
    assert judge(body, server_tools=("web_search",)).body == body


def test_client_tools_go_up() -> None:
    kinds = ("custom", "bash_20250124", "text_editor_20250728", "memory_20250818")
    body = message(tools=[{"type": kind, "name": "t"} for kind in kinds])
    assert judge(body).body == body


@pytest.mark.parametrize("kind", ["image", "document"])
@pytest.mark.parametrize("source", ["url", "file", "", None])
def test_sources_that_the_models_side_would_fetch(kind: str, source: Any) -> None:
    block = {"type": kind, "source": {"type": source, "url": "http://x"}}
    nested = {"type": "tool_result", "tool_use_id": "1", "content": [block]}
    inside = {"type": "document", "source": {"type": "content", "content": [block]}}
    for one in (block, nested, inside):
        assert refusal(content(one)).code is ErrorCode.FIELD_REFUSED
    assert refusal(message(system=[block])).code is ErrorCode.FIELD_REFUSED


@pytest.mark.parametrize(
    "kind", ["container_upload", "mcp_tool_use", "server_tool_use", "new", None, 1]
)
def test_blocks_that_are_not_listed(kind: Any) -> None:
    assert refusal(content({"type": kind})).code is ErrorCode.FIELD_REFUSED


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


# --- the form -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b'{"model":"sonnet","model":"opus"}', "twice"),
        (b'{"model":"sonnet","messages":[{"a":1,"a":2}]}', "twice"),
        (b'{"temperature":NaN}', "NaN"),
        (b'{"temperature":-Infinity}', "Infinity"),
        (b'{"temperature":1e999}', "too large"),
        (b"[]", "object"),
        (b"", "JSON"),
        (b"\xff", "JSON"),
        ('{"model":"sonnet"}'.encode("utf-16"), "JSON"),
        (b'{"a":1} {}', "JSON"),
        (b"[" * 200_000, "JSON"),
        (b'{"a":' * 101 + b"1" + b"}" * 101, "deep"),
        (b'{"metadata":[' + b"[]," * 1_000_001 + b"1]}", "values"),
    ],
)
def test_what_is_not_plain_json(raw: bytes, why: str) -> None:
    error = refusal(raw)
    assert error.code is ErrorCode.BAD_REQUEST
    assert why in error.message


def test_many_commas_in_a_text_are_not_many_values() -> None:
    assert judge(message(',[{"\\' * 1_200_000)).model.id == MODEL


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
        {"max_tokens": 1.5},
        {"max_tokens": 10**400},
    ],
)
def test_what_is_not_in_the_apis_form(fields: dict[str, Any]) -> None:
    assert refusal(message(**fields)).code is ErrorCode.BAD_REQUEST


def test_serialising_is_the_inverse_of_parsing() -> None:
    raw = '{"a":[1,1.5,-0.0,1e300,null,true,"é\\ud83d\\ude00"],"b":{"c":"\\\\"}}'
    assert strict_json.parse(raw.encode()) == json.loads(raw)
    again = strict_json.serialise(strict_json.parse(raw.encode()))
    assert json.loads(again) == json.loads(raw)


# --- money --------------------------------------------------------------------------


def test_the_estimate_is_input_and_all_output() -> None:
    checked = judge(message("x" * 30_000, max_tokens=1000))
    assert 10_000 < checked.input_tokens < 10_200
    at_least = (10_000 * 2 + 1000 * 10) / 1e6
    assert at_least < checked.max_cost_usd < at_least * 1.02


def test_a_cache_of_an_hour_is_reserved_at_its_price() -> None:
    def cost(**control: str) -> float:
        cached = {"type": "ephemeral", **control}
        text = {"type": "text", "text": "x" * 300_000, "cache_control": cached}
        return judge({**content(text), "max_tokens": 1}).max_cost_usd

    assert cost(ttl="1h") == pytest.approx(2 * cost(), rel=0.01)


def test_a_shorter_answer_for_what_is_left() -> None:
    checked = judge(
        message(
            max_tokens=32_000, thinking={"type": "enabled", "budget_tokens": 31_999}
        )
    )
    shorter = checked.within(0.05)
    assert shorter is not None
    assert shorter.max_cost_usd <= 0.05
    assert 4000 < shorter.max_tokens < 5001
    assert 1024 <= shorter.body["thinking"]["budget_tokens"] < shorter.max_tokens
    assert checked.max_tokens == 32_000  # not changed
    assert checked.within(0.02) is None
    assert checked.within(-1.0) is None


def test_a_short_question_needs_no_more_than_it_asks() -> None:
    checked = judge(message(max_tokens=1))
    shorter = checked.within(checked.max_cost_usd * 1.01)
    assert shorter is not None and shorter.max_tokens == 1
