"""Agents as NixOS containers of this host: the production backend.

Each agent is the container ``h-NAME``: it has its own users, no network unless its
record allows it, and only the directories of the host that ``paths.INSIDE`` lists. It
runs exactly the system built from the approved derivation: the conf file contains its
store path. Containers outlive hived, and the next hived reattaches to them; systemd
restarts a crashed container, and hived one that systemd gave up on.

A deployment restarts the container instead of switching its configuration: record,
binds, limits and network only take effect at a start, and the hello then proves that it
boots. ``AUTO_START`` is 0: a container binds sockets that hived creates after a boot.
"""

import asyncio
import contextlib
import functools
from collections.abc import Callable
from typing import Final

from pyglue.api.journal import JournalUnit
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.backends import nixos_host, nixos_logs
from pyglue.host.backends.base import (
    AgentSpec,
    Backend,
    ContainerEvent,
    ContainerEventKind,
)
from pyglue.host.backends.hostctl import HostCtl
from pyglue.host.backends.logs import JournalSource
from pyglue.host.backends.nixos_files import (
    SYSTEMS_KEPT,
    ContainerFiles,
    HostPlaces,
    container_of,
    unit_of,
)
from pyglue.host.backends.ownership import Seen
from pyglue.host.backends.track import Change, Phase, Track, UnitState
from pyglue.host.backends.units import UnitWatch
from pyglue.nix.build import Builder
from pyglue.process import LogFile
from pyglue.redaction.redactor import Redactor

_READY_S: Final = 20.0
_KINDS: Final = {
    Change.STARTED: ContainerEventKind.STARTED,
    Change.STOPPED: ContainerEventKind.STOPPED,
    Change.CRASHED: ContainerEventKind.CRASHED,
    Change.GAVE_UP: ContainerEventKind.GAVE_UP,
}


class NixosContainerBackend(Backend):
    """Runs agents as NixOS containers; see the module's docstring."""

    name = "nixos-container"
    systems = True
    units = ("hived.service", "hive-web.service", "hive-relay.service")
    isolation = (
        "NixOS containers: own files, users, processes and network; memory, CPU and "
        "task limits"
    )

    def __init__(
        self,
        config: HiveConfig,
        *,
        builder: Builder | None = None,
        places: HostPlaces | None = None,
    ) -> None:
        """Check the requirements of this machine and the configuration.

        Raises:
            HiveError: ``config_invalid``, ``missing_program``.
        """
        nixos = nixos_host.required(config)
        self._layout = config.layout
        self.redactor = Redactor()
        self._files = ContainerFiles(config, nixos, places or HostPlaces())
        self._ctl = HostCtl()
        self._builder = builder or Builder(
            timeout=nixos.build_s, sandbox=nixos.build_sandbox
        )
        self._tracks: dict[str, Track] = {}
        self._watch = UnitWatch(
            lambda: tuple(unit_of(agent) for agent in self._tracks), self._changed
        )
        self._agents: dict[str, str] = {}
        self._foreign: tuple[str, ...] = ()
        self._callback: Callable[[ContainerEvent], None] = lambda _event: None

    @functools.cached_property
    def _unmapped(self) -> str | None:
        """The warning about file systems; cached, since every page needs it."""
        return nixos_host.unmapped(self._layout)

    @property
    def warnings(self) -> tuple[str, ...]:  # type: ignore[override]
        """Current problems of isolation on this host."""
        found = (
            *self._foreign,
            self._unmapped,
            nixos_host.undetected(self._watch.problem),
            nixos_host.set_user_id(self._layout),
        )
        return tuple(text for text in found if text is not None)

    def without_harness(self, name: str) -> str:
        """Explain how root gets a shell by machined."""
        return (
            f"The harness of {name} is not running. To open a shell in its container "
            "without it, run as root on the host: machinectl shell "
            f"agent@{self.container(name)}"
        )

    def watch(self, callback: Callable[[ContainerEvent], None]) -> None:
        """Set the callback for every start, stop and crash."""
        self._callback = callback

    # --- building and applying --------------------------------------------------------

    async def build(
        self, spec: AgentSpec, log: Callable[[str], None] | None = None
    ) -> str | None:
        """Build the approved derivation; write its output to the agent's build log."""
        if spec.system is None:
            raise HiveError(
                ErrorCode.DEPLOY_FAILED,
                f"The approval for {spec.name} has no system: it comes from a hive "
                "with another backend. Propose it again.",
            )
        file = LogFile(self._layout.logs / "builds" / f"{spec.name}.log")

        def write_line(line: str) -> None:
            file.write(line.encode("utf-8", "replace") + b"\n")
            if log is not None:
                log(line)

        try:
            return await self._builder.realise(
                spec.system, root=self._files.root(spec), log=write_line
            )
        finally:
            file.close()

    async def apply(self, spec: AgentSpec) -> None:
        """Prepare record, system and limits for the next start."""
        system = await self.build(spec)
        assert system is not None  # noqa: S101 (for mypy)
        files = self._files
        await asyncio.to_thread(files.check_sources, spec)
        if not await asyncio.to_thread(files.claim, spec.name):
            await self._ctl.create(container_of(spec.name), system)
        profile = str(files.profile(spec.name))
        await self._ctl.set_profile(profile, system, keep=SYSTEMS_KEPT)
        if await asyncio.to_thread(files.write, spec, system):
            await self._ctl.reload()

    # --- running ----------------------------------------------------------------------

    async def start(self, spec: AgentSpec) -> None:
        """Start the container, even after systemd gave up on it."""
        await self._follow(spec.name)
        track = self._tracks[spec.name]
        if track.state.phase is Phase.UP:
            return
        track.starting()
        await self._ctl.start(unit_of(spec.name), container_of(spec.name))
        await self._read(spec.name)

    async def stop(self, name: str, *, grace_s: float = 5.0) -> None:
        """Ask the container to power off; kill it after ``grace_s``."""
        track = self._tracks.get(name)
        if track is None:
            await self._follow(name)
            track = self._tracks[name]
        track.asked = True
        if not await asyncio.to_thread(self._files.exists, name):
            return
        await self._ctl.stop(unit_of(name), grace_s=grace_s)
        await self._read(name)

    async def remove(self, name: str) -> None:
        """Remove the container, its root directory and its systems."""
        if await asyncio.to_thread(self._files.is_ours, name):
            await self._ctl.destroy(container_of(name))
            await asyncio.to_thread(self._files.clear_root, name)
        if await asyncio.to_thread(self._files.forget, name):
            await self._ctl.reload()
        self._tracks.pop(name, None)

    def left_behind(self, names: frozenset[str]) -> tuple[str, ...]:
        """Return the agents of this hive's containers, except ``names``."""
        return self._files.left_behind(names)

    def container(self, name: str) -> str:
        """Return the container's name in systemd and machined."""
        return container_of(name)

    def running(self, name: str) -> bool:
        """Return whether the container runs, as systemd last reported."""
        track = self._tracks.get(name)
        return track is not None and track.state.phase is Phase.UP

    async def adopt(self, specs: tuple[AgentSpec, ...]) -> frozenset[str]:
        """Start watching; return the agents that already run the right system."""
        for spec in specs:
            self._track(spec.name)
        self._watch.start()
        await self._watch.ready(_READY_S)
        self._foreign = await asyncio.to_thread(self._files.strangers)
        same = [
            spec.name
            for spec in specs
            if self.running(spec.name)
            and await asyncio.to_thread(self._files.holds, spec)
        ]
        return frozenset(same)

    # --- logs -------------------------------------------------------------------------

    def log_tail(self, name: str, lines: int) -> tuple[str, ...]:
        """Return the newest lines of the harness, or of the container's unit."""
        return nixos_logs.tail(name, lines, self.redactor)

    def journal(self, name: str | None, unit: JournalUnit) -> JournalSource:
        """Return the journal of the harness in the container, or of its unit."""
        return nixos_logs.journal(name, unit, self.redactor)

    async def close(self) -> None:
        """Stop watching. Containers continue: the next hived reattaches to them."""
        await self._watch.close()

    # --- events -----------------------------------------------------------------------

    def _track(self, agent: str) -> Track:
        unit = unit_of(agent)
        if agent not in self._tracks:
            seen = self._files.own.seen(agent)
            self._tracks[agent] = Track(last_run=seen.run, restarts=seen.restarts)
            self._agents[unit] = agent
        return self._tracks[agent]

    async def _follow(self, agent: str) -> None:
        """Watch an agent's unit, beginning with its current state."""
        known = agent in self._tracks
        self._track(agent)
        self._watch.start()
        if not known:
            await self._watch.ready(_READY_S)
            await self._read(agent)

    async def _read(self, agent: str) -> None:
        """Read the unit's state; without D-Bus, the reconnection will read it."""
        with contextlib.suppress(HiveError):
            await self._watch.read(unit_of(agent))

    def _changed(self, unit: str, state: UnitState, settled: bool) -> None:
        agent = self._agents[unit]
        track = self._tracks.get(agent)
        if track is None:
            return
        for report in track.take(state, settled=settled):
            self._callback(
                ContainerEvent(
                    agent=agent,
                    kind=_KINDS[report.change],
                    reason=report.why,
                    id=report.run,
                    asked=track.asked,
                    restarting=report.change is Change.CRASHED,
                )
            )
            seen = Seen()
            if report.change is Change.STARTED:
                seen = Seen(report.run, state.restarts)
            self._files.own.remember(agent, seen)
