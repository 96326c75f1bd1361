"""The files that hived writes for a container, and its refusals."""

import os
import shlex
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from checks.kits.manifest.smallest import MANIFEST
from pyglue.config import HiveConfig, Ids, NixosConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.files.workspaces import Mount
from pyglue.host.agents.directories import Directories
from pyglue.host.backends import dropin, nspawn_conf
from pyglue.host.backends.addresses import allocate, check_ranges
from pyglue.host.backends.base import AgentSpec
from pyglue.host.backends.nixos_files import ContainerFiles, HostPlaces
from pyglue.host.backends.nspawn_conf import Found, Pair
from pyglue.host.backends.ownership import Ownership, Seen
from pyglue.manifest.record import PinnedRecord
from pyglue.paths import Layout

SYSTEM = "/nix/store/00000000000000000000000000000000-nixos-system"
DRV = f"{SYSTEM}.drv"


class Room:
    """A hive's directories and the host's, in a temporary one."""

    def __init__(self, path: Path, **nixos: Any) -> None:
        names = ("confs", "profiles", "units", "roots")
        self.places = HostPlaces(**{name: path / name for name in names})
        for name in names:
            (path / name).mkdir(parents=True, exist_ok=True)
        own = {"nixpkgs": "/n", "framework": "/f", "revision": "r"}
        self.nixos = NixosConfig(**{**own, **nixos})
        self.config = HiveConfig(
            state_dir=str(path / "state"),
            runtime_dir=str(path / "run"),
            backend="nixos-container",
            ids=Ids(agent=os.getuid() or 993, web=994, relay=995),
            nixos=self.nixos,
        )
        self.layout: Layout = self.config.layout
        self.mounted: list[Path] = []

    def files(self) -> ContainerFiles:
        return ContainerFiles(self.config, self.nixos, self.places)

    def make(self, *agents: str) -> None:
        for place in (self.layout.runtime / "agents", self.layout.applied_root):
            place.mkdir(parents=True, exist_ok=True)
        for agent in agents:
            for place in (
                self.layout.run(agent),
                self.layout.agent_state(agent),
                self.layout.session(agent),
            ):
                place.mkdir(parents=True, exist_ok=True)

    def conf(self, agent: str) -> str:
        return (self.places.confs / f"h-{agent}.conf").read_text()


def spec(name: str = "alice", **changes: Any) -> AgentSpec:
    record = PinnedRecord(MANIFEST, DRV).encode()
    made = AgentSpec(
        name=name,
        manager=name == "manager",
        record=record,
        network=False,
        memory_max=None,
        cpu_quota=None,
        system=DRV,
    )
    return AgentSpec(**{**made.__dict__, **changes})


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    made.make("alice", "bob", "manager")
    yield made
    for path in made.mounted:
        subprocess.run(["umount", str(path)], check=True)


def flags(conf: str) -> list[str]:
    (line,) = (x for x in conf.splitlines() if x.startswith("EXTRA_NSPAWN_FLAGS="))
    (value,) = shlex.split(line.partition("=")[2])
    return value.split()


def test_an_agent_gets_its_own_directories_and_no_network(room: Room) -> None:
    assert room.files().write(spec(), SYSTEM)
    conf, layout = room.conf("alice"), room.layout
    assert conf.splitlines()[1:5] == [
        "PRIVATE_NETWORK=1",
        "PRIVATE_USERS=pick",
        "AUTO_START=0",
        f"SYSTEM_PATH={SYSTEM}",
    ]
    assert "ADDRESS" not in conf
    assert flags(conf) == [
        f"--bind-ro={layout.run('alice')}:/run/hive:idmap",
        f"--bind={layout.agent_state('alice')}:/state:idmap",
        f"--bind={layout.session('alice')}:/session:idmap",
        "--tmpfs=/nix/var/nix/profiles:mode=0755,size=1m",
        "--tmpfs=/nix/var/nix/gcroots:mode=0755,size=1m",
        "--inaccessible=/nix/var/nix/daemon-socket",
        "--inaccessible=/nix/var/nix/db",
    ]
    assert (layout.run("alice") / "manifest.json").read_bytes() == spec().record
    assert (layout.run("alice") / "manifest.json").stat().st_mode & 0o777 == 0o644


def test_the_manager_gets_all_agents_and_reads_what_is_applied(room: Room) -> None:
    room.files().write(spec("manager"), SYSTEM)
    found = flags(room.conf("manager"))
    assert f"--bind={room.layout.agents}:/agents:idmap" in found
    assert f"--bind-ro={room.layout.applied_root}:/applied:idmap" in found
    assert all("private/alice" not in flag for flag in found)


def mounted(room: Room, path: Path) -> Path:
    """Bind a directory onto itself as the host's configuration does."""
    path.mkdir()
    for options in ("bind", "remount,bind,nosuid,nodev"):
        what = (str(path), str(path)) if options == "bind" else (str(path),)
        subprocess.run(["mount", "-o", options, *what], check=True)
    room.mounted.append(path)
    return path


@pytest.mark.needs("root")
def test_a_workspace_is_its_owners_and_never_roots(room: Room) -> None:
    site = mounted(room, room.layout.state / "site")
    os.chown(site, 1234, 100)
    shared = room.layout.shared
    shared.mkdir()
    agent = room.config.ids.agent if room.config.ids else 0
    asked = (
        Mount(name=None, source=shared, target="/shared", writable=False),
        Mount(name="site", source=site, target="/work/site", writable=True),
    )
    files = room.files()
    files.check_sources(spec(mounts=asked))
    mask = os.umask(0o077)  # hived's
    files.write(spec(mounts=asked), SYSTEM)
    os.umask(mask)
    found = flags(room.conf("alice"))
    assert f"--bind-ro={shared}:/shared:idmap" in found
    assert f"--bind={site}:/work/site:owneridmap" in found
    place = room.places.roots / "h-alice/work/site"
    assert (place.stat().st_uid, place.stat().st_gid) == (agent, agent)
    assert place.parent.stat().st_uid == 0
    assert {stat.S_IMODE(one.stat().st_mode) for one in (place, place.parent)} == {
        0o755
    }

    os.chown(site, 0, 0)
    with pytest.raises(HiveError, match="user or group root") as caught:
        files.check_sources(spec(mounts=asked))
    assert caught.value.code is ErrorCode.FORBIDDEN
    only_read = (Mount(name="site", source=site, target="/work/site", writable=False),)
    files.check_sources(spec(mounts=only_read))
    files.write(spec(mounts=only_read), SYSTEM)
    assert f"--bind-ro={site}:/work/site:noidmap" in flags(room.conf("alice"))


@pytest.mark.needs("root")
def test_a_workspace_that_is_not_mounted_is_refused(room: Room) -> None:
    site = room.layout.state / "site"
    site.mkdir()
    os.chown(site, 1234, 1234)
    asked = (Mount(name="site", source=site, target="/work/site", writable=True),)
    with pytest.raises(HiveError, match=f"systemctl status {site}") as caught:
        room.files().check_sources(spec(mounts=asked))
    assert caught.value.code is ErrorCode.UNAVAILABLE
    gone = (
        Mount(name="site", source=site / "none", target="/work/site", writable=True),
    )
    with pytest.raises(HiveError, match="does not exist"):
        room.files().check_sources(spec(mounts=gone))


@pytest.mark.needs("root")
@pytest.mark.parametrize("link", ["work", "work/site"])
def test_no_link_in_a_containers_root_is_followed(room: Room, link: str) -> None:
    site = mounted(room, room.layout.state / "site")
    os.chown(site, 1234, 1234)
    target = room.places.roots / "target"
    target.mkdir()
    place = room.places.roots / "h-alice" / link
    place.parent.mkdir(parents=True)
    place.symlink_to(target)
    asked = (Mount(name="site", source=site, target="/work/site", writable=True),)
    with pytest.raises(HiveError, match="is a link"):
        room.files().write(spec(mounts=asked), SYSTEM)
    assert (target.stat().st_uid, list(target.iterdir())) == (0, [])


def test_limits_are_read_again_only_when_they_changed(room: Room) -> None:
    files, limited = room.files(), spec(memory_max=2**30, cpu_quota=150)
    assert files.write(limited, SYSTEM)
    place = room.places.units / "container@h-alice.service.d/50-hyperhive.conf"
    top, *lines = place.read_text().splitlines()[1:]
    links = [line for line in lines if line.startswith("Assert")]
    root = room.places.roots / "h-alice"
    assert top == "[Unit]"
    assert f"AssertPathIsSymbolicLink=!{root}/var/lib" in links
    assert [line for line in lines if line not in links] == [
        "[Service]",
        f"TasksMax={dropin.TASKS_MAX}",
        f"MemoryMax={2**30}",
        "MemorySwapMax=0",
        "CPUQuota=150%",
    ]
    assert not files.write(limited, SYSTEM)
    assert files.write(spec(), SYSTEM)
    assert "Max=1" not in place.read_text()
    assert files.forget("alice")
    assert not place.exists()
    assert not files.forget("alice")


def test_what_destroy_leaves_of_a_root_is_removed_and_no_link_followed(
    room: Room,
) -> None:
    outside = room.places.roots / "outside"
    left = room.places.roots / "h-alice/var/lib/machines"
    for place in (outside, left):
        place.mkdir(parents=True)
    (outside / "file").touch()
    (left / "link").symlink_to(outside)
    room.files().clear_root("alice")
    room.files().clear_root("nobody")
    assert list(room.places.roots.iterdir()) == [outside]
    assert (outside / "file").exists()


# --- whose container it is ------------------------------------------------------------


def test_a_container_of_somebody_else_is_not_taken(room: Room) -> None:
    place = room.places.confs / "h-alice.conf"
    place.write_text("PRIVATE_NETWORK=1\n")
    files = room.files()
    with pytest.raises(HiveError) as caught:
        files.claim("alice")
    assert caught.value.code is ErrorCode.NAME_TAKEN
    assert "nixos-container destroy h-alice" in caught.value.message
    assert place.read_text() == "PRIVATE_NETWORK=1\n"
    assert not files.is_ours("alice")


def test_what_a_crash_left_half_made_is_ours(room: Room) -> None:
    files = room.files()
    assert not files.claim("alice")
    (room.places.confs / "h-alice.conf").write_text("HOST_ADDRESS=10.233.1.1\n")
    assert files.claim("alice")
    files.write(spec(), SYSTEM)
    assert "HOST_ADDRESS" not in room.conf("alice")


def test_our_conf_is_ours_after_the_private_room_was_lost(room: Room) -> None:
    room.files().write(spec(), SYSTEM)
    assert room.files().is_ours("alice")
    other = Room(room.places.confs.parent)
    other.config = msgspec.structs.replace(other.config, state_dir="/elsewhere")
    assert not other.files().is_ours("alice")


def test_strangers_and_malformed_files_are_reported_and_left(room: Room) -> None:
    room.files().write(spec(), SYSTEM)
    confs = room.places.confs
    (confs / "h-bob.conf").write_bytes(b"\xff\0")
    (confs / "h-BAD.conf").write_text("A" * 100_000)
    (confs / "h-dir.conf").mkdir()
    (confs / "other.conf").write_text("")
    found = room.files().strangers()
    assert [name for name in ("h-BAD", "h-bob", "h-dir") if name in "".join(found)] == [
        "h-BAD",
        "h-bob",
        "h-dir",
    ]
    assert len(found) == 3
    assert (confs / "h-bob.conf").read_bytes() == b"\xff\0"


def test_a_container_holds_when_record_and_system_are_the_same(room: Room) -> None:
    files = room.files()
    assert not files.holds(spec())
    files.claim("alice")
    root = files.root(spec())
    root.parent.mkdir(parents=True)
    root.symlink_to(SYSTEM)
    files.write(spec(), SYSTEM)
    assert files.holds(spec())
    assert not files.holds(spec(record=b"{}"))
    assert not files.holds(spec(system=None))
    files.write(spec(), SYSTEM.replace("nixos", "older"))
    assert not files.holds(spec())


# --- what is refused ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a b", "a$b", 'a"b', "a;b", "a:b", "a\nb", "a*", "ä"])
def test_a_directory_that_the_start_script_would_misread(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(HiveError) as caught:
        Room(tmp_path / name).files()
    assert caught.value.code is ErrorCode.CONFIG_INVALID
    assert "start script" in caught.value.message


@pytest.mark.parametrize("users", ["no", "identity", "0", "", "65537", "pick --bind=/"])
def test_users_that_are_not_the_containers_own(tmp_path: Path, users: str) -> None:
    with pytest.raises(HiveError) as caught:
        Room(tmp_path, private_users=users).files()
    assert caught.value.code is ErrorCode.CONFIG_INVALID


def test_a_number_of_users_is_taken(tmp_path: Path) -> None:
    assert Room(tmp_path, private_users="1966080").files()


def test_a_system_that_is_no_store_path(room: Room) -> None:
    with pytest.raises(HiveError):
        room.files().write(spec(), "/nix/store/../../etc --bind=/:/x")


def test_a_link_in_the_place_of_a_directory(room: Room) -> None:
    state = room.layout.agent_state("alice")
    state.rmdir()
    state.symlink_to("/etc")
    with pytest.raises(HiveError) as caught:
        room.files().check_sources(spec())
    assert caught.value.code is ErrorCode.FORBIDDEN


def test_a_file_that_cannot_be_written_is_named(room: Room) -> None:
    (room.places.confs / "h-alice.conf").mkdir()
    with pytest.raises(HiveError) as caught:
        room.files().write(spec(), SYSTEM)
    assert caught.value.code is ErrorCode.DEPLOY_FAILED
    assert "h-alice.conf: Is a directory" in caught.value.message
    assert list(room.places.confs.iterdir()) == [room.places.confs / "h-alice.conf"]


# --- addresses ------------------------------------------------------------------------


def test_a_container_with_a_network_keeps_its_pair(room: Room) -> None:
    files = room.files()
    files.write(spec(network=True), SYSTEM)
    files.write(spec("bob", network=True), SYSTEM)
    assert "HOST_ADDRESS=10.231.0.1\nLOCAL_ADDRESS=10.231.0.2\n" in room.conf("alice")
    assert "HOST_ADDRESS=10.231.0.5\nLOCAL_ADDRESS=10.231.0.6\n" in room.conf("bob")
    limits = room.places.units / "container@h-bob.service.d/50-hyperhive.conf"
    assert "\nRequires=nftables.service\nAfter=nftables.service\n" in limits.read_text()
    (room.places.confs / "h-alice.conf").unlink()
    room.files().write(spec("bob", network=True), SYSTEM)
    assert "HOST_ADDRESS=10.231.0.5\n" in room.conf("bob")
    files.write(spec("bob"), SYSTEM)
    assert "ADDRESS" not in room.conf("bob")
    assert "nftables" not in limits.read_text()


def test_what_others_use_is_not_given_out_and_the_end_is_said() -> None:
    ranges = check_ranges(["10.231.0.0/30", "10.232.0.0/30"])
    used = Found("web", "HOST_ADDRESS=10.231.0.1\n")
    assert allocate([used], "h-a", ranges) == Pair("10.232.0.1", "10.232.0.2")
    more = Found("h-b", "LOCAL_ADDRESS=10.232.0.2\n")
    with pytest.raises(HiveError, match="network_ranges"):
        allocate([used, more], "h-a", ranges)


def test_a_pair_outside_the_ranges_is_replaced() -> None:
    ranges = check_ranges(["10.231.0.0/16"])
    for text in (
        "HOST_ADDRESS=10.233.1.1\nLOCAL_ADDRESS=10.233.1.2\n",
        "HOST_ADDRESS=10.231.0.1\nLOCAL_ADDRESS=10.231.0.9\n",
        "HOST_ADDRESS=x\nLOCAL_ADDRESS=y\n",
    ):
        pair = allocate([Found("h-a", text)], "h-a", ranges)
        assert pair == Pair("10.231.0.1", "10.231.0.2")


@pytest.mark.parametrize("text", ["", "10.0.0.1/8", "fd00::/8", "10.0.0.0/31", "x"])
def test_a_range_that_is_none(text: str) -> None:
    with pytest.raises(HiveError) as caught:
        check_ranges([text])
    assert caught.value.code is ErrorCode.CONFIG_INVALID


# --- what is kept ---------------------------------------------------------------------


def test_what_was_seen_holds_for_this_boot(room: Room) -> None:
    own = Ownership(room.layout)
    own.remember("alice", Seen("run", 3))
    assert Ownership(room.layout).seen("alice") == Seen("run", 3)
    place = room.layout.private("alice") / "container.json"
    place.write_text('{"boot":"another","run":"run","restarts":3}')
    assert own.seen("alice") == Seen()
    place.write_text("nonsense")
    assert own.seen("alice") == Seen()
    assert own.claimed("alice")
    own.release("alice")
    assert not own.claimed("alice")


def test_only_the_newest_systems_are_kept(room: Room) -> None:
    own = Ownership(room.layout)
    systems = own.systems("alice")
    systems.mkdir(parents=True)
    for number in range(5):
        root = systems / str(number)
        root.symlink_to(SYSTEM)
        os.utime(root, ns=(number, number), follow_symlinks=False)
    own.keep_newest("alice", 3)
    assert sorted(root.name for root in systems.iterdir()) == ["2", "3", "4"]


@pytest.mark.needs("root")
def test_nobody_passes_by_the_state_directory(room: Room) -> None:
    Directories(room.config, agents_pass=False).prepare()
    assert room.layout.state.stat().st_mode & 0o777 == 0o700


def test_a_mark_of_another_hive_is_not_ours() -> None:
    text = nspawn_conf.Conf(
        hive=Path("/a"), system=SYSTEM, private_users="pick", binds=()
    ).text()
    assert Found("h-x", text).made_by(Path("/a"))
    assert not Found("h-x", text).made_by(Path("/a/b"))
    assert not Found("h-x", None).made_by(Path("/a"))
