"""Directories of the host in a local agent's sandbox: owners and permissions.

The agents here run given Python instead of the harness.
"""

import asyncio
import json
import os
import stat
from pathlib import Path
from typing import Any, Final

import pytest

from checks.kits.host.hive import let_pass
from checks.kits.patience import PATIENCE_S
from checks.kits.sandbox.python import AGENT
from pyglue.config import HiveConfig, Ids
from pyglue.errors import ErrorCode, HiveError
from pyglue.files.workspaces import Mount
from pyglue.host.backends.base import AgentSpec, ContainerEventKind
from pyglue.host.backends.local import LocalBackend

pytestmark = pytest.mark.needs("bwrap")

OWNER: Final = (62007, 62008) if os.geteuid() == 0 else (os.getuid(), os.getgid())
"""A user of the machine with a primary group of another number."""

LOOKS: Final = """
import json, os
found = {"work": sorted(os.listdir("/work"))}
flags = os.statvfs("/work/site").f_flag
known = (os.ST_RDONLY, os.ST_NOSUID, os.ST_NODEV)
found["flags"] = [bool(flags & one) for one in known]
found["private"] = open("/work/site/private").read()
found["mine"] = os.stat("/work/site/private").st_uid == os.getuid()
try:
    open("/work/site/new", "w").write("x")
    os.mkdir("/work/site/made")
    os.chmod("/work/site/private", 0o640)
    found["wrote"] = True
except OSError as error:
    found["wrote"] = error.strerror
for place in ("/work/new", "/work/site/../new"):
    try:
        open(place, "w")
        found["beside"] = place
    except OSError:
        pass
print(json.dumps(found), flush=True)
"""


class Room:
    """A hive's directories, a backend in them, and a workspace beside."""

    def __init__(self, path: Path) -> None:
        let_pass(path)
        ids = None
        if AGENT is not None:
            ids = Ids(agent=AGENT.uid, web=62002, relay=62003)
        state = path / "state"
        self.config = HiveConfig(
            state_dir=str(state), runtime_dir=str(state / "run"), ids=ids
        )
        layout = self.config.layout
        for place in (layout.logs, layout.applied_root):
            place.mkdir(parents=True)
        layout.run("a").mkdir(parents=True)
        for place in (layout.agent_state("a"), layout.session("a"), layout.shared):
            place.mkdir(parents=True)
            if AGENT is not None:
                os.chown(place, AGENT.uid, AGENT.gid)
        self.site = path / "closed" / "site"
        self.site.mkdir(parents=True)
        (self.site / "private").write_text("of the owner")
        (self.site / "private").chmod(0o600)
        self.site.chmod(0o700)
        self.own(self.site, self.site / "private")
        (path / "closed").chmod(0o700)

    def own(self, *paths: Path, owner: tuple[int, int] = OWNER) -> None:
        for path in paths:
            os.chown(path, *owner)

    async def run(self, code: str, *mounts: Mount) -> Any:
        """Return what code prints in the sandbox of an agent with these mounts."""
        backend = LocalBackend(self.config, program=("-c", code))
        ended: Any = asyncio.get_running_loop().create_future()

        def take(event: Any) -> None:
            if event.kind is ContainerEventKind.CRASHED:
                ended.set_result(event)

        backend.watch(take)
        spec = AgentSpec(
            name="a",
            manager=False,
            record=b"{}",
            network=False,
            memory_max=None,
            cpu_quota=None,
            mounts=mounts,
        )
        try:
            await backend.apply(spec)
            await backend.start(spec)
            async with asyncio.timeout(PATIENCE_S):
                event = await ended
            assert event.log_tail, event.reason
            return json.loads(event.log_tail[-1])
        finally:
            await backend.close()

    def mount(self, *, writable: bool, source: Path | None = None) -> Mount:
        return Mount(
            name="site",
            source=source or self.site,
            target="/work/site",
            writable=writable,
        )


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


async def test_written_files_belong_to_the_owner(room: Room) -> None:
    found = await room.run(LOOKS, room.mount(writable=True))
    assert "site" in found.pop("work")  # and this checkout, if it lies in /work
    assert found == {
        "flags": [False, True, True],
        "private": "of the owner",
        "mine": True,
        "wrote": True,
    }
    for name in ("new", "made", "private"):
        status = (room.site / name).stat()
        assert (status.st_uid, status.st_gid) == OWNER
    assert stat.S_IMODE((room.site / "private").stat().st_mode) == 0o640


async def test_what_is_only_read_stays_as_it_is(room: Room) -> None:
    found = await room.run(LOOKS, room.mount(writable=False))
    assert found["flags"] == [True, True, True]
    assert found["private"] == "of the owner"
    assert found["wrote"] == "Read-only file system"
    assert sorted(path.name for path in room.site.iterdir()) == ["private"]


@pytest.mark.needs("root")
async def test_what_is_roots_is_read_as_by_everyone_and_not_written(
    room: Room,
) -> None:
    room.own(room.site, room.site / "private", owner=(0, 0))
    room.site.chmod(0o755)
    (room.site / "open").write_text("for all")
    tries = """
import json, os
found = {"open": open("/work/site/open").read()}
try:
    open("/work/site/private")
except OSError as error:
    found["private"] = error.strerror
print(json.dumps(found), flush=True)
"""
    found = await room.run(tries, room.mount(writable=False))
    assert found == {"open": "for all", "private": "Permission denied"}
    for owner in ((0, 0), (0, 62008), (62007, 0)):
        room.own(room.site, owner=owner)
        with pytest.raises(HiveError, match="user or group root") as caught:
            await room.run(tries, room.mount(writable=True))
        assert caught.value.code is ErrorCode.FORBIDDEN


async def test_links_and_what_is_gone_are_refused(room: Room) -> None:
    above = room.site.parent
    (above / "link").symlink_to(room.site)
    (above / "up").symlink_to(above)
    (above / "file").touch()
    for bad in (above / "link", above / "up" / "site", above / "file"):
        with pytest.raises(HiveError, match="contains a symbolic link") as caught:
            await room.run(LOOKS, room.mount(writable=True, source=bad))
        assert caught.value.code is ErrorCode.FORBIDDEN
    with pytest.raises(HiveError, match=r"workspace site, .*, does not exist"):
        await room.run(LOOKS, room.mount(writable=True, source=above / "none"))


async def test_a_hostile_workspace_reaches_nothing(room: Room) -> None:
    (room.site / "passwd").symlink_to("/etc/shadow")
    (room.site / "host").symlink_to(room.config.state_dir)
    tries = """
import json, os
found = []
for name in ("passwd", "host/workspaces.json", "null"):
    try:
        open("/work/site/" + name).read()
        found.append(name)
    except OSError:
        pass
print(json.dumps(found), flush=True)
"""
    if os.geteuid() == 0:
        os.mknod(room.site / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        (room.site / "null").chmod(0o666)
        room.own(room.site / "null")
    assert await room.run(tries, room.mount(writable=True)) == []


SHARED: Final = """
import json, os
found = {}
try:
    open("/shared/note", "w").write("for all")
    found["wrote"] = True
except OSError as error:
    found["wrote"] = error.strerror
found["note"] = open("/shared/note").read()
print(json.dumps(found), flush=True)
"""


async def test_shared_is_read_by_all_and_written_by_some(room: Room) -> None:
    shared = room.config.layout.shared
    wrote = await room.run(
        SHARED, Mount(name=None, source=shared, target="/shared", writable=True)
    )
    assert wrote == {"wrote": True, "note": "for all"}
    read = await room.run(
        SHARED, Mount(name=None, source=shared, target="/shared", writable=False)
    )
    assert read == {"wrote": "Read-only file system", "note": "for all"}
