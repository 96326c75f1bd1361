"""Common code of the hive's daemons: command line, log, and shutdown."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from pyglue import __version__
from pyglue.config import HiveConfig, load
from pyglue.errors import HiveError
from pyglue.process.limits import raise_open_files
from pyglue.program.log import log_to_stderr


def parser(name: str, about: str) -> argparse.ArgumentParser:
    """Return the parser of a daemon's command line: ``--config`` and ``--version``."""
    made = argparse.ArgumentParser(prog=name, description=about)
    made.add_argument(
        "--config", type=Path, required=True, help="configuration file (JSON)"
    )
    made.add_argument("--version", action="version", version=__version__)
    return made


def stop_signal() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set from now on, in the running loop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def until_stopped(
    work: Coroutine[Any, Any, None], close: Callable[[], Awaitable[None]]
) -> None:
    """Run ``work``, which only ends with an error, until SIGTERM or SIGINT.

    Raises:
        HiveError: the error of ``work``, after ``close``.
    """
    tasks = asyncio.create_task(work), asyncio.create_task(stop_signal().wait())
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await close()
        if tasks[0].done():
            tasks[0].result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def run(
    asked: argparse.ArgumentParser,
    serve: Callable[[HiveConfig], Coroutine[Any, Any, None]],
) -> None:
    """Serve until stopped; exit with 1 and an error message if startup fails."""
    arguments = asked.parse_args()
    log_to_stderr()
    try:
        raise_open_files()
        asyncio.run(serve(load(arguments.config)))
    except HiveError as error:
        sys.stderr.write(f"{asked.prog}: {error.message}\n")
        sys.exit(1)
