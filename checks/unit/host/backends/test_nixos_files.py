"""The files that hived writes for a container, and its refusals."""

import os
import shlex
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from checks.kits.host.nixos_files import SYSTEM, Room, mounted, spec
from pyglue.errors import ErrorCode, HiveError
from pyglue.files.workspaces import Mount
from pyglue.host.backends import dropin


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
