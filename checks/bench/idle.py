"""[idle_cpu], [idle_wakeups]: the cost of an idle hive.

A whole local hive with fifty agents, every one a real harness that waits for mail.
What counts is hived, hive-relay and hive-web with its worker: their CPU time over a
minute as the scheduler has it, and how often one of their threads was woken. The
references are what a laptop should not notice.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from checks.bench.measure import Figure, progress, room
from checks.kits.host.hive import Hive, running_hive
from checks.kits.process.processes import family
from pyglue.api.manager import REQUEST_SPAWN, SpawnParams
from pyglue.api.operations import OperationState
from pyglue.cli.local.launcher import PARTS
from pyglue.config import Timeouts

NAME: Final = "idle_cpu"
WAKEUPS: Final = "idle_wakeups"
LIMIT: Final = 1.0
_AGENTS: Final = 50
_AT_ONCE: Final = 4
_SECONDS: Final = 60.0
_SETTLE_S: Final = 15.0
"""How long starting may still echo: caches are written, connections kept alive."""
_CPU_MS: Final = 300.0
_WAKEUPS_A_SECOND: Final = 5.0
_TIMEOUTS: Final = Timeouts(health_s=300.0)


async def bench() -> tuple[Figure, Figure]:
    """Start the hive, let it settle, and read its processes' books twice."""
    with room() as directory:
        async with running_hive(
            directory, agents=("manager",), timeouts=_TIMEOUTS, beside=PARTS
        ) as hive:
            await _populate(hive)
            await asyncio.sleep(_SETTLE_S)
            before = _books(hive)
            await asyncio.sleep(_SECONDS)
            after = _books(hive)
    used = {name: after[name] - before[name] for name in before}
    for name, spent in used.items():
        progress(f"  {name}: {spent.cpu_ms:.0f} ms, {spent.woken} times woken")
    cpu = sum(spent.cpu_ms for spent in used.values())
    woken = sum(spent.woken for spent in used.values()) / _SECONDS
    return (
        Figure(NAME, (cpu,), _CPU_MS, LIMIT, {"fixed": _CPU_MS}),
        Figure(
            WAKEUPS,
            (woken,),
            _WAKEUPS_A_SECOND,
            LIMIT,
            {"fixed": _WAKEUPS_A_SECOND},
            unit="/s",
        ),
    )


async def _populate(hive: Hive) -> None:
    """Have the manager ask for agents, approve them, and wait until all are idle."""
    names = [f"agent{number:02}" for number in range(1, _AGENTS)]
    manager = await hive.as_agent("manager")
    turns = asyncio.Semaphore(_AT_ONCE)

    async def make(name: str) -> None:
        async with turns:
            proposal = await manager.call(REQUEST_SPAWN, SpawnParams(name=name))
            done = await hive.approve(proposal)
            while done.state in (OperationState.QUEUED, OperationState.RUNNING):
                done = await hive.operation(done.id)
            assert done.state is OperationState.DONE, done.error
            if int(name[-2:]) % 10 == 0:
                progress(f"  {name} of {_AGENTS}")

    await asyncio.gather(*map(make, names))
    await hive.idle("manager", *names)
    manager.close()


@dataclass(frozen=True)
class _Spent:
    """What the threads of one process have used."""

    cpu_ms: float
    woken: int

    def __sub__(self, other: "_Spent") -> "_Spent":
        return _Spent(self.cpu_ms - other.cpu_ms, self.woken - other.woken)

    def __add__(self, other: "_Spent") -> "_Spent":
        return _Spent(self.cpu_ms + other.cpu_ms, self.woken + other.woken)


def _books(hive: Hive) -> dict[str, _Spent]:
    books = {name: _spent(hive.local.pid(name)) for name in ("hived", "hive-relay")}
    web = hive.local.pid("hive-web")
    books["hive-web"] = sum(map(_spent, family(web)), _Spent(0.0, 0))
    return books


def _spent(pid: int) -> _Spent:
    total = _Spent(0.0, 0)
    for thread in Path(f"/proc/{pid}/task").iterdir():
        nanoseconds = int((thread / "schedstat").read_text().split()[0])
        status = (thread / "status").read_text()
        # A wait that ended is a wake-up; each begins with a voluntary switch.
        woken = int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
        total += _Spent(nanoseconds / 1e6, woken)
    return total
