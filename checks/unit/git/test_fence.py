"""Packs are read in a sandbox: another user, no network, nothing of the host."""

import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from checks.kits.git.objects import SEED, Objects, Room
from checks.kits.patience import PATIENCE_S
from pyglue.errors import ErrorCode, HiveError
from pyglue.git import quarantine
from pyglue.git.fence import Fence, Place
from pyglue.git.quarantine import import_pack
from pyglue.git.spare import SpareChild, Waiting
from pyglue.git.verdict import MIB, Job, PackLimits, Passed
from pyglue.process import run_sync

pytestmark = pytest.mark.needs("git", "bwrap")

NEW = {**SEED, "prompt.md": b"Look twice.\n"}
LOOK = """
import json, os, socket
def tries(what):
    try: what(); return True
    except OSError: return False
status = dict(
    line.split(":", 1) for line in open("/proc/self/status").read().splitlines()
)
print(json.dumps({
    "caps": status["CapEff"].strip(), "new": status["NoNewPrivs"].strip(),
    "filter": status["Seccomp"].strip(), "links": os.listdir("/sys/class/net")
    if os.path.isdir("/sys/class/net") else [],
    "net": tries(lambda: socket.create_connection(("127.0.0.1", PORT), 1)),
    "secret": tries(lambda: open(SECRET)), "objects": os.access(OBJECTS, os.W_OK),
    "write": tries(lambda: open(ROOM + "/x", "w")), "fds": os.listdir("/proc/self/fd"),
}))
"""


@pytest.fixture(scope="module")
def fence() -> Fence:
    made = Fence()
    if not made.works:
        pytest.skip("bubblewrap does not work here")
    return made


@pytest.fixture
def objects() -> Objects:
    return Objects()


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room.make(tmp_path)


def spare(fence: Fence, room: Room) -> SpareChild:
    return SpareChild(fence, workdir=room.path / "quarantine", shown=room.path)


def look(place: Place, **values: object) -> dict[str, Any]:
    head = "".join(f"{name} = {value!r}\n" for name, value in values.items())
    with place.launch(["-c", head + LOOK]) as launch:
        done = run_sync(
            launch.argv, env={}, timeout=PATIENCE_S, pass_fds=launch.pass_fds
        )
    assert done.code == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_program_behind_it_has_its_room_and_nothing_else(
    fence: Fence, room: Room
) -> None:
    import socket

    place = fence.place(room.path / "quarantine", room.path)
    assert place is not None
    secret = room.path / "hive.db"
    secret.write_text("secret")
    try:
        objects = place.objects(room.applied.objects)
        with socket.create_server(("127.0.0.1", 0)) as server:
            found = look(
                place,
                SECRET="/root/.profile" if os.geteuid() else str(secret),
                OBJECTS=str(objects),
                ROOM=str(place.directory),
                PORT=server.getsockname()[1],
            )
        assert int(found["caps"], 16) == 0
        assert (found["new"], found["filter"]) == ("1", "2")
        assert found["net"] is False and found["write"] is True
        assert found["secret"] is False and found["objects"] is False
        owner = (place.directory / "x").stat().st_uid
        assert owner == (65534 if os.geteuid() == 0 else os.geteuid())
    finally:
        place.remove()
    assert not place.top.exists()


def test_a_commit_goes_through_it(fence: Fence, room: Room, objects: Objects) -> None:
    commit = objects.commit(objects.files(NEW), room.main)
    pack = room.path / "upload.pack"
    pack.write_bytes(objects.pack())
    children = spare(fence, room)
    checked = import_pack(
        pack,
        commit,
        room.applied,
        workdir=room.path / "quarantine",
        spare=children,
    )
    children.close()
    assert checked == room.submit(objects, commit)
    assert commit in room.known()
    for file in (room.applied.objects / "pack").iterdir():
        status = file.stat()
        assert status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) == 0o444
    assert list((room.path / "quarantine").iterdir()) == []


def test_what_it_was_shown_in_advance_is_no_part_of_a_check(
    fence: Fence, room: Room, objects: Objects, tmp_path: Path
) -> None:
    """Neither the objects of another agent, nor what is gone since."""
    other = grown(tmp_path / "other", b"of carol\n")
    commit = objects.commit(objects.files({**SEED, "own": b"of carol\n"}), room.main)
    pack = room.path / "upload.pack"
    only_carols = [objects.blob(b"of carol\n")]
    pack.write_bytes(objects.pack(leave_out=only_carols))
    children = spare(fence, room)
    children.prepare(room.path / "purged" / "objects")
    children.prepare(other.applied.objects)
    with pytest.raises(HiveError, match="missing"):
        import_pack(
            pack,
            commit,
            room.applied,
            workdir=room.path / "quarantine",
            spare=children,
        )
    children.close()


@pytest.mark.needs("root")
def test_copies_are_made_the_same_and_nobody_can_write_them(
    fence: Fence, room: Room, tmp_path: Path
) -> None:
    other = grown(tmp_path / "other", b"of carol\n")
    place = fence.place(room.path / "quarantine", room.path)
    assert place is not None
    try:
        for known in (other.applied.objects, room.applied.objects):
            copy = place.objects(known)
            assert files_in(copy) == files_in(known)
        some = next(path for path in copy.rglob("*") if path.is_file())
        before = some.stat().st_ino
        (room.applied.objects / "00").mkdir()
        (room.applied.objects / "00" / ("1" * 38)).write_bytes(b"new")
        assert files_in(place.objects(room.applied.objects)) == files_in(known)
        assert some.stat().st_ino == before, "not copied again"
        for path in (copy, *copy.rglob("*")):
            status = path.stat()
            mode = 0o755 if path.is_dir() else 0o444
            assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (0, mode)
    finally:
        place.remove()


def grown(path: Path, own: bytes) -> Room:
    """Give a repository that knows a file more."""
    room, objects = Room.make(path), Objects()
    room.submit(objects, objects.commit(objects.files({**SEED, "own": own}), room.main))
    return room


def files_in(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("bad", ["tree", "pack", "base"])
def test_refusals_are_the_same(
    fence: Fence, room: Room, objects: Objects, bad: str
) -> None:
    files = {"no-agent": b""} if bad == "tree" else NEW
    parent = () if bad == "base" else (room.main,)
    commit = objects.commit(objects.files(files), *parent)
    data = objects.pack()
    if bad == "pack":
        data = data[:-30]
    pack = room.path / "upload.pack"
    pack.write_bytes(data)
    told = []
    for children in (None, spare(fence, room)):
        with pytest.raises(HiveError) as caught:
            import_pack(
                pack,
                commit,
                room.applied,
                workdir=room.path / "quarantine",
                spare=children,
            )
        told.append((caught.value.code, caught.value.message))
    assert told[0] == told[1]
    assert told[0][0] is not ErrorCode.INTERNAL


def test_git_that_is_taken_over_leaves_no_link_to_read(
    fence: Fence, room: Room, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if pack-objects had been made to write a link to a file of the host's."""
    commit = objects.commit(objects.files(NEW), room.main)
    pack = room.path / "upload.pack"
    pack.write_bytes(objects.pack())

    judge = quarantine._judge

    def links(job: Job, waiting: Waiting) -> Passed:
        passed = judge(job, waiting)
        assert waiting.place is not None
        (made,) = waiting.place.directory.glob("clean-*.pack")
        made.unlink()
        made.symlink_to("/etc/passwd")
        return passed

    monkeypatch.setattr(quarantine, "_judge", links)
    before = room.known()
    with pytest.raises(HiveError, match="did not keep its pack"):
        import_pack(
            pack,
            commit,
            room.applied,
            workdir=room.path / "quarantine",
            spare=spare(fence, room),
        )
    assert room.known() == before


def test_only_so_many_are_checked_at_once(
    fence: Fence, room: Room, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = objects.commit(objects.files(NEW), room.main)
    pack = room.path / "upload.pack"
    pack.write_bytes(objects.pack())
    inside, most, lock = 0, 0, threading.Lock()
    both = threading.Barrier(2)

    judge = quarantine._judge

    def counted(job: Job, waiting: Waiting) -> Passed:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        both.wait(60)
        try:
            return judge(job, waiting)
        finally:
            with lock:
                inside -= 1

    monkeypatch.setattr(quarantine, "_judge", counted)
    children = spare(fence, room)

    def submit() -> None:
        import_pack(
            pack,
            commit,
            room.applied,
            workdir=room.path / "quarantine",
            spare=children,
        )

    threads = [threading.Thread(target=submit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2


@pytest.mark.parametrize(
    "limits",
    [PackLimits(memory_bytes=40 * MIB), PackLimits(wall_seconds=0.01)],
    ids=["memory", "time"],
)
def test_limits_hold_behind_it(
    fence: Fence, room: Room, objects: Objects, limits: PackLimits
) -> None:
    commit = objects.commit(objects.files(NEW), room.main)
    pack = room.path / "upload.pack"
    pack.write_bytes(objects.pack())
    with pytest.raises(HiveError):
        import_pack(
            pack,
            commit,
            room.applied,
            workdir=room.path / "quarantine",
            limits=limits,
            spare=spare(fence, room),
        )
    assert commit not in room.known()
