"""[crash_to_inbox]: from the kill of a container to the event in the manager's inbox.

On a test host with systemd (as root), the container's first process is killed; what is
measured ends when the row of the system's message to the manager is committed and
published. Beside it, in the same run, a poller asks systemd every ten seconds whether
anything runs that did not before; what it takes is told on the way.
"""

import asyncio
import statistics
import time
from typing import Final

from checks.bench.measure import Figure, progress
from checks.kits.host.hive import AGENTS
from checks.systemd.hive import SystemHive, connected, install
from checks.systemd.machine import booted, why_not
from checks.systemd.tree import disk, tree
from pyglue.api.common import AgentState
from pyglue.api.events import MessageSent
from pyglue.api.manager import REQUEST_SPAWN, SpawnParams

NAME: Final = "crash_to_inbox"
LIMIT: Final = 1.0
_REFERENCE_MS: Final = 100.0
_POLL_S: Final = 10.0
_EACH: Final = 4
"""Crashes of one agent: of more in a while the manager is not told one by one."""
_MORE: Final = ("bob", "carol")


async def bench() -> Figure:
    """Kill containers in turn, each after the one before has come back."""
    missing = why_not()
    if missing is not None:
        raise SystemExit(f"[{NAME}] cannot run here: {missing}")
    with disk() as room, booted(tree(progress), room, "hive-bench") as machine:
        config = install(machine, AGENTS)
        async with connected(machine, config) as hive:
            await hive.idle(*AGENTS)
            await _spawn(hive)
            samples, polled = await _measure(hive)
    progress(f"  a poller every {_POLL_S:g} s: {statistics.median(polled):.0f} ms")
    parts = {"fixed": _REFERENCE_MS}
    return Figure(NAME, tuple(samples), _REFERENCE_MS, LIMIT, parts)


async def _spawn(hive: SystemHive) -> None:
    manager = await hive.as_agent("manager")
    for name in _MORE:
        proposal = await manager.call(REQUEST_SPAWN, SpawnParams(name=name))
        done = await hive.approve(proposal)
        assert done.error is None, done.error
    manager.close()


async def _measure(hive: SystemHive) -> tuple[list[float], list[float]]:
    samples: list[float] = []
    polled: list[float] = []
    for number in range(_EACH):
        for name in ("alice", *_MORE):
            await hive.idle("manager", name)
            run = hive.unit(name, "InvocationID")["InvocationID"]
            pid = str(hive.leader(name))
            mark = len(hive.events)
            killer = ("python3", "-c", _KILL, pid)
            poller = asyncio.create_task(_poll(hive, name, run))
            # The clock is the machine's, the same in the host and here.
            began = float((await asyncio.to_thread(hive.machine.run, *killer)).out)
            samples.append(await _told(hive, mark, began))
            polled.append(1000 * (await poller - began))
            await _well(hive, name, run)
        progress(f"  round {number + 1} of {_EACH}: {samples[-1]:.1f} ms")
    return samples, polled


_KILL: Final = (
    "import os, sys, time; began = time.time(); os.kill(int(sys.argv[1]), 9); "
    "print(began)"
)


async def _told(hive: SystemHive, mark: int, began: float) -> float:
    """Return the milliseconds until the manager was written to."""

    async def look() -> float | None:
        for event in hive.events[mark:]:
            match event.read():
                case MessageSent(sender="system", recipient="manager"):
                    return event.at
        return None

    return 1000 * (await hive.until(look, "the message to the manager") - began)


async def _poll(hive: SystemHive, name: str, run: str) -> float:
    """Look every ten seconds, from a moment on that the kill knows nothing of."""
    phase = time.time() % _POLL_S
    await asyncio.sleep(_POLL_S - phase)
    while True:
        shown = await asyncio.to_thread(hive.unit, name, "InvocationID", "ActiveState")
        if shown["InvocationID"] != run or shown["ActiveState"] != "active":
            return time.time()
        await asyncio.sleep(_POLL_S)


async def _well(hive: SystemHive, name: str, run: str) -> None:
    async def look() -> bool | None:
        now = hive.unit(name, "InvocationID")["InvocationID"]
        state = (await hive.agent(name)).state
        return True if now not in ("", run) and state is AgentState.IDLE else None

    await hive.until(look, f"{name} came back")
