"""hive-agent: the process in an agent's container that runs its turns.

Loads the pinned record, starts the CLI once without a model call, reports the result in
its hello, then works until it is stopped. If something is wrong, the hello says so and
the harness waits: hived decides what happens next.
"""

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from pyglue import __version__, paths, startup
from pyglue.api.agent import (
    BEGIN_SESSION,
    CANCEL_TURN,
    COMPACT_SESSION,
    CONTROL,
    COOL,
    NEWS,
    WATCHED,
)
from pyglue.api.common import HarnessReport
from pyglue.errors import HiveError
from pyglue.harness.claude.events import sentence
from pyglue.harness.claude.options import CliOptions
from pyglue.harness.claude.outcome import Pauses
from pyglue.harness.claude.preflight import Checked, check
from pyglue.harness.claude.writing import Writing
from pyglue.harness.control import Control
from pyglue.harness.exposed import Exposed
from pyglue.harness.joined import Joined
from pyglue.harness.link.forward import Forwarder
from pyglue.harness.link.link import Link
from pyglue.harness.load import Loaded, Places, fingerprint, load
from pyglue.harness.loop import Loop
from pyglue.harness.parts import cli_options, notes_of, proxied, report_of, session_of
from pyglue.harness.rest import Rest
from pyglue.harness.space import Space
from pyglue.harness.steering import Steering
from pyglue.harness.terminal import Terminals
from pyglue.jsonrpc import Handlers
from pyglue.manifest.types import Manifest
from pyglue.process import need_open_files

_STOP_S: Final = 3.0
"""How long a running turn gets to end when the harness is told to stop."""

_log = logging.getLogger(__name__)


async def run(
    places: Places,
    stop: asyncio.Event,
    *,
    pauses: Pauses | None = None,
    preflight: Callable[[CliOptions, Manifest], Awaitable[Checked]] = check,
) -> None:
    """Be the agent until ``stop`` is set.

    Raises:
        OSError: the pinned record cannot be read.
    """
    link_handlers = Handlers()
    joined = Joined()
    link = Link(places.hive_socket, link_handlers, joined)
    loaded = await _loaded(places, link, stop)
    if loaded is None:
        return
    async with (
        Forwarder(places.model_socket) as forwarder,
        proxied(places, loaded) as proxy,
    ):
        exposed = Exposed(loaded.manifest, places.secrets)
        await exposed.first(places.hive_socket)
        writing = Writing(link.live_text)
        options = cli_options(places, loaded, forwarder, link, proxy, exposed, writing)
        checked = await preflight(options, loaded.manifest)
        report = report_of(loaded, checked)
        if checked.problem is not None:
            await _only_report(link, report, stop)
            return
        steering = Steering(link, joined)
        control = Control()
        session = session_of(places, loaded, options, link, joined, steering)
        rest = Rest(
            link=link,
            session=session,
            control=control,
            space=Space(places.state, places.session),
            pauses=pauses or Pauses(),
        )
        loop = Loop(
            link=link,
            session=session,
            notes=notes_of(places, loaded, options),
            control=control,
            joined=joined,
            steering=steering,
            exposed=exposed,
            rest=rest,
            model=loaded.manifest.model,
        )
        _answer(link_handlers, loop, control)
        link_handlers.on_note(NEWS, steering.news)
        link_handlers.on_note(WATCHED, writing.watch)

        terminals = _terminals(places, link, exposed, options)
        terminals.add_to(link_handlers)
        await _work(loop, link.run(report), terminals, stop)


async def _work(
    loop: Loop,
    link: Coroutine[Any, Any, None],
    terminals: Terminals,
    stop: asyncio.Event,
) -> None:
    """Run turns until ``stop``, then end what is running."""
    try:
        async with _tasks(link, loop.run()):
            await stop.wait()
            terminals.close()
            await loop.finish(_STOP_S)
    finally:
        await loop.session.warm.cool()


async def _loaded(places: Places, link: Link, stop: asyncio.Event) -> Loaded | None:
    """Return the pinned record; None once an unusable one has been reported."""
    record = places.record.read_bytes()
    try:
        return load(record)
    except HiveError as error:
        problem = sentence(f"Cannot use the pinned record: {error.message}")
        sha256 = fingerprint(record)
        report = HarnessReport(manifest_sha256=sha256, problem=problem)
        await _only_report(link, report, stop)
        return None


def _terminals(
    places: Places, link: Link, exposed: Exposed, options: CliOptions
) -> Terminals:
    async def environment() -> dict[str, str]:
        await exposed.refresh(await link.connection())
        return options.environment

    return Terminals(link, environment=environment, directory=places.state)


def _answer(handlers: Handlers, loop: Loop, control: Control) -> None:
    """Answer hived's calls about turns and sessions."""
    handlers.on(CANCEL_TURN, loop.cancel)
    handlers.on(COMPACT_SESSION, control.ask_compact)
    handlers.on(BEGIN_SESSION, control.ask_begin)
    handlers.on_note(CONTROL, control.take)
    handlers.on_note(COOL, loop.cool)


async def _only_report(link: Link, report: HarnessReport, stop: asyncio.Event) -> None:
    """Report the problem to hived, and wait until it stops this process."""
    _log.error("%s", report.problem)
    async with _tasks(link.run(report)):
        await stop.wait()


@contextlib.asynccontextmanager
async def _tasks(*coroutines: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run coroutines beside the body; they end with it, and a failed one ends it."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(coroutine) for coroutine in coroutines]
        yield
        for task in reversed(tasks):
            while not task.done():  # a library's wait_for may swallow a cancellation
                task.cancel()
                await asyncio.wait({task}, timeout=1.0)


async def _until_signal(places: Places) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    work = asyncio.create_task(run(places, stop))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    await asyncio.wait({work}, timeout=_STOP_S + 1.0)
    if not work.done():  # still in the preflight, or the CLI does not end
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        return
    await work


def main() -> None:
    """Entry point of ``hive-agent``."""
    startup.done()
    parser = argparse.ArgumentParser(prog="hive-agent", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    inside = paths.INSIDE
    parser.add_argument("--run-dir", type=Path, default=Path(inside.run))
    parser.add_argument("--state", type=Path, default=Path(inside.state))
    parser.add_argument("--session", type=Path, default=Path(inside.session))
    parser.add_argument("--agents", type=Path, default=Path(inside.agents))
    arguments = parser.parse_args()
    logging.basicConfig(
        level=logging.INFO, format="%(levelname)s %(name)s: %(message)s"
    )
    places = Places(
        run=arguments.run_dir,
        state=arguments.state,
        session=arguments.session,
        agents=arguments.agents,
    )
    try:
        need_open_files()
        asyncio.run(_until_signal(places))
    except HiveError as error:
        sys.exit(f"hive-agent: {error.message}")
    except OSError as error:
        sys.exit(f"hive-agent: {error}")
    except ExceptionGroup as group:
        refused, others = group.split(HiveError)
        if refused is None or others is not None:
            raise
        sys.exit(f"hive-agent: {refused.exceptions[0]}")


if __name__ == "__main__":
    main()
