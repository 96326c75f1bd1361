"""The way of a system through hived: proposed, compared, approved, built, proved.

A whole hived with real git, Nix and store. Only the container is played: its backend
builds with the real builder, and a harness says hello from the system it is told to.
"""

import asyncio
import contextlib
import hashlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from checks.system_kit import REVISION, UID, SystemKit, environment
from pyglue.api.approvals import ApprovalDetail, ApprovalState, ApproveParams, Effect
from pyglue.api.common import PROTOCOL, HarnessReport, HelloParams, NoParams
from pyglue.api.events import Event
from pyglue.api.journal import JournalUnit
from pyglue.api.lifecycle import PurgeParams
from pyglue.api.manager import AgentParams, ProposalResult, SubmitBeginParams
from pyglue.api.operations import Operation
from pyglue.config import HiveConfig, Ids, NixosConfig, Timeouts
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.repos import AppliedRepo
from pyglue.host import bootstrap
from pyglue.host.backends.base import AgentSpec, Backend, ContainerEvent
from pyglue.host.backends.logs import JournalSource
from pyglue.host.wiring import base as wiring
from pyglue.jsonrpc import Connection, Handlers, connect
from pyglue.manifest import decode
from pyglue.nix import EvalError
from pyglue.nix.build import Builder
from pyglue.paths import Layout, share
from pyglue.store import events as event_rows
from pyglue.store.database import Reader

pytestmark = pytest.mark.needs("nix", "git", "root")

_PATIENCE_S: Final = 120.0


class Containers(Backend):
    """Builds for real; a "container" is a connection that says hello."""

    name = "nixos-container"
    isolation = "none: it is played"
    warnings = ()

    def __init__(self, layout: Layout, builder: Builder, room: Path) -> None:
        self.claims: str | None = None
        self.building = asyncio.Event()
        self.may_build = asyncio.Event()
        self.may_build.set()
        self.started: list[str | None] = []
        self._layout = layout
        self._builder = builder
        self._room = room
        self._connections: dict[str, Connection] = {}
        self._tasks: set[asyncio.Task[None]] = set()

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

    async def stop(self, name: str, *, grace_s: float = 5.0) -> None:
        """Hang up."""
        connection = self._connections.pop(name, None)
        if connection is not None:
            connection.close()

    def running(self, name: str) -> bool:
        """Tell whether it is connected."""
        return name in self._connections

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


@dataclass
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
        return await self.hive.services.operations.get(begun.id, _PATIENCE_S)

    async def begin(self, proposal: ProposalResult) -> Operation:
        """Approve it and return the operation that begins."""
        params = ApproveParams(
            id=proposal.approval,
            commit=proposal.commit,
            manifest=proposal.manifest_sha256,
        )
        return await self.hive.services.approvals.approve(params, "operator")

    async def detail(self, proposal: ProposalResult) -> ApprovalDetail:
        """Return what the operator sees of it."""
        return await self.hive.services.approvals.detail(proposal.approval)

    async def propose(self, name: str, nix: str) -> ProposalResult:
        """Commit an agent.nix on main and submit its pack."""
        proposals = self.hive.services.proposals
        repository = self.config.layout.config(name)
        (repository / "agent.nix").write_text(nix)
        self._git(repository, "add", "-A")
        self._git(repository, "commit", "-qm", "Change")
        commit = self._git(repository, "rev-parse", "HEAD").decode().strip()
        pack = self._git(
            repository, "pack-objects", "--revs", "--stdout", "-q", given=commit
        )
        begun = await proposals.begin(SubmitBeginParams(agent=name, commit=commit))
        proposals.chunk(begun.upload, pack)
        return await proposals.submit(begun.upload, "manager")

    def _git(self, repository: Path, *arguments: str, given: str = "") -> bytes:
        done = subprocess.run(
            ["git", "-c", "user.name=m", "-c", "user.email=m@localhost", *arguments],
            cwd=repository,
            input=given.encode(),
            env={
                "PATH": os.environ["PATH"],
                "HOME": "/nonexistent",
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "safe.directory",
                "GIT_CONFIG_VALUE_0": "*",
            },
            capture_output=True,
            check=True,
        )
        return done.stdout

    async def told(self, name: str) -> dict[str, Any]:
        """Return the first notice of an agent since this hived started."""
        services = self.hive.services
        found: asyncio.Queue[Event] = asyncio.Queue()
        services.bus.listen(found.put_nowait)
        for row in await services.store.read(_events):
            found.put_nowait(row)
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                event = await found.get()
                known = (event.kind, event.agent) == ("notice", name)
                if known and event.data["what"] == "needs_update":
                    return event.data

    def roots(self) -> set[str]:
        """Return the approvals whose derivations are kept."""
        hive = hashlib.sha256(self.config.state_dir.encode()).hexdigest()[:16]
        place = self.kit.room / "root/nix/var/nix/gcroots/hyperhive" / hive
        return {path.name for path in place.iterdir()}


def _events(reader: Reader) -> tuple[Event, ...]:
    return event_rows.since(reader, 0, 10_000)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> SystemKit:
    """Give a store that this module's tests share."""
    return SystemKit.make(tmp_path_factory.mktemp("systems"))


@contextlib.asynccontextmanager
async def opened(kit: SystemKit, room: Path, **changes: Any) -> AsyncIterator[Way]:
    """Run a hived in ``room``, whose backend is played."""
    config = HiveConfig(
        state_dir=str(room / "state"),
        runtime_dir=str(room / "run"),
        backend="nixos-container",
        ids=Ids(agent=UID, web=UID + 1, relay=UID + 2),
        agents=(),
        timeouts=Timeouts(health_s=_PATIENCE_S, evaluate_s=_PATIENCE_S),
        nixos=kit.config(**changes),
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(kit.room).items():
            patch.setenv(name, value)
        nixos: NixosConfig = kit.config(**changes)
        builder = Builder(timeout=nixos.build_s, store=kit.store)
        backend = Containers(config.layout, builder, kit.room)
        patch.setattr(wiring, "backend_of", lambda _: backend)
        hive = await bootstrap.open_hive(config)
        try:
            yield Way(hive, backend, kit, config)
        finally:
            await hive.close()


@pytest.fixture
async def way(shared: SystemKit, tmp_path: Path) -> AsyncIterator[Way]:
    """Give a running hived."""
    async with opened(shared, tmp_path) as found:
        yield found


MORE: Final = """{ pkgs, ... }: {
  hyperhive.description = "changed";
  environment.systemPackages = [ pkgs.hello ];
}
"""


async def test_the_way_of_a_system(way: Way) -> None:
    first = await way.spawn("alice")
    seen = await way.detail(first)
    assert seen.system is not None
    drv = seen.system.drv
    assert way.kit.store.real(drv).exists() and seen.system.toplevel is None
    assert (seen.system.revision, seen.system.nixpkgs) == (
        REVISION,
        str(way.kit.nixpkgs),
    )
    assert "git" in {change.name for change in seen.system.packages.packages}
    assert str(first.approval) in way.roots()
    assert not list((way.kit.room / "built").glob("*"))  # nothing is built yet

    assert (await way.approve(first)).error is None
    seen = await way.detail(first)
    assert seen.system is not None and seen.system.closure is not None
    assert way.backend.started == [drv]
    assert "building" in seen.system.build_log
    assert seen.system.closure.bytes_before == 0 < seen.system.closure.bytes_after

    second = await way.propose("alice", MORE)
    seen = await way.detail(second)
    assert seen.system is not None and seen.system.packages.base == first.approval
    assert [c.name for c in seen.system.packages.packages] == ["hello"]
    (change,) = (c for c in seen.policy if c.option == "environment.systemPackages")
    assert change.effect is Effect.WIDENS
    assert (await way.approve(second)).error is None
    seen = await way.detail(second)
    assert seen.system is not None and seen.system.closure is not None
    assert seen.system.closure.base == first.approval
    record = way.hive.services.registry.get("alice").record
    assert record is not None and record.system == seen.system.drv

    # Another description is no other system: what stays set did not change.
    third = await way.propose("alice", MORE.replace("changed", "once more"))
    seen = await way.detail(third)
    assert seen.system is not None and seen.system.packages.derivations == 0
    assert not any(c.option == "NixOS" for c in seen.policy)
    fourth = await way.propose("alice", MORE.replace("pkgs.hello", "pkgs.jq"))
    seen = await way.detail(fourth)
    assert any(c.option == "NixOS" and c.effect is Effect.WIDENS for c in seen.policy)


async def test_what_does_not_evaluate_reaches_nobody(way: Way) -> None:
    assert (await way.approve(await way.spawn("alice"))).error is None
    before = way.roots()
    with pytest.raises(EvalError, match=r"The system of agent\.nix"):
        await way.propose("alice", "{ systemd.services.x.description = throw ''no''; }")
    assert way.roots() == before
    detail = await way.hive.services.views.agent(AgentParams(agent="alice"))
    assert len(detail.approvals) == 1


async def test_a_build_that_fails_leaves_everything_as_it_is(way: Way) -> None:
    first = await way.spawn("alice")
    assert (await way.approve(first)).error is None
    broken = await way.propose(
        "alice",
        """{ pkgs, ... }: { environment.systemPackages = [
          (pkgs.build { name = "broken"; script = "echo it is broken; exit 3"; })
        ]; }""",
    )
    operation = await way.approve(broken)
    assert operation.error is not None
    assert "could not be built" in operation.error
    assert "it is broken" in operation.error
    seen = await way.detail(broken)
    assert seen.approval.state is ApprovalState.FAILED
    assert seen.system is not None and "it is broken" in seen.system.build_log
    agent = way.hive.services.registry.get("alice")
    assert agent.approval == first.approval and agent.harness is not None
    assert len(way.backend.started) == 1  # it was never stopped
    repo = AppliedRepo(way.config.layout.applied("alice"))
    assert repo.main() == first.commit


async def test_a_new_agent_whose_build_hangs_is_not_made(
    shared: SystemKit, tmp_path: Path
) -> None:
    async with opened(shared, tmp_path, build_s=3.0, modules=(hang(tmp_path),)) as way:
        operation = await way.approve(await way.spawn("alice"))
        assert operation.error is not None and "did not end in 3 s" in operation.error
        assert way.hive.services.registry.find("alice") is None
        assert way.backend.started == []


def hang(room: Path) -> str:
    path = room / "hang.nix"
    path.write_text(
        '{ pkgs, ... }: { environment.systemPackages = [ (pkgs.build { name = "h"; '
        'script = "sleep 86399.5"; }) ]; }'
    )
    return str(path)


async def test_a_build_that_hiveds_end_broke_off_is_done_by_the_next(
    shared: SystemKit, tmp_path: Path
) -> None:
    async with opened(shared, tmp_path) as way:
        way.backend.may_build.clear()
        proposal = await way.spawn("alice")
        operation = await way.begin(proposal)
        async with asyncio.timeout(_PATIENCE_S):
            await way.backend.building.wait()
        assert (await way.detail(proposal)).approval.state is ApprovalState.BUILDING
    async with opened(shared, tmp_path) as way:
        operations = way.hive.services.operations
        assert (await operations.get(operation.id, _PATIENCE_S)).error is None
        seen = await way.detail(proposal)
        assert seen.approval.state is ApprovalState.DEPLOYED
        assert seen.system is not None and seen.system.toplevel is not None


async def test_a_harness_in_another_system_is_no_deploy(way: Way) -> None:
    first = await way.spawn("alice")
    assert (await way.approve(first)).error is None
    way.backend.claims = "/nix/store/00000000000000000000000000000000-other\x1b"
    second = await way.propose("alice", MORE)
    operation = await way.approve(second)
    assert operation.error is not None
    assert "does not run in the system that was built" in operation.error
    assert "\x1b" not in operation.error
    repo = AppliedRepo(way.config.layout.applied("alice"))
    assert repo.main() == first.commit


async def test_agents_of_an_older_hive_need_an_update(
    shared: SystemKit, tmp_path: Path
) -> None:
    async with opened(shared, tmp_path) as way:
        assert (await way.approve(await way.spawn("alice"))).error is None
        (agent,) = (await way.hive.services.views.agents(NoParams())).agents
        assert not agent.needs_update
    async with opened(shared, tmp_path, revision="newer") as way:
        (agent,) = (await way.hive.services.views.agents(NoParams())).agents
        assert agent.needs_update
        told = await way.told("alice")
        assert told["what"] == "needs_update" and "needs an update" in told["text"]


async def test_a_rebuild_is_the_same_agent_in_this_hives_system(
    shared: SystemKit, tmp_path: Path
) -> None:
    async with opened(shared, tmp_path) as way:
        first = await way.spawn("alice")
        assert (await way.approve(first)).error is None
    async with opened(shared, tmp_path, revision="newer") as way:
        life, operations = way.hive.services.life, way.hive.services.operations
        made = await life.repeats.rebuild("alice", "operator")
        assert (await operations.get(made.id, _PATIENCE_S)).error is None
        (agent,) = (await way.hive.services.views.agents(NoParams())).agents
        assert not agent.needs_update
        assert (agent.deployed_commit, agent.deployed_approval) == (
            first.commit,
            made.approval,
        )


@pytest.mark.parametrize("gone", [False, True], ids=["kept", "collected"])
async def test_what_ran_before_runs_again_in_its_system(way: Way, gone: bool) -> None:
    life, operations = way.hive.services.life, way.hive.services.operations
    first = await way.spawn("alice")
    assert (await way.approve(first)).error is None
    old = way.hive.services.registry.get("alice").record
    assert old is not None and old.system is not None
    assert (await way.approve(await way.propose("alice", MORE))).error is None
    if gone:
        deleting = ("--delete", "--ignore-liveness", old.system)
        await way.kit.store.call("nix-store", deleting, timeout=_PATIENCE_S)
    made = await life.repeats.rollback("alice", first.approval, "operator")
    assert (await operations.get(made.id, _PATIENCE_S)).error is None
    record = way.hive.services.registry.get("alice").record
    assert record is not None
    assert (record.manifest, record.system) == (old.manifest, old.system)
    assert way.backend.started[-1] == old.system

    queued = await life.ending.destroy(AgentParams(agent="alice"), "operator")
    assert (await operations.get(queued.operation, _PATIENCE_S)).error is None
    assert not (way.config.layout.flake / "agents" / "alice").exists()
    systems = way.hive.services.views._systems
    assert systems is not None
    await systems.sweep()
    assert str(made.approval) in way.roots()  # it may be restored
    back = await life.repeats.restore("alice", "operator")
    assert back.manifest_sha256 == record.sha256
    assert (await way.approve(back)).error is None
    assert way.backend.started[-1] == old.system

    queued = await life.ending.destroy(AgentParams(agent="alice"), "operator")
    assert (await operations.get(queued.operation, _PATIENCE_S)).error is None
    params = PurgeParams(agent="alice", confirm="alice")
    queued = await life.ending.purge(params, "operator")
    assert (await operations.get(queued.operation, _PATIENCE_S)).error is None
    await systems.sweep()
    assert not {str(back.approval), str(made.approval)} & way.roots()


async def test_derivations_that_nobody_needs_are_let_go(way: Way) -> None:
    systems = way.hive.services.views._systems
    assert systems is not None
    first = await way.spawn("alice")
    assert (await way.approve(first)).error is None
    second = await way.propose("alice", MORE)
    third = await way.propose("alice", MORE + "# again\n")
    await systems.sweep()
    assert {str(first.approval), str(third.approval)} <= way.roots()
    assert str(second.approval) not in way.roots()


async def test_the_hives_flake_shows_what_is_deployed(
    shared: SystemKit, tmp_path: Path
) -> None:
    framework = tmp_path / "frame work"
    shutil.copytree(share() / "modules", framework / "modules")
    module = tmp_path / "ours.nix"
    module.write_text("{ systemd.services.ours.serviceConfig.ExecStart = ''/x''; }")
    changes = {"framework": str(framework), "modules": (str(module),)}
    async with opened(shared, tmp_path, **changes) as way:
        await shows_what_is_deployed(way)


async def shows_what_is_deployed(way: Way) -> None:
    assert (await way.approve(await way.spawn("alice"))).error is None
    flake = way.config.layout.flake
    assert [path.name for path in (flake / "agents").iterdir()] == ["alice"]
    attribute = "nixosConfigurations.h-alice.config.system.build.toplevel.drvPath"
    done = subprocess.run(
        [
            *("nix", "--extra-experimental-features", "nix-command flakes", "eval"),
            *("--no-write-lock-file", "--raw", f"path:{flake}#{attribute}"),
        ],
        env={**environment(way.kit.room), "HOME": str(way.kit.room)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    record = way.hive.services.registry.get("alice").record
    assert record is not None and done.stdout == record.system
