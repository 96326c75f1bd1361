"""Workspaces added and removed by the operator, and what agents get."""

import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from checks.kits.host.store import Kit, open_kit
from checks.kits.manifest.smallest import MANIFEST
from pyglue.api.common import AgentState, NoParams
from pyglue.api.workspaces import WorkspaceAddParams, WorkspaceParams
from pyglue.config import HiveConfig, WorkspaceConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.files.workspaces import Mount
from pyglue.host.core.workspaces import Workspaces
from pyglue.manifest.record import PinnedRecord
from pyglue.manifest.types import Manifest


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    (tmp_path / "state").mkdir()
    opened = await open_kit(tmp_path / "state")
    yield opened
    await opened.store.close()


def workspaces(
    kit: Kit, room: Path, *, addable: bool = True, **paths: str
) -> Workspaces:
    state = room / "state"
    config = HiveConfig(
        state_dir=str(state),
        runtime_dir=str(state / "run"),
        workspaces={name: WorkspaceConfig(path=path) for name, path in paths.items()},
    )
    return Workspaces(
        config=config, audit=kit.audit, registry=kit.registry, addable=addable
    )


def manifest(**changes: Any) -> Manifest:
    return PinnedRecord({**MANIFEST, **changes}, None).typed


def directory(room: Path, name: str = "site") -> str:
    (room / name).mkdir(parents=True)
    return str(room / name)


async def test_added_ones_are_kept_listed_and_removed(kit: Kit, tmp_path: Path) -> None:
    ours, path = workspaces(kit, tmp_path, docs="/srv/docs"), directory(tmp_path)
    await ours.add(WorkspaceAddParams(name="site", path=path), "uid 0")
    found = (
        await workspaces(kit, tmp_path, docs="/srv/docs").all(NoParams())
    ).workspaces
    assert [(one.name, one.path, one.configured) for one in found] == [
        ("docs", "/srv/docs", True),
        ("site", path, False),
    ]
    assert found[1].problem is None
    file = tmp_path / "state" / "workspaces.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(HiveError, match="There is already a workspace site"):
        await ours.add(WorkspaceAddParams(name="site", path=path), "uid 0")
    with pytest.raises(HiveError, match="docs is set in the host"):
        await ours.remove(WorkspaceParams(name="docs"), "uid 0")
    await ours.remove(WorkspaceParams(name="site"), "uid 0")
    with pytest.raises(HiveError, match="There is no workspace site"):
        await ours.remove(WorkspaceParams(name="site"), "uid 0")
    assert Path(path).is_dir()
    what = [(who, what) for who, what, _ in kit.audited()]
    assert what == [("uid 0", "workspace_added"), ("uid 0", "workspace_removed")]


async def test_what_cannot_be_added(kit: Kit, tmp_path: Path) -> None:
    ours, path = workspaces(kit, tmp_path), directory(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "file").touch()
    for bad, said in (
        (str(tmp_path / "state"), "the hive's own directory"),
        (str(tmp_path), "the hive's own directory"),
        ("site", "use an absolute path"),
        (str(tmp_path / "link" / "site"), "contains a symbolic link"),
        (str(tmp_path / "link"), "contains a symbolic link"),
        (str(tmp_path / "file"), "is not a directory"),
        (str(tmp_path / "none"), "No such file"),
    ):
        with pytest.raises(HiveError, match=said):
            await ours.add(WorkspaceAddParams(name="site", path=bad), "uid 0")
    assert ours.names == ()
    fixed = workspaces(kit, tmp_path, addable=False)
    with pytest.raises(HiveError, match=r"services\.hyperhive\.workspaces\.site") as no:
        await fixed.add(WorkspaceAddParams(name="site", path=path), "uid 0")
    assert no.value.code is ErrorCode.CONFLICT


async def test_one_that_a_running_agent_has_stays(kit: Kit, tmp_path: Path) -> None:
    ours, path = workspaces(kit, tmp_path), directory(tmp_path)
    await ours.add(WorkspaceAddParams(name="site", path=path), "uid 0")
    agent = await kit.agent("alice", workspaces={"site": {"access": "read"}})
    assert (await ours.all(NoParams())).workspaces[0].agents == ("alice",)
    with pytest.raises(HiveError, match="Workspace site is in use by alice"):
        await ours.remove(WorkspaceParams(name="site"), "uid 0")
    kit.transitions.stopped(agent)
    assert agent.state is AgentState.STOPPED
    await ours.remove(WorkspaceParams(name="site"), "uid 0")


async def test_what_an_agent_gets(kit: Kit, tmp_path: Path) -> None:
    ours, path = workspaces(kit, tmp_path, docs="/srv/docs"), directory(tmp_path)
    await ours.add(WorkspaceAddParams(name="site", path=path), "uid 0")
    shared = tmp_path / "state" / "shared"
    assert ours.mounts(manifest()) == (
        Mount(name=None, source=shared, target="/shared", writable=False),
    )
    asked = {"site": {"access": "write"}, "docs": {"access": "read"}}
    assert ours.mounts(manifest(workspaces=asked, shared="write")) == (
        Mount(name=None, source=shared, target="/shared", writable=True),
        Mount(
            name="docs", source=Path("/srv/docs"), target="/work/docs", writable=False
        ),
        Mount(name="site", source=Path(path), target="/work/site", writable=True),
    )


async def test_unknown_ones_are_refused_with_those_that_are_known(
    kit: Kit, tmp_path: Path
) -> None:
    asked = manifest(workspaces={"site": {"access": "read"}})
    none = workspaces(kit, tmp_path)
    with pytest.raises(HiveError, match="no workspace site; it has none"):
        none.check(asked)
    ours = workspaces(kit, tmp_path, docs="/srv/docs", web="/srv/web")
    with pytest.raises(HiveError, match="its workspaces are docs and web") as caught:
        ours.check(asked)
    assert caught.value.code is ErrorCode.MANIFEST_INVALID
    with pytest.raises(HiveError, match="has no workspace site"):
        ours.mounts(asked)
    ours.check(manifest(workspaces={"docs": {"access": "read"}}))


async def test_a_damaged_file_is_named(kit: Kit, tmp_path: Path) -> None:
    (tmp_path / "state" / "workspaces.json").write_text("[]")
    with pytest.raises(HiveError, match=r"workspaces\.json"):
        workspaces(kit, tmp_path)
