"""The amount reserved for a request: bytes, documents, caches, tools, and models."""

import json
from typing import Any

import pytest

from checks.kits.relay.bench import message, policy
from checks.kits.relay.requests import CACHE, CODE, HIT, PDF, SEARCH, content, judge
from pyglue.errors import ErrorCode, HiveError
from pyglue.limits import RelayLimits
from pyglue.models.catalogue import MODELS
from pyglue.models.configured import ModelConfig, catalogue_of
from pyglue.relay.bound import CONTEXT_MAX
from pyglue.relay.request import Checked, check

# --- money --------------------------------------------------------------------------


def test_a_text_is_bound_by_its_bytes() -> None:
    checked = judge(message("x" * 30_000, max_tokens=1000))
    assert 30_000 <= checked.bound.prompt < 33_000
    at_least = (checked.bound.prompt * 2 + 1000 * 10) / 1e6
    assert checked.max_cost_usd == pytest.approx(at_least)


def cost(block: dict[str, Any], **fields: Any) -> float:
    return judge({**content(block), "max_tokens": 1, **fields}).max_cost_usd


@pytest.mark.parametrize(
    ("control", "factor"),
    [(b'"5m"', 1.25), (b'"1h"', 2), (b'"\\u0031h"', 2), (b'"1\\u0068"', 2)],
)
def test_a_cache_is_reserved_at_its_price_however_it_is_written(
    control: bytes, factor: float
) -> None:
    text = {"type": "text", "text": "x" * 300_000}
    cached = {**text, "cache_control": {**CACHE, "ttl": "TTL"}}
    raw = json.dumps({**content(cached), "max_tokens": 1}).encode()
    found = judge(raw.replace(b'"TTL"', control)).max_cost_usd
    assert found == pytest.approx(factor * cost(text), rel=0.01)
    top = json.dumps({**content(text), "cache_control": {**CACHE, "ttl": "TTL"}})
    found = judge(top.encode().replace(b'"TTL"', control)).max_cost_usd
    assert found > factor * cost(text) * 0.99


def test_a_cache_without_a_time_is_kept_for_five_minutes() -> None:
    text = {"type": "text", "text": "x" * 300_000}
    cached = cost({**text, "cache_control": CACHE})
    assert cached == pytest.approx(1.25 * cost(text), rel=0.01)


def test_an_hour_inside_an_argument_or_a_text_is_no_cache() -> None:
    call = {"type": "tool_use", "id": "1", "name": "t"}
    trap = {**call, "input": {"cache_control": {**CACHE, "ttl": "1h"}}}
    assert not judge(content(trap)).bound.caches


@pytest.mark.parametrize("pages", [PDF, {**PDF, "data": "A" * 300_000}])
def test_a_document_is_bound_by_its_pages_and_not_by_its_bytes(pages: Any) -> None:
    document = {"type": "document", "source": pages}
    result = {"type": "tool_result", "tool_use_id": "1", "content": [document]}
    for block in (document, result):
        assert judge(content(block)).bound.prompt == CONTEXT_MAX


def test_a_cited_document_is_read_in_numbered_pieces() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "x" * 10_000}
    document = {"type": "document", "source": source}
    plain = judge(content(document)).bound.prompt
    cited = judge(content({**document, "citations": {"enabled": True}})).bound.prompt
    assert cited >= plain + 7 * 10_000
    hit = {**HIT, "content": [{"type": "text", "text": "x" * 10_000}]}
    cited = judge(content({**hit, "citations": {"enabled": True}})).bound.prompt
    assert cited >= judge(content(hit)).bound.prompt + 7 * 10_000


def test_each_name_of_a_tool_counts_its_definition() -> None:
    tool = {"name": "t", "description": "x" * 20_000, "input_schema": {}}
    names = [{"type": "tool_reference", "tool_name": "t"}] * 20
    result = {"type": "tool_result", "tool_use_id": "1", "content": names}
    body = {**content(result), "tools": [{**tool, "defer_loading": True}]}
    assert judge(body).bound.prompt > 21 * 20_000


@pytest.mark.parametrize(("tool", "readings"), [(SEARCH, 9), (CODE, 11)])
def test_a_server_tool_makes_the_model_read_again(
    tool: dict[str, Any], readings: int
) -> None:
    uses = {"max_uses": 8} if tool is SEARCH else {}
    every = ("web_search", "code_execution")
    checked = judge(message(tools=[{**tool, **uses}]), server_tools=every)
    alone = judge(message())
    assert checked.bound.prompt > readings * alone.bound.prompt
    fee = 8 * 0.01 if tool is SEARCH else 0.05
    read = checked.bound.prompt * 2 + 1000 * 10
    assert checked.max_cost_usd == pytest.approx(read / 1e6 + fee)


def test_the_providers_count_takes_the_place_of_the_bytes_with_a_margin() -> None:
    checked = judge(message("x" * 300_000))
    exact = checked.counted(75_000)
    assert 75_000 * 1.05 <= exact.bound.prompt < 82_000
    assert checked.counted(10**8).bound.prompt == checked.bound.prompt


def test_what_the_provider_counts_is_what_goes_up() -> None:
    body = message(
        system="s",
        tools=[{"name": "t", "input_schema": {}}],
        metadata={"user_id": "u"},
        thinking={"type": "adaptive"},
    )
    counted = json.loads(judge(body).encoded_to_count())
    assert counted == {
        name: body[name]
        for name in ("model", "messages", "system", "tools", "thinking")
    }


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
    thinking = json.loads(shorter.encoded())["thinking"]
    assert 1024 <= thinking["budget_tokens"] < shorter.max_tokens
    assert checked.max_tokens == 32_000  # not changed
    assert json.loads(checked.encoded())["thinking"]["budget_tokens"] == 31_999
    assert checked.within(0.02) is None
    assert checked.within(-1.0) is None


def test_a_short_question_needs_no_more_than_it_asks() -> None:
    checked = judge(message(max_tokens=1))
    shorter = checked.within(checked.max_cost_usd * 1.01)
    assert shorter is not None and shorter.max_tokens == 1


def test_no_model_reads_more_than_the_largest_context() -> None:
    assert all(model.context <= CONTEXT_MAX for model in MODELS)
    for model in MODELS:
        if model.long is not None:  # more never costs less
            assert model.long.input >= model.prices.input
            assert model.long.output >= model.prices.output


# --- models of the hive's own ---------------------------------------------------------

OWN = catalogue_of(
    {
        "glm": ModelConfig(id="zai/glm-4.6", input_per_mtok=2, output_per_mtok=4),
        "free": ModelConfig(id="local", input_per_mtok=0, output_per_mtok=0),
    }
)


def judge_own(name: str, allowed: str) -> Checked:
    raw = json.dumps(message(model=name)).encode()
    of = policy(models=(allowed,))
    return check(raw, (), of, counting=False, limits=RelayLimits(), models=OWN)


def test_an_alias_of_the_hive_s_own_goes_up_as_the_gateway_s_name() -> None:
    checked = judge_own("glm", "zai/glm-4.6")
    assert json.loads(checked.encoded())["model"] == "zai/glm-4.6"
    assert checked.max_cost_usd > 1000 * 4 / 1_000_000
    fewer = checked.within(checked.max_cost_usd - 100 * 4 / 1_000_000)
    assert fewer is None  # a short answer is asked for whole or not at all
    with pytest.raises(HiveError) as refused:
        judge_own("free", "zai/glm-4.6")
    assert refused.value.code is ErrorCode.MODEL_NOT_ALLOWED


def test_what_costs_nothing_is_within_every_budget_that_is_not_used_up() -> None:
    checked = judge_own("free", "local")
    assert checked.max_cost_usd == 0
    assert checked.within(0.0) is checked
    assert checked.within(-0.01) is None
