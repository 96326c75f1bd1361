"""[warm_start]: from ``make run``, with everything installed, to a usable dashboard.

Usable means that the login page answers 200. What counts is a state directory that
has been used before; starts from nothing are measured too and told on the way. The
reference is what a person may be asked to wait.
"""

import asyncio
import http.client
import os
import signal
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from checks.bench.measure import Figure, progress, room, since
from checks.kits.net.ports import free_port

NAME: Final = "warm_start"
LIMIT: Final = 1.0
_REFERENCE_MS: Final = 3000.0
_SAMPLES: Final = 9
_FRESH: Final = 3
_GIVE_UP_S: Final = 60.0
_LOOK_EVERY_S: Final = 0.01
_LAST_LINE: Final = b"Press Ctrl-C to stop it.\n"


async def bench() -> Figure:
    """Start and stop hives of their own on free ports."""
    with room() as directory:
        fresh = [await _start(directory / str(number)) for number in range(_FRESH)]
        progress(f"  from nothing: {statistics.median(fresh):.0f} ms")
        used = [await _start(directory / "0") for _ in range(_SAMPLES)]
    return Figure(NAME, tuple(used), _REFERENCE_MS, LIMIT, {"fixed": _REFERENCE_MS})


async def _start(state: Path) -> float:
    """Run until the dashboard answers; return the milliseconds, then stop it."""
    port = free_port()
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *("make", "--no-print-directory", "run"),
        cwd=Path(__file__).parents[2],
        env=_environment(state, port),
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_GIVE_UP_S):
            await asyncio.to_thread(_until_it_answers, port)
            took = since(began)
            while line := await process.stdout.readline():
                if line == _LAST_LINE:
                    break
    finally:
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
        await process.communicate()
    return took


def _environment(state: Path, port: int) -> Mapping[str, str]:
    kept = {k: v for k, v in os.environ.items() if k != "ANTHROPIC_API_KEY"}
    return {**kept, "HIVE_STATE": str(state), "HIVE_PORT": str(port)}


def _until_it_answers(port: int) -> None:
    give_up = time.monotonic() + _GIVE_UP_S
    while time.monotonic() < give_up:
        asked = http.client.HTTPConnection("127.0.0.1", port, timeout=_GIVE_UP_S)
        try:
            asked.request("GET", "/login")
            if asked.getresponse().status == 200:
                return
        except OSError:
            time.sleep(_LOOK_EVERY_S)
        finally:
            asked.close()
    raise TimeoutError("the dashboard does not answer")
