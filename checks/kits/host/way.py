"""A whole hived with real git, Nix and store, and fake containers.

Their backend builds with the real builder, and a harness says hello from the system
it is told to.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from checks.kits.api.events import data
from checks.kits.git.objects import git, git_pack
from checks.kits.nix.system import UID, SystemKit, environment
from checks.kits.patience import PATIENCE_S
from pyglue.api.approvals import ApprovalDetail, ApproveParams, critical
from pyglue.api.common import PROTOCOL, HarnessReport, HelloParams
from pyglue.api.events import Event
from pyglue.api.journal import JournalUnit
from pyglue.api.manager import ProposalResult, SubmitBeginParams
from pyglue.api.operations import Operation
from pyglue.config import (
    DiskConfig,
    HiveConfig,
    Ids,
    NixosConfig,
    OperatorLimits,
    Timeouts,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.host import bootstrap
from pyglue.host.backends.base import AgentSpec, Backend, ContainerEvent
from pyglue.host.backends.logs import JournalSource
from pyglue.host.wiring import base as wiring
from pyglue.jsonrpc import Connection, Handlers, connect
from pyglue.manifest.record import decode
from pyglue.nix.build import Builder
from pyglue.paths import Layout
from pyglue.store import events as event_rows
from pyglue.store.database import Reader


class Containers(Backend):
    """Builds for real; a "container" is a connection that says hello."""

    name = "nixos-container"
    systems = True
    isolation = "none: it is played"
    warnings = ()

    def __init__(self, layout: Layout, builder: Builder, room: Path) -> None:
        self.claims: str | None = None
        self.building = asyncio.Event()
        self.may_build = asyncio.Event()
        self.may_build.set()
        self.started: list[str | None] = []
        self.runs: set[str] = set()
        self._layout = layout
        self._builder = builder
        self._room = room
        self._connections: dict[str, Connection] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def without_harness(self, name: str) -> str:
        """Say who does not run."""
        return f"The harness of {name} is not running."

    def watch(self, callback: Callable[[ContainerEvent], None]) -> None:
        """Nothing happens by itself here."""

    async def build(
        self, spec: AgentSpec, log: Callable[[str], None] | None = None
    ) -> str | None:
        """Build in the private store."""
        assert spec.system is not None
        self.building.set()
        await self.may_build.wait()
        root = self._room / "built" / Path(spec.system).name
        return await self._builder.realise(
            spec.system, root=root, log=log or (lambda _: None)
        )

    async def apply(self, spec: AgentSpec) -> None:
        """Nothing is written down."""

    async def start(self, spec: AgentSpec) -> None:
        """Let a harness say hello, from the built system unless told otherwise."""
        built = await self.build(spec)
        self.started.append(spec.system)
        task = asyncio.create_task(self._hello(spec, self.claims or built))
        self._tasks.add(task)

    async def _hello(self, spec: AgentSpec, system: str | None) -> None:
        sha256 = decode(spec.record).sha256
        report = HarnessReport(manifest_sha256=sha256, system=system)
        hello = HelloParams(protocol=PROTOCOL, client="hive-agent", harness=report)
        path = self._layout.run(spec.name) / "hive.sock"
        self._connections[spec.name] = await connect(
            path, hello=hello, handlers=Handlers()
        )

    async def adopt(self, specs: tuple[AgentSpec, ...]) -> frozenset[str]:
        """Take over what outlived the hived before."""
        return frozenset(spec.name for spec in specs if spec.name in self.runs)

    async def stop(self, name: str, *, grace_s: float = 5.0) -> None:
        """Hang up."""
        self.runs.discard(name)
        connection = self._connections.pop(name, None)
        if connection is not None:
            connection.close()

    def running(self, name: str) -> bool:
        """Tell whether it is connected, or outlived the hived before."""
        return name in self._connections or name in self.runs

    def log_tail(self, name: str, lines: int) -> tuple[str, ...]:
        """There is none."""
        return ()

    def journal(self, name: str | None, unit: JournalUnit) -> JournalSource:
        """There is none."""
        raise HiveError(ErrorCode.NOT_FOUND, "There is no log.")

    async def close(self) -> None:
        """Hang up everywhere."""
        for name in tuple(self._connections):
            await self.stop(name)


@dataclass(repr=False)
class Way:
    """A hived with systems, and its backend."""

    hive: bootstrap.Hive
    backend: Containers
    kit: SystemKit
    config: HiveConfig

    async def spawn(self, name: str) -> ProposalResult:
        """Propose an agent from the template."""
        return await self.hive.services.proposals.spawn(name, "", "operator")

    async def approve(self, proposal: ProposalResult) -> Operation:
        """Approve it and wait for the operation's end."""
        begun = await self.begin(proposal)
        return await self.hive.services.operations.get(begun.id, PATIENCE_S)

    async def begin(self, proposal: ProposalResult) -> Operation:
        """Approve it and return the operation that begins."""
        params = ApproveParams(
            id=proposal.approval,
            commit=proposal.commit,
            manifest=proposal.manifest_sha256,
            accepted=critical((await self.detail(proposal)).policy),
        )
        return await self.hive.services.approvals.approve(params, "operator")

    async def detail(self, proposal: ProposalResult) -> ApprovalDetail:
        """Return what the operator sees of it."""
        return await self.hive.services.approvals.review.detail(proposal.approval)

    async def propose(self, name: str, nix: str) -> ProposalResult:
        """Commit an agent.nix on main and submit its pack."""
        proposals = self.hive.services.proposals
        repository = self.config.layout.config(name)
        (repository / "agent.nix").write_text(nix)
        git("add", "-A", cwd=repository)
        git("commit", "-qm", "Change", cwd=repository)
        commit = git("rev-parse", "HEAD", cwd=repository)
        pack = git_pack(repository, commit)
        begun = await proposals.begin(SubmitBeginParams(agent=name, commit=commit))
        proposals.uploads.add(begun.upload, pack)
        return await proposals.submit(begun.upload, "manager")

    async def told(self, name: str) -> dict[str, Any]:
        """Return the first notice of an agent since this hived started."""
        services = self.hive.services
        found: asyncio.Queue[Event] = asyncio.Queue()
        services.bus.listen(found.put_nowait)
        for row in await services.store.read(_events):
            found.put_nowait(row)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                event = await found.get()
                known = (event.kind, event.agent) == ("notice", name)
                if known and data(event)["what"] == "needs_update":
                    return data(event)

    def roots(self) -> set[str]:
        """Return the approvals whose derivations are kept."""
        hive = hashlib.sha256(self.config.state_dir.encode()).hexdigest()[:16]
        place = self.kit.room / "root/nix/var/nix/gcroots/hyperhive" / hive
        return {path.name for path in place.iterdir()}


def _events(reader: Reader) -> tuple[Event, ...]:
    return event_rows.since(reader, 0, 10_000)


@contextlib.asynccontextmanager
async def opened(
    kit: SystemKit,
    room: Path,
    *,
    limits: OperatorLimits | None = None,
    runs: frozenset[str] = frozenset(),
    **changes: Any,
) -> AsyncIterator[Way]:
    """Run a hived in ``room``, whose backend is played.

    ``runs`` are containers that outlived the hived before; ``changes`` are nixos's.
    """
    config = HiveConfig(
        state_dir=str(room / "state"),
        runtime_dir=str(room / "run"),
        backend="nixos-container",
        ids=Ids(agent=UID, web=UID + 1, relay=UID + 2),
        agents=(),
        limits=limits or OperatorLimits(),
        disk=DiskConfig(ballast_mib=1),
        timeouts=Timeouts(health_s=PATIENCE_S, evaluate_s=PATIENCE_S),
        nixos=kit.config(**changes),
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(kit.room).items():
            patch.setenv(name, value)
        nixos: NixosConfig = kit.config(**changes)
        builder = Builder(timeout=nixos.build_s, store=kit.store)
        backend = Containers(config.layout, builder, kit.room)
        backend.runs = set(runs)
        patch.setattr(wiring, "backend_of", lambda _: backend)
        hive = await bootstrap.open_hive(config)
        try:
            yield Way(hive, backend, kit, config)
        finally:
            await hive.close()
