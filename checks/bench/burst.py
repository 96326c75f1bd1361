"""[turns_burst]: many agents that get one message after another, all at once.

Twenty agents of one hive, in their sandboxes, each sent its next message when the turn
of the last has ended; the model answers at once. What counts is the time for a turn,
over all of them. The reference is a hive beside it that may keep no CLI, in turns.
"""

import asyncio
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Final

from checks.bench.measure import Figure, progress, room, since
from checks.kits.host.hive import Hive, running_hive, script
from pyglue.api import operator as api
from pyglue.api.common import NoParams
from pyglue.cli.local.launcher import PARTS
from pyglue.config import WarmConfig

NAME: Final = "turns_burst"
LIMIT: Final = 0.2
_AGENTS: Final = tuple(f"a{number}" for number in range(20))
_MESSAGES: Final = 10
_ROUNDS: Final = 3
_BODY: Final = script({"text": "done"})


async def bench() -> Figure:
    """Send to both hives in turns, after a first message that warms."""
    with room() as directory:
        async with (
            _hive(directory / "warm", WarmConfig()) as kept,
            _hive(directory / "cold", WarmConfig(memory=0)) as started,
        ):
            for hive in (kept, started):
                await _burst(hive, 1)
            warm: list[float] = []
            cold: list[float] = []
            for number in range(_ROUNDS):
                warm.append(await _burst(kept, _MESSAGES))
                cold.append(await _burst(started, _MESSAGES))
                progress(f"  round {number + 1} of {_ROUNDS}")
            await _within_grant(kept)
    reference = statistics.median(cold)
    return Figure(NAME, tuple(warm), reference, LIMIT, {"cold": reference})


@asynccontextmanager
async def _hive(state: Path, warm: WarmConfig) -> AsyncIterator[Hive]:
    state.mkdir()
    async with running_hive(state, agents=_AGENTS, warm=warm, beside=PARTS) as hive:
        yield hive


async def _burst(hive: Hive, messages: int) -> float:
    """Return the milliseconds for a turn."""
    began = perf_counter()
    await asyncio.gather(*(_one_by_one(hive, name, messages) for name in _AGENTS))
    return since(began) / (messages * len(_AGENTS))


async def _one_by_one(hive: Hive, name: str, messages: int) -> None:
    for _ in range(messages):
        seen = len(hive.events)
        await hive.send(name, _BODY)

        async def ended(seen: int = seen) -> bool | None:
            new = hive.events[seen:]
            return any(e.agent == name and e.kind == "turn.ended" for e in new) or None

        await hive.until(ended, f"a turn of {name}")


async def _within_grant(hive: Hive) -> None:
    warm = (await hive.operator.call(api.METRICS, NoParams())).warm
    assert warm is not None
    assert warm.memory_bytes <= warm.limit_bytes, warm
    held, granted = (size // 2**20 for size in (warm.memory_bytes, warm.limit_bytes))
    progress(f"  warm CLIs hold {held} of {granted} MiB, {warm.misses} misses")
