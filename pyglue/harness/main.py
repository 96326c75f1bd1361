"""hive-agent: the process in an agent's container that runs its turns.

Loads the pinned record, starts the CLI once without a model call, says hello with
what it found, then works until it is stopped. If something is wrong it says so in
the hello and waits: hived decides what becomes of it.
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

from pyglue import __version__, paths
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
from pyglue.api.turn_events import Denied
from pyglue.errors import HiveError
from pyglue.harness.claude.events import clip, sentence
from pyglue.harness.claude.notes import Notes
from pyglue.harness.claude.options import CliOptions
from pyglue.harness.claude.outcome import Pauses
from pyglue.harness.claude.preflight import Checked, check
from pyglue.harness.claude.session import Session
from pyglue.harness.claude.writing import Writing
from pyglue.harness.control import Control
from pyglue.harness.exposed import Exposed
from pyglue.harness.gate.gate import Gate
from pyglue.harness.joined import Joined
from pyglue.harness.link.forward import Forwarder
from pyglue.harness.link.link import Link
from pyglue.harness.link.trust import Trust
from pyglue.harness.link.tunnel import Tunnel
from pyglue.harness.load import Loaded, Places, fingerprint, load
from pyglue.harness.loop import Loop
from pyglue.harness.rest import Rest
from pyglue.harness.space import Space
from pyglue.harness.steering import Steering
from pyglue.harness.terminal import Terminals
from pyglue.jsonrpc import Handlers
from pyglue.manifest_types import Manifest
from pyglue.mcp.server import McpServer
from pyglue.process import need_open_files
from pyglue.tools import agent_tools, manager_tools

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
    record = places.record.read_bytes()
    link_handlers = Handlers()
    joined = Joined()
    link = Link(places.hive_socket, link_handlers, joined)
    try:
        loaded = load(record)
    except HiveError as error:
        problem = sentence(f"Cannot use the pinned record: {error.message}")
        sha256 = fingerprint(record)
        report = HarnessReport(manifest_sha256=sha256, problem=problem)
        await _only_report(link, report, stop)
        return
    async with (
        Forwarder(places.model_socket) as forwarder,
        _proxied(places, loaded) as proxy,
    ):
        exposed = Exposed(loaded.manifest, places.secrets)
        await exposed.first(places.hive_socket)
        writing = Writing(link.live_text)
        options = _options(places, loaded, forwarder, link, proxy, exposed, writing)
        checked = await preflight(options, loaded.manifest)
        report = HarnessReport(
            manifest_sha256=loaded.sha256,
            system=loaded.system,
            cli_version=checked.cli_version,
            servers=checked.servers,
            problem=checked.problem,
        )
        if checked.problem is not None:
            await _only_report(link, report, stop)
            return
        steering = Steering(link, joined)
        space = Space(places.state, places.session)
        session = Session(
            options,
            places.session,
            notes=places.state / "notes.md",
            joined=joined,
            news=steering,
            space=space,
            compact_at=loaded.manifest.auto_compact,
            emit=link.emit,
            say=link.say,
            keep_warm_s=loaded.manifest.keep_warm,
            warmth=link.warm,
        )
        control = Control()
        loop = Loop(
            link=link,
            session=session,
            notes=Notes(
                options,
                places.state,
                max_bytes=loaded.manifest.notes.max_bytes,
                tools=loaded.manifest.allowed_tools,
            ),
            control=control,
            joined=joined,
            steering=steering,
            exposed=exposed,
            rest=Rest(
                link=link,
                session=session,
                control=control,
                space=space,
                pauses=pauses or Pauses(),
            ),
            model=loaded.manifest.model,
        )
        link_handlers.on(CANCEL_TURN, loop.cancel)
        link_handlers.on(COMPACT_SESSION, control.ask_compact)
        link_handlers.on(BEGIN_SESSION, control.ask_begin)
        link_handlers.on_note(CONTROL, control.take)
        link_handlers.on_note(COOL, loop.cool)
        link_handlers.on_note(NEWS, steering.news)
        link_handlers.on_note(WATCHED, writing.watch)

        async def environment() -> dict[str, str]:
            await exposed.refresh(await link.connection())
            return options.environment

        terminals = Terminals(link, environment=environment, directory=places.state)
        terminals.add_to(link_handlers)
        try:
            async with _tasks(link.run(report), loop.run()):
                await stop.wait()
                terminals.close()
                await loop.finish(_STOP_S)
        finally:
            await session.cool()


@contextlib.asynccontextmanager
async def _proxied(places: Places, loaded: Loaded) -> AsyncIterator[dict[str, str]]:
    """Give the variables of a proxy, if the agent may reach hosts through one."""
    if not loaded.manifest.hosts or loaded.manifest.network:
        yield {}
        return
    trust = None
    if any(secret.inject for secret in loaded.manifest.secrets.values()):
        trust = Trust(places.authority, places.session / "hive-ca-bundle.pem")
        places.session.mkdir(parents=True, exist_ok=True)
        trust.refresh()
    async with Tunnel(places.egress_socket, trust=trust) as tunnel:
        yield tunnel.environment


def _options(
    places: Places,
    loaded: Loaded,
    forwarder: Forwarder,
    link: Link,
    proxy: dict[str, str],
    exposed: Exposed,
    writing: Writing,
) -> CliOptions:
    manifest = loaded.manifest
    tools = manager_tools(places.agents) if places.is_manager else agent_tools()
    gate = Gate(
        tools=manifest.allowed_tools,
        bash_allow=manifest.bash.allow,
        bash_write=manifest.bash.write,
        refused=lambda tool, reason, pattern: link.emit(
            Denied(tool=clip(tool, 200), reason=clip(reason), pattern=pattern)
        ),
    )
    hive = McpServer(tools=tools, caller=link)
    return CliOptions(
        loaded,
        places,
        base_url=forwarder.url,
        key=forwarder.key,
        hive=hive,
        gate=gate,
        proxy=proxy,
        exposed=exposed,
        partial=writing.take,
    )


async def _only_report(link: Link, report: HarnessReport, stop: asyncio.Event) -> None:
    """Tell hived what is wrong, and wait until it stops this process."""
    _log.error("%s", report.problem)
    async with _tasks(link.run(report)):
        await stop.wait()


@contextlib.asynccontextmanager
async def _tasks(*coroutines: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run coroutines beside the body; end them with it, and it with a failed one."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(coroutine) for coroutine in coroutines]
        yield
        for task in reversed(tasks):
            while not task.done():  # a library's wait_for may swallow one
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
    if not work.done():  # it was still looking at the CLI, or that does not end
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        return
    await work


def main() -> None:
    """Entry point of ``hive-agent``."""
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
