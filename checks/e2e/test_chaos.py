"""Kill -9 of harnesses, CLIs, the relay and hived at random, under numbered messages.

Five agents pass tokens on: each token tells its reader to send its number to another.
Their CLIs stay warm between turns, and messages join running turns. A round has ten
messages; 100 rounds take about ten minutes on two cores with nothing else to do.
``HIVE_CHAOS_ROUNDS`` is how often something is killed; the seed is printed, and
``HIVE_CHAOS_SEED`` plays it again. At the end every message was read by the model at
least once, one that was handed out again said so, and none is lost, dead or left.
"""

import asyncio
import contextlib
import json
import os
import random
import re
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from checks.kits.host.hive import Hive, running_hive
from checks.kits.process.processes import command, family
from pyglue.api import operator as api
from pyglue.api.common import NoParams
from pyglue.api.overview import AgentView
from pyglue.config import MessageLimits, Timeouts
from pyglue.demo.playbook import Rule, Script, Step, read_request
from pyglue.demo.scripted_model import ScriptedModel

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nix", "git", "bwrap"),
]

ROUNDS = int(os.environ.get("HIVE_CHAOS_ROUNDS", "6"))
SEED = int(os.environ.get("HIVE_CHAOS_SEED", "0")) or time.time_ns() % 10**6
BACKLOG = 10
"""Kills go on only while the hive gets on: a round of messages may be left."""
MANY = 50
"""From so many rounds on, some turn must have been a warm one."""
AGENTS = ("manager", "a", "b", "c", "d")
"""The manager is the fifth: it too gets mail and is killed."""
PATIENCE_S = 240.0


HEADER = re.compile(r"^\[message (\d+) from ([^\]]*)\]", re.MULTILINE)
RULES = (
    Rule(
        "token #",
        (
            Step(
                sleep=0.2,
                tool="mcp__hive__send",
                input={
                    "to": "{{user:pass to (\\S+)}}",
                    "body": "echo #{{user:token #(\\d+)}}",
                },
            ),
            Step(text="done"),
        ),
    ),
    Rule("echo #", (Step(text="noted"),)),
)


class Recording(ScriptedModel):
    """The model, which notes what it was given to read: message ids, marked or not."""

    def __init__(self) -> None:
        super().__init__(Script(RULES), keep=False)
        self.read: dict[int, list[bool]] = {}

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        asked = read_request(json.loads(raw), len(raw))
        new = [text for answers, text in asked.joined if answers == asked.index]
        for text in [asked.user] * (asked.index == 0) + new:
            for number, rest in HEADER.findall(text):
                self.read.setdefault(int(number), []).append("redelivered" in rest)
        return await super()._messages(request)


@dataclass(frozen=True)
class Chaos:
    """The hive and its model."""

    hive: Hive
    model: Recording


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chaos(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Chaos]:
    room = tmp_path_factory.mktemp("chaos")
    timeouts = Timeouts(health_s=120.0, drain_s=2.0)
    model = Recording()
    await model.start()
    try:
        async with running_hive(
            room,
            agents=AGENTS,
            timeouts=timeouts,
            messages=MessageLimits(deliveries_max=10_000),  # however often it is hit
            upstream=model.address,
        ) as running:
            yield Chaos(running, model)
    finally:
        await model.stop()


def harnesses(hive: Hive) -> list[int]:
    """Return the process ids of every harness of this hive, sandboxes included."""
    pids = family(hive.local.pid("hived"))
    return [pid for pid in pids if "pyglue.harness" in " ".join(command(pid))]


def clis(hive: Hive) -> list[int]:
    """Return the process ids of the CLIs that run turns now."""
    pids = family(hive.local.pid("hived"))
    return [pid for pid in pids if "claude" in "".join(command(pid)[:1])]


async def strike(hive: Hive, chance: random.Random) -> str:
    """Kill something of the hive, return what."""
    what = chance.choice(("harness", "harness", "cli", "cli", "hived", "relay"))
    if what == "hived":
        await hive.kill_hived()
        return what
    if what == "relay":
        await hive.kill_relay()
        return what
    victims = harnesses(hive) if what == "harness" else clis(hive)
    if victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(chance.choice(victims), signal.SIGKILL)
    return what if victims else f"no {what}"


async def test_nothing_is_lost(chaos: Chaos) -> None:
    hive = chaos.hive
    sys.stdout.write(f"seed {SEED}, {ROUNDS} rounds\n")
    chance = random.Random(SEED)  # noqa: S311 - played again, not secret
    struck: Counter[str] = Counter()
    number = warm = 0
    for _ in range(ROUNDS):
        for agent in AGENTS:
            number += 1
            to = chance.choice([name for name in AGENTS if name != agent])
            await hive.send(agent, f"token #{number} pass to {to}")
        await moment(hive, chance)
        found = await warm_turns(hive)
        what = await strike(hive, chance)
        struck[what] += 1
        warm += found if what == "hived" else 0  # it counts since its own start
        await few_left(hive, BACKLOG)
    await few_left(hive, 0)
    judge(chaos, number, struck)
    warm += await warm_turns(hive)
    sys.stdout.write(f"{warm} turns found a warm CLI\n")
    assert warm or ROUNDS < MANY


async def moment(hive: Hive, chance: random.Random) -> None:
    """Wait for a random number of events, so that a kill hits anything."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2):
            for _ in range(chance.randrange(1, 30)):
                hive.changed.clear()
                await hive.changed.wait()


async def warm_turns(hive: Hive) -> int:
    """Return how many turns found a warm CLI since hived started."""
    found = (await hive.operator.call(api.METRICS, NoParams())).warm
    return 0 if found is None else found.hits


async def few_left(hive: Hive, most: int) -> None:
    """Return once no more messages are to be read; one that is held counts, too."""
    found: tuple[AgentView, ...] = ()
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                hive.changed.clear()
                found = (await hive.operator.call(api.AGENTS, NoParams())).agents
                if sum(agent.inbox for agent in found) <= most:
                    return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(10):
                        await hive.changed.wait()
    except TimeoutError:
        left = [row for row in read(hive) if row["state"] != "done"]
        pytest.fail(f"Messages are left: {left}\nThe agents: {found}")


def judge(chaos: Chaos, tokens: int, struck: Counter[str]) -> None:
    """Look at every message that the hive carried to an agent."""
    rows = [row for row in read(chaos.hive) if row["recipient"] in AGENTS]
    numbered = [row for row in rows if " #" in row["body"]]
    given = [row for row in numbered if row["sender"] == "operator"]
    again = [row for row in numbered if row["deliveries"] > 1]
    sys.stdout.write(
        f"killed {dict(struck)}; {tokens} tokens, {len(numbered)} messages, "
        f"{len(again)} handed out again\n"
    )
    assert len(given) == tokens
    for row in numbered:
        seen = chaos.model.read.get(row["id"], [])
        assert row["state"] == "done", row
        assert seen, f"{row['body']} was never processed"
        assert seen[-1] is (row["deliveries"] > 1), (row, seen)


def read(hive: Hive) -> list[dict[str, Any]]:
    """Return every message as stored; nobody writes while the hive is at rest."""
    with sqlite3.connect(f"file:{hive.state}/hive.db?mode=ro", uri=True) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute("SELECT * FROM message")]
