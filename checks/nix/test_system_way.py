"""A system in hived: proposed, compared, approved, built, verified.

``checks.kits.host.way`` runs hived; only the container is played.
"""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from checks.kits.host.way import Way, opened
from checks.kits.nix.standin import make_nixpkgs
from checks.kits.nix.system import REVISION, SystemKit, environment
from checks.kits.patience import PATIENCE_S
from pyglue.api.approvals import ApprovalState, ApproveParams, Effect, critical
from pyglue.api.common import NoParams
from pyglue.api.lifecycle import PurgeParams
from pyglue.api.manager import AgentParams
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.repos import AppliedRepo
from pyglue.nix import EvalError
from pyglue.paths import share
from pyglue.store import approvals as approval_rows

pytestmark = pytest.mark.needs("nix", "git", "root")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> SystemKit:
    """Give a store that this module's tests share."""
    return SystemKit.make(tmp_path_factory.mktemp("systems"))


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
    with pytest.raises(EvalError, match=r"Cannot evaluate the system of agent\.nix"):
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
    assert "Could not build" in operation.error
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
        assert (
            operation.error is not None
            and "did not finish within 3 s" in operation.error
        )
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
        async with asyncio.timeout(PATIENCE_S):
            await way.backend.building.wait()
        assert (await way.detail(proposal)).approval.state is ApprovalState.BUILDING
    async with opened(shared, tmp_path) as way:
        operations = way.hive.services.operations
        assert (await operations.get(operation.id, PATIENCE_S)).error is None
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
    assert "does not run the system that was built" in operation.error
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
        made = await life.redeploy.rebuild("alice", "operator")
        assert made.operation is not None and made.approval is None
        ended = await operations.get(made.operation, PATIENCE_S)
        assert ended.error is None
        (agent,) = (await way.hive.services.views.agents(NoParams())).agents
        assert not agent.needs_update
        assert (agent.deployed_commit, agent.deployed_approval) == (
            first.commit,
            ended.approval,
        )


def newer(kit: SystemKit, room: Path) -> SystemKit:
    """Return the same store with a nixpkgs whose git is a newer one."""
    made = make_nixpkgs(room / "nixpkgs")
    file = made / "pkgs.nix"
    file.write_text(file.read_text().replace("2.39.5", "2.53.0"))
    return replace(kit, nixpkgs=made)


@pytest.mark.parametrize("by", ["operator", "manager"])
async def test_a_rebuild_to_another_system_is_a_proposal_with_its_packages(
    shared: SystemKit, tmp_path: Path, by: str
) -> None:
    async with opened(shared, tmp_path) as way:
        assert (await way.approve(await way.spawn("alice"))).error is None
        old = way.hive.services.registry.get("alice").record
    (tmp_path / "newer").mkdir()
    async with opened(newer(shared, tmp_path / "newer"), tmp_path) as way:
        services = way.hive.services
        made = await services.life.redeploy.rebuild("alice", by)
        assert made.operation is None and made.approval is not None
        assert way.backend.started == [old.system if old else None]  # as before
        seen = await services.approvals.review.detail(made.approval)
        assert seen.approval.state is ApprovalState.PENDING
        assert seen.system is not None
        changed = {change.name: change for change in seen.system.packages.packages}
        assert changed["git"].before == ("2.39.5",)
        assert changed["git"].after == ("2.53.0",)
        assert any("a different nixpkgs or hive" in c.sentence for c in seen.policy)
        params = ApproveParams(
            id=made.approval,
            commit=seen.approval.commit,
            manifest=seen.approval.manifest_sha256,
            accepted=critical(seen.policy),
        )
        begun = await services.approvals.approve(params, "operator")
        assert (await services.operations.get(begun.id, PATIENCE_S)).error is None
        assert way.backend.started[-1] == seen.system.drv


async def test_rebuilding_all_proposes_what_would_be_another_system(
    shared: SystemKit, tmp_path: Path
) -> None:
    async with opened(shared, tmp_path) as way:
        for name in ("alice", "bob"):
            assert (await way.approve(await way.spawn(name))).error is None
    (tmp_path / "newer").mkdir()
    async with opened(newer(shared, tmp_path / "newer"), tmp_path) as way:
        services = way.hive.services
        begun = await services.life.rebuilding.request("operator")
        ended = await services.operations.get(begun.operation, PATIENCE_S)
        assert ended.error is None and "pending approval: " in ended.note
        assert len(way.backend.started) == 2  # only what hived's start started
        pending = await services.store.read(approval_rows.pending)
        assert {row.agent for row in pending} == {"alice", "bob"}


async def test_another_system_without_another_nixpkgs_is_a_proposal_that_widens(
    shared: SystemKit, tmp_path: Path
) -> None:
    """As if something were left by which a system can tell when it is evaluated."""
    module = tmp_path / "every.nix"
    module.write_text("{ }")
    changes: Any = {"modules": (str(module),)}
    async with opened(shared, tmp_path, **changes) as way:
        assert (await way.approve(await way.spawn("alice"))).error is None
        module.write_text("{ systemd.services.evil.serviceConfig.ExecStart = ''/x''; }")
        services = way.hive.services
        made = await services.life.redeploy.rebuild("alice", "manager")
        assert made.operation is None and made.approval is not None
        seen = await services.approvals.review.detail(made.approval)
        (change,) = (c for c in seen.policy if c.option == "system")
        assert change.effect is Effect.WIDENS
        assert "that no listed option explains" in change.sentence


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
        await way.kit.store.call("nix-store", deleting, timeout=PATIENCE_S)
    made = await life.redeploy.rollback("alice", first.approval, "operator")
    assert (await operations.get(made.id, PATIENCE_S)).error is None
    record = way.hive.services.registry.get("alice").record
    assert record is not None
    assert (record.manifest, record.system) == (old.manifest, old.system)
    assert way.backend.started[-1] == old.system

    queued = await life.destroy.destroy(AgentParams(agent="alice"), "operator")
    assert (await operations.get(queued.operation, PATIENCE_S)).error is None
    assert not (way.config.layout.flake / "agents" / "alice").exists()
    systems = way.hive.services.views.systems
    assert systems is not None
    await systems.sweep()
    assert str(made.approval) in way.roots()  # it may be restored
    back = await life.redeploy.restore("alice", "operator")
    assert back.manifest_sha256 == record.sha256
    assert (await way.approve(back)).error is None
    assert way.backend.started[-1] == old.system

    queued = await life.destroy.destroy(AgentParams(agent="alice"), "operator")
    assert (await operations.get(queued.operation, PATIENCE_S)).error is None
    params = PurgeParams(agent="alice", confirm="alice")
    queued = await life.destroy.purge(params, "operator")
    assert (await operations.get(queued.operation, PATIENCE_S)).error is None
    await systems.sweep()
    assert not {str(back.approval), str(made.approval)} & way.roots()


@pytest.fixture
def another_hive(tmp_path: Path) -> Path:
    """Give the share tree of a hive that has another default for an agent."""
    made = tmp_path / "share"
    made.mkdir()
    for entry in share().iterdir():
        (made / entry.name).symlink_to(entry)
    (made / "modules").unlink()
    shutil.copytree(share() / "modules", made / "modules")
    options = made / "modules/agent/options/session.nix"
    text = options.read_text()
    assert text.count("default = 300;") == 1
    options.write_text(text.replace("default = 300;", "default = 299;"))
    return made


async def test_nothing_runs_again_that_this_hive_reads_differently(
    way: Way, another_hive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await way.spawn("alice")
    assert (await way.approve(first)).error is None
    assert (await way.approve(await way.propose("alice", MORE))).error is None
    failed = await way.propose(
        "alice",
        """{ pkgs, ... }: { environment.systemPackages = [
          (pkgs.build { name = "broken"; script = "exit 3"; })
        ]; }""",
    )
    assert (await way.approve(failed)).error is not None
    for proposal in (first, failed):
        seen = await way.detail(proposal)
        assert seen.system is not None
        deleting = ("--delete", "--ignore-liveness", seen.system.drv)
        await way.kit.store.call("nix-store", deleting, timeout=PATIENCE_S)
    before, started = way.roots(), list(way.backend.started)
    monkeypatch.setenv("HIVE_SHARE", str(another_hive))
    # What waits was started with the modules of the hive before.
    evaluator = way.hive.services.proposals.evaluation.evaluator
    await asyncio.to_thread(evaluator.spare.close)
    again = way.hive.services.life.redeploy
    refused = {
        "evaluating its files with this version": again.rollback(
            "alice", first.approval, "operator"
        ),
        "would give a different manifest": again.retry(failed.approval, "operator"),
        "which nobody has approved": again.rebuild("alice", "operator"),
    }
    for says, call in refused.items():
        with pytest.raises(HiveError, match=says) as caught:
            await call
        assert caught.value.code is ErrorCode.CONFLICT
    assert way.roots() == before, "what was evaluated for it is let go"
    assert way.backend.started == started
    assert await way.hive.services.store.read(approval_rows.pending) == ()


async def test_derivations_that_nobody_needs_are_let_go(way: Way) -> None:
    systems = way.hive.services.views.systems
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
    changes: Any = {"framework": str(framework), "modules": (str(module),)}
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
