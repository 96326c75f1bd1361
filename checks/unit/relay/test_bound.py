"""The daily limit: nothing within the provider's rules costs more than the bound.

The rules are written down here once more, by themselves (``Billed``): what a request
can be read as, from what was generated and not from its bytes as JSON, and how a price
comes of it. The last tests run it all: hived's own books, the relay, and an upstream
that always bills the most that it may.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from checks.kits.relay.bench import (
    message,
    policy,
)
from checks.kits.relay.prices import CONTEXT, PAGE, PAGES, price
from pyglue.errors import HiveError
from pyglue.limits import RelayLimits
from pyglue.models.catalogue import MODELS
from pyglue.relay.meter import Meter
from pyglue.relay.request import Checked, check

IMAGE = 4800

SEARCH_RESULT = 50_000


@dataclass
class Billed:
    """What the provider may read, at most, in what was generated."""

    text: int = 0
    images: int = 0
    documents: int = 0
    five_minutes: bool = False
    hour: bool = False
    searches: int = 0
    blocks: list[dict[str, Any]] = field(default_factory=list)

    @property
    def prompt(self) -> int:
        read = self.text + self.images * IMAGE + self.documents * PAGES * PAGE
        return min(CONTEXT, read)


CONTROLS = st.sampled_from(
    [
        None,
        {"type": "ephemeral"},
        {"type": "ephemeral", "ttl": "5m"},
        {"type": "ephemeral", "ttl": "1h"},
    ]
)

KINDS = st.sampled_from(["text", "result", "image", "pdf", "nested pdf", "thinking"])

WORDS = st.text(max_size=300)


@st.composite
def requests(draw: st.DrawFn) -> tuple[dict[str, Any], Billed]:
    billed = Billed()
    for kind in draw(st.lists(KINDS, min_size=1, max_size=6)):
        words = draw(WORDS)
        block = made(kind, words, billed)
        control = draw(CONTROLS) if kind != "thinking" else None
        if control is not None:
            block["cache_control"] = control
            billed.five_minutes = True
            billed.hour |= control.get("ttl") == "1h"
        billed.blocks.append(block)
    body = message(
        messages=[{"role": "user", "content": billed.blocks}],
        max_tokens=draw(st.integers(1, 128_000)),
        model=draw(st.sampled_from([model.id for model in MODELS])),
    )
    billed.searches = draw(st.integers(0, 4))
    if billed.searches:
        tool = {"type": "web_search_20250305", "name": "web_search"}
        body["tools"] = [{**tool, "max_uses": billed.searches}]
    return body, billed


def made(kind: str, words: str, billed: Billed) -> dict[str, Any]:
    """Return a block and note what it can be read as: a token a byte."""
    source = {"type": "base64", "data": "AAAA"}
    pdf = {"type": "document", "source": {**source, "media_type": "application/pdf"}}
    result = {"type": "tool_result", "tool_use_id": "1"}
    match kind:
        case "image":
            billed.images += 1
            return {"type": "image", "source": {**source, "media_type": "image/png"}}
        case "pdf":
            billed.documents += 1
            return pdf
        case "nested pdf":
            billed.documents += 1
            return {**result, "content": [pdf]}
    billed.text += len(words.encode("utf-8", "surrogatepass"))
    if kind == "result":
        return {**result, "content": words}
    if kind == "thinking":
        return {"type": "thinking", "thinking": words, "signature": ""}
    return {"type": "text", "text": words}


@st.composite
def usages(draw: st.DrawFn, billed: Billed, body: dict[str, Any]) -> dict[str, Any]:
    """Return figures within the rules, most of them the most that there can be."""
    output = draw(st.sampled_from([body["max_tokens"], 0, 1]))
    read = billed.prompt
    if billed.searches:
        grown = min(CONTEXT, read + output + billed.searches * SEARCH_RESULT)
        read = grown * (1 + billed.searches)
    written = draw(st.sampled_from([0, read])) if billed.five_minutes else 0
    cached = draw(st.sampled_from([0, read - written]))
    return {
        "input_tokens": read - written - cached,
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": written,
        "cache_creation": {"ephemeral_1h_input_tokens": written if billed.hour else 0},
        "output_tokens": output,
        "server_tool_use": {"web_search_requests": billed.searches},
    }


def judged(raw: bytes) -> Checked:
    every = policy(
        models=tuple(model.id for model in MODELS), server_tools=("web_search",)
    )
    return check(raw, (), every, counting=False, limits=RelayLimits())


def answered(checked: Checked, told: dict[str, Any], *, cut: bool) -> Meter:
    meter = Meter(checked, RelayLimits())
    start = {"type": "message_start", "message": {"usage": told}}
    meter.feed(b"data: " + json.dumps(start).encode() + b"\n\n")
    if not cut:
        last = {"type": "message_delta", "usage": told}
        meter.feed(b"data: " + json.dumps(last).encode() + b"\n\n")
    meter.end()
    return meter


@settings(max_examples=300)
@given(st.data())
def test_what_is_billed_is_never_above_what_was_reserved(data: st.DataObject) -> None:
    body, billed = data.draw(requests())
    raw = json.dumps(body, ensure_ascii=data.draw(st.booleans()))
    try:
        checked = judged(raw.encode("utf-8", "surrogatepass"))
    except HiveError:  # a lone surrogate, which the provider refuses too
        return
    told = data.draw(usages(billed, body))
    meter = answered(checked, told, cut=data.draw(st.booleans()))
    settled = checked.model.cost_usd(meter.tokens()) + checked.bound.fee_usd
    assert price(checked.model, told) <= settled + 1e-9
    assert settled <= checked.max_cost_usd + 1e-9
    tokens = meter.tokens()
    assert tokens.prompt <= checked.bound.prompt
    assert tokens.output <= checked.max_tokens
    if data.draw(st.booleans()):  # near the limit: for less, but for enough
        shorter = checked.within(checked.max_cost_usd * data.draw(st.floats(0, 1)))
        assert shorter is None or shorter.max_cost_usd <= checked.max_cost_usd
