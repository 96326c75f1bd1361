"""Containers that are there already: whose they are, their remains, and networks."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from checks.kits.host.nixos_files import SYSTEM, Room, mounted, spec
from pyglue.errors import ErrorCode, HiveError
from pyglue.files.workspaces import Mount
from pyglue.host.agents.directories import Directories
from pyglue.host.backends import nspawn_conf
from pyglue.host.backends.addresses import allocate, check_ranges
from pyglue.host.backends.nspawn_conf import Found, Pair
from pyglue.host.backends.ownership import Ownership, Seen


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    made.make("alice", "bob", "manager")
    yield made
    for path in made.mounted:
        subprocess.run(["umount", str(path)], check=True)


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
