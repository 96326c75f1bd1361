"""[parked_harness]: memory of a harness that waits for messages.

Several run at once, each after a turn, because they share the pages of their programs:
the proportional set size of one counts what is its own, and its part of what is shared.
The reference is what a machine with a hundred agents should spare for each.
"""

import contextlib
from pathlib import Path
from typing import Final

from checks.bench.measure import Figure, room
from checks.kits.harness.bench import FakeHive, script
from checks.kits.harness.process import Home, harness, model_socket, scripted_model
from pyglue.api.turns import TurnOutcome

NAME: Final = "parked_harness"
LIMIT: Final = 1.0
_AGENTS: Final = 4
_PSS_MIB: Final = 20.0


async def bench() -> Figure:
    """Run a turn in each of a few harnesses, and read what they hold afterwards."""
    pids = []
    with room() as directory, scripted_model(directory / "requests.jsonl") as port:
        async with contextlib.AsyncExitStack() as stack:
            for number in range(_AGENTS):
                home = Home(directory / f"bob{number}")
                home.load()
                model = model_socket(home.run / "model.sock", port)
                await stack.enter_async_context(model)
                hive = FakeHive(home.run / "hive.sock")
                await stack.enter_async_context(hive)
                process = await stack.enter_async_context(harness(home))
                await hive.mail(script({"text": "done"}))
                await hive.until(lambda hive=hive: hive.ends)
                assert hive.ends[0].outcome is TurnOutcome.OK
                pids.append(process.pid)
            held = tuple(pss_mib(pid) for pid in pids)
    return Figure(NAME, held, _PSS_MIB, LIMIT, {"fixed": _PSS_MIB}, unit="MiB")


def pss_mib(pid: int) -> float:
    """Return the proportional set size of a process."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"process {pid} has no memory")
