"""The relay between a fake hived and the scripted model, on real sockets.

``relaying`` runs the relay's own ``serve``-side objects in this event loop; ``agent``
is an HTTP client on an agent's ``model.sock``. ``with_upstream`` opens both with a
``FakeHived``, and ``setup_in`` with a scripted model too.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from checks.kits.patience import PATIENCE_S
from checks.kits.relay.hived import FakeHived
from pyglue.api.relay import (
    ModelPolicy,
)
from pyglue.config import Account, Credential, HiveConfig, RelayConfig
from pyglue.demo.scripted_model import ScriptedModel
from pyglue.jsonrpc import short_path
from pyglue.limits import RelayLimits
from pyglue.relay.app import Relay

PATH = "/v1/messages?beta=true"
LIMITS = RelayLimits(drain_s=0.2)
KEY = "sk-ant-the-real-one"
MODEL = "claude-sonnet-5-5"


def policy(**fields: Any) -> ModelPolicy:
    """Return alice's policy, changed in ``fields``."""
    given = {
        "agent": "alice",
        "models": (MODEL, "claude-haiku-5-5"),
        "server_tools": (),
        "cost_per_day_usd": None,
    }
    return ModelPolicy(**{**given, **fields})


def message(
    text: str = "hello",
    **fields: Any,
) -> dict[str, Any]:
    """Return a request as the CLI makes them, changed in ``fields``."""
    content = [{"type": "text", "text": text}]
    return {
        "model": "claude-sonnet-5-5",
        "max_tokens": 1000,
        "stream": True,
        "messages": [{"role": "user", "content": content}],
        **fields,
    }


def script(*steps: dict[str, Any]) -> str:
    """Return a text that tells the scripted model what to do."""
    return f"SCRIPT: {json.dumps(steps)}"


def config(
    room: Path,
    upstream: str,
    credential: Credential = Credential.API_KEY,
    others: dict[str, Account] | None = None,
) -> HiveConfig:
    """Return a config with a key file in ``room``."""
    key = room / "key"
    if not key.exists():
        key.write_text(f"{KEY}\n")
    return HiveConfig(
        state_dir=str(room / "state"),
        runtime_dir=str(room / "run"),
        relay=RelayConfig(
            upstream_url=upstream,
            api_key_file=str(key),
            credential=credential,
            others=others or {},
        ),
    )


@contextlib.asynccontextmanager
async def relaying(
    config: HiveConfig, limits: RelayLimits = LIMITS
) -> AsyncIterator[Relay]:
    """Run the relay in this event loop."""
    relay = Relay(config, limits=limits)
    task = asyncio.create_task(relay.link.run())
    try:
        yield relay
    finally:
        await relay.close()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def agent(path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """Connect to a ``model.sock``, however long its path is."""
    with short_path(path) as name:
        connector = aiohttp.UnixConnector(name)
        async with aiohttp.ClientSession("http://model", connector=connector) as made:
            yield made


async def connected(
    path: Path,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to a ``model.sock`` without a client of HTTP."""
    with short_path(path) as name:
        return await asyncio.open_unix_connection(name)


def events(text: str) -> list[dict[str, Any]]:
    """Return the events of a stream."""
    return [
        json.loads(line.removeprefix("data:"))
        for line in text.splitlines()
        if line.startswith("data:")
    ]


async def until_served(session: aiohttp.ClientSession) -> None:
    """Return when requests are no longer told to come back later."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            body = message(model="nobody's")
            async with session.post(PATH, json=body) as answer:
                if answer.status == 404:
                    return


@contextlib.asynccontextmanager
async def with_upstream(
    room: Path,
    upstream: str,
    limits: RelayLimits = LIMITS,
    credential: Credential = Credential.API_KEY,
    others: dict[str, Account] | None = None,
) -> AsyncIterator[tuple[FakeHived, aiohttp.ClientSession]]:
    """Run a hived and the relay before ``upstream``; return once alice is served."""
    hived = FakeHived(config(room, upstream, credential, others))
    await hived.start()
    hived.add(policy())
    try:
        async with relaying(hived.config, limits), agent(hived.door("alice")) as alice:
            await until_served(alice)
            yield hived, alice
    finally:
        hived.stop()


@dataclass(repr=False)
class Setup:
    """Everything that a test needs."""

    hived: FakeHived
    model: ScriptedModel
    alice: aiohttp.ClientSession
    config: HiveConfig

    async def post(
        self,
        body: Any,
        path: str = PATH,
        **headers: str,
    ) -> tuple[int, str]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.alice.post(path, data=data, headers=named) as answer:
            return answer.status, await answer.text()

    async def refused(self, body: Any, path: str = PATH, **headers: str) -> str:
        """Post, expect an error in the API's form, return its type and text."""
        status, text = await self.post(body, path, **headers)
        error = json.loads(text)
        assert error["type"] == "error"
        assert set(error["error"]) == {"type", "message"}
        return f"{status} {error['error']['type']}: {error['error']['message']}"


@contextlib.asynccontextmanager
async def setup_in(
    room: Path,
    limits: RelayLimits = LIMITS,
    credential: Credential = Credential.API_KEY,
    others: dict[str, Account] | None = None,
) -> AsyncIterator[Setup]:
    """Run a hived, the relay and a scripted model."""
    model = ScriptedModel()
    await model.start()
    try:
        async with with_upstream(room, model.address, limits, credential, others) as (
            hived,
            alice,
        ):
            yield Setup(hived, model, alice, hived.config)
    finally:
        await model.stop()
