"""The daily limit holds: for caches wherever one asks, and for requests at once."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from checks.kits.host.store import open_kit
from checks.kits.relay.bench import (
    PATH,
    agent,
    config,
    message,
    policy,
    relaying,
    until_served,
)
from checks.kits.relay.prices import CONTEXT, PAGE, PAGES, price
from pyglue.host.core.day_limits import start_of_day
from pyglue.host.model.relay import RelayHub
from pyglue.limits import RelayLimits
from pyglue.models.catalogue import MODELS
from pyglue.redaction.redactor import Redactor
from pyglue.relay import content
from pyglue.relay.content import Part
from pyglue.relay.request import check
from pyglue.store import usage


# --- all of it ----------------------------------------------------------------------
class Greedy:
    """An upstream that bills the most that it may, and remembers it."""

    def __init__(self) -> None:
        self.url = ""
        self.billed_usd = 0.0
        self.tokens = 0
        self.answered = 0
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> "Greedy":
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/v1/messages", self._message)
        app.router.add_post("/v1/messages/count_tokens", self._count)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def _read(self, body: dict[str, Any]) -> int:
        text, documents = 0, 0
        for block in body["messages"][0]["content"]:
            text += len(block.get("text", "").encode())
            documents += block["type"] == "document"
        return min(CONTEXT, text + documents * PAGES * PAGE)

    async def _count(self, request: web.Request) -> web.Response:
        return web.json_response({"input_tokens": self._read(await request.json())})

    async def _message(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        read = self._read(body)
        told = {
            "input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation_input_tokens": read,
            "cache_creation": {"ephemeral_1h_input_tokens": read},
            "output_tokens": body["max_tokens"],
            "server_tool_use": {"web_search_requests": 0},
        }
        (model,) = (model for model in MODELS if model.id == body["model"])
        self.billed_usd += price(model, told)
        self.tokens += read + body["max_tokens"]
        self.answered += 1
        start = {"type": "message_start", "message": {"usage": told}}
        last = {"type": "message_delta", "usage": told}
        lines = [f"data: {json.dumps(event)}\n\n" for event in (start, last)]
        if self.answered % 3 == 0:
            lines.pop()  # an answer that breaks off: nobody knows what it used
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write("".join(lines).encode())
        return response


@pytest.fixture
async def greedy() -> AsyncIterator[Greedy]:
    async with Greedy() as upstream:
        yield upstream


HOUR = {"type": "ephemeral", "ttl": "1h"}

TEXT = {"type": "text", "text": "x"}

REFERENCE = {"type": "tool_reference", "tool_name": "x"}

USE = {"id": "x", "name": "x", "input": {}}

RESULT = {"tool_use_id": "x", "content": "x"}

SEARCH = {"type": "search_result", "source": "x", "title": "x"}

IMAGE_SOURCE = {"type": "base64", "media_type": "image/png", "data": ""}

CACHED_PARTS: dict[type[Part], dict[str, Any]] = {
    content.TextBlock: {**TEXT},
    content.ToolUse: {"type": "tool_use", **USE},
    content.Image: {"type": "image", "source": IMAGE_SOURCE},
    content.Document: {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "x"},
    },
    content.SearchResult: {**SEARCH, "content": []},
    content.ToolReference: REFERENCE,
    content.ToolAddition: {"type": "tool_addition", "tool": REFERENCE},
    content.ToolRemoval: {"type": "tool_removal", "tool": REFERENCE},
    content.ToolResult: {"type": "tool_result", "tool_use_id": "x"},
    content.ServerToolUse: {"type": "server_tool_use", **USE},
    content.ServerResult: {"type": "web_search_tool_result", **RESULT},
    content.SearchToolResult: {"type": "web_search_tool_result", **RESULT},
    content.FetchToolResult: {"type": "web_fetch_tool_result", **RESULT},
    content.CodeToolResult: {"type": "code_execution_tool_result", **RESULT},
    content.BashToolResult: {"type": "bash_code_execution_tool_result", **RESULT},
    content.EditorToolResult: {
        "type": "text_editor_code_execution_tool_result",
        **RESULT,
    },
}


def blocks_with(control: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every block that can be cached, by itself and within others."""
    found = [{**block, "cache_control": control} for block in CACHED_PARTS.values()]
    text, reference = {**TEXT, "cache_control": control}, found[5]
    return [
        *found,
        {"type": "tool_removal", "tool": reference},
        {"type": "tool_addition", "tool": reference},
        {
            "type": "tool_addition",
            "tool": {
                "type": "tool_definition",
                "definition": {"name": "x", "cache_control": control},
            },
        },
        {"type": "tool_result", "tool_use_id": "x", "content": [text]},
        {"type": "document", "source": {"type": "content", "content": [text]}},
        {**SEARCH, "content": [text]},
    ]


def test_every_part_that_can_be_cached_is_tried() -> None:
    parts = {
        kind
        for kind in vars(content).values()
        if isinstance(kind, type)
        and issubclass(kind, Part)
        and "cache_control" in kind.__struct_fields__
    }
    assert set(CACHED_PARTS) == parts


@pytest.mark.parametrize("block", blocks_with(HOUR), ids=lambda one: str(one)[:70])
def test_a_cache_is_reserved_for_wherever_it_is_asked(block: dict[str, Any]) -> None:
    model = MODELS[-1].id
    said = [{"role": "user", "content": [block]}]
    raw = json.dumps(message(messages=said, model=model)).encode()
    of = policy(models=(model,), server_tools=("web_search",))
    checked = check(raw, (), of, counting=False, limits=RelayLimits())
    assert checked.found.caches_for_an_hour


PDF = {
    "type": "document",
    "source": {"type": "base64", "media_type": "application/pdf", "data": "A" * 69_000},
    "cache_control": HOUR,
}


def digits(count: int) -> dict[str, Any]:
    return {"type": "text", "text": "7" * count, "cache_control": HOUR}


@pytest.mark.parametrize(
    ("limits", "block"),
    [
        ({"costPerDayUsd": 5.5}, PDF),
        ({"costPerDayUsd": 5.5}, digits(40_000)),
        ({"costPerDayUsd": 0.25}, digits(4_000)),
        ({"tokensPerDay": 1_500_000}, PDF),
        ({"tokensPerDay": 300_000}, digits(40_000)),
    ],
)
async def test_fifty_at_once_stay_within_the_day(
    greedy: Greedy, tmp_path: Path, limits: dict[str, float], block: dict[str, Any]
) -> None:
    none = ("costPerDayUsd", "cpuQuota", "memoryMax", "tokensPerDay", "turnsPerHour")
    (tmp_path / "kit").mkdir()
    kit = await open_kit(tmp_path / "kit")
    alice = await kit.agent("alice", limits={**dict.fromkeys(none), **limits})
    made = config(tmp_path, greedy.url)
    made.layout.run("alice").mkdir(parents=True)
    hub = RelayHub(
        redactor=Redactor(),
        store=kit.store,
        registry=kit.registry,
        transitions=kit.transitions,
        config=made,
        server_name="x",
    )
    await hub.open()
    record = alice.policy()
    hub.add(alice, record)
    body = message(
        messages=[{"role": "user", "content": [block]}],
        model="haiku",
        max_tokens=20_000,
    )
    try:
        async with (
            relaying(made, RelayLimits(requests=64)),
            agent(made.layout.run("alice") / "model.sock") as client,
        ):
            await until_served(client)
            statuses = await asyncio.gather(*(ask(client, body) for _ in range(50)))
            while 402 not in statuses[-1:]:  # to the last cent that is of use
                statuses = [await ask(client, body)]
    finally:
        hub.close()
    spent = await kit.store.read(
        lambda reader: usage.spent(reader, "alice", start_of_day())
    )
    tokens = await kit.store.read(
        lambda reader: usage.tokens(reader, "alice", start_of_day())
    )
    await kit.store.close()
    assert greedy.answered > 0
    assert greedy.billed_usd <= limits.get("costPerDayUsd", 1e9)
    assert greedy.billed_usd <= spent + 1e-9 <= limits.get("costPerDayUsd", 1e9) + 1e-6
    assert greedy.tokens <= tokens <= limits.get("tokensPerDay", 10**12)


async def ask(client: aiohttp.ClientSession, body: dict[str, Any]) -> int:
    try:
        async with client.post(PATH, json=body) as answer:
            await answer.read()
            return answer.status
    except aiohttp.ClientError:
        return 0
