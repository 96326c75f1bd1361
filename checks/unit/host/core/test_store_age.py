"""A store that is older than the files beside it is refused, but not a new one."""

import asyncio
import shutil
from pathlib import Path

import pytest

from checks.kits.manifest.smallest import MANIFEST
from pyglue.api.approvals import ApprovalKind
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.host_commits import seed_main
from pyglue.git.repos import AppliedRepo
from pyglue.git.tags import TagKind
from pyglue.host.core import store_age
from pyglue.host.core.audit import Audit
from pyglue.manifest.record import PinnedRecord
from pyglue.paths import Layout
from pyglue.store import approvals, sequences
from pyglue.store.approvals import NewApproval
from pyglue.store.database import open_store

RECORD = PinnedRecord(MANIFEST, None)


class Room:
    """A state directory that a hive with some approvals left."""

    def __init__(self, room: Path) -> None:
        self.layout = Layout(room, room / "run")
        self.layout.applied_root.mkdir()
        (room / "private").mkdir()

    def open(self) -> None:
        """Open the store as hived does, and close it again."""

        async def go() -> None:
            named: dict[str, int] = {}
            store = open_store(
                self.layout.database,
                self.layout.lock,
                before=lambda: named.update(store_age.check(self.layout)),
            )
            await store.write(lambda tx: sequences.raise_to(tx, named))
            await store.close()

        asyncio.run(go())

    def propose(self, name: str = "alice") -> int:
        """Store, tag and record an approval, in hived's order."""
        repo = AppliedRepo.create(self.layout.applied(name))
        commit = seed_main(repo, {"agent.nix": b"{ }"}, message="first", at=1)
        new = NewApproval(
            agent=name,
            kind=ApprovalKind.SPAWN,
            commit=commit,
            main=None,
            record=RECORD.encode(),
            manifest_sha256=RECORD.sha256,
            nixos_options=(),
            policy=(),
            description="",
            proposed_by="operator",
            author="a",
            message="m",
        )

        async def go() -> int:
            store = open_store(self.layout.database, self.layout.lock)
            number = await store.write(approvals.reserve_id)
            repo.tag(TagKind.PROPOSAL, number, commit, RECORD.encode())
            await store.write(lambda tx: approvals.insert(tx, number, new))
            await store.close()
            return number

        number = asyncio.run(go())
        self.record("proposed", {"approval": number})
        return number

    def record(self, what: str, data: dict[str, object]) -> None:
        audit = Audit(self.layout.audit_log, self.layout.state / "private/audit.key")
        audit.record("system", what, "alice", data)
        audit.close()

    def refused(self, match: str) -> None:
        with pytest.raises(HiveError, match=match) as caught:
            self.open()
        assert caught.value.code is ErrorCode.CONFLICT
        for command in (
            "hive restore-backup FILE --into DIR",
            "hive doctor --repair --from-git",
        ):
            assert command in caught.value.message


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_a_new_hive_starts(room: Room) -> None:
    room.open()
    room.open()


def test_one_that_died_in_its_first_start_starts(room: Room) -> None:
    room.layout.database.touch()
    room.open()
    room.record("login_code", {})
    room.open()


def test_one_with_approvals_starts(room: Room) -> None:
    room.propose()
    room.open()


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("left", ["both", "audit.jsonl", "applied"])
def test_a_missing_or_empty_store_is_refused(
    room: Room, left: str, *, empty: bool
) -> None:
    room.propose()
    room.layout.database.unlink()
    if empty:
        room.layout.database.touch()
    if left == "applied":
        room.layout.audit_log.unlink()
    elif left != "both":
        shutil.rmtree(room.layout.applied_root)
        room.layout.applied_root.mkdir()
    room.refused("is empty" if empty else "is missing")
    assert not room.layout.database.exists() or empty


def test_an_older_store_is_refused_by_the_log(room: Room) -> None:
    room.propose()
    kept = room.layout.database.read_bytes()
    room.propose("bob")
    room.layout.database.write_bytes(kept)
    room.refused("it ends with approval 1, but they name approval 2")


def test_an_older_store_is_refused_by_tags(room: Room) -> None:
    number = room.propose()
    repo = AppliedRepo(room.layout.applied("alice"))
    repo.tag(TagKind.PROPOSAL, 99, repo.main() or "")
    room.open()  # a proposal that nothing came of
    repo.tag(TagKind.DEPLOYED, number + 1, repo.main() or "")
    room.refused("they name approval 2")


def test_an_older_store_is_refused_by_operations(room: Room) -> None:
    room.propose()
    room.record("stop_requested", {"operation": 7})
    room.refused("it has no operation, but they name operation 7")


def test_lines_that_are_none_say_nothing(room: Room) -> None:
    room.propose()
    with room.layout.audit_log.open("ab") as log:
        log.write(b'{"data": {"approval": "9"}}\n{"data": {"approval": true}}\nno\n')
        log.write(b'{"data": {"reason": "\\"approval\\": 9"}}\n{"approval": 9}\n')
    room.open()


def test_a_backup_may_have_a_log_that_is_a_moment_newer(room: Room) -> None:
    """What happens while the store is copied is in the log, and not in the copy."""
    room.propose()
    copy = room.layout.database.read_bytes()
    room.record("proposed", {"approval": 5})
    room.record("stop_requested", {"operation": 3})
    room.record("backup", {})
    room.layout.database.write_bytes(copy)
    room.open()
    room.record("login_code", {})
    room.open()  # and goes on after what the log has
    assert room.propose() == 6
