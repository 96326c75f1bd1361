"""Links that an agent puts in place of its directories are not followed.

The attacks are a manager's that may change everything below ``agents/``. As root the
whole file runs once more as an ordinary user, whose own files are then the victim's.
"""

import ctypes
import gzip
import io
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from checks.kits.sandbox.python import suite_as_user
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.files import nofollow
from pyglue.files.directory import Folder
from pyglue.git.host_commits import seed_main
from pyglue.git.repos import AppliedRepo
from pyglue.host.agents.directories import Directories
from pyglue.host.agents.kept_files import KeptDirectory, KeptFiles
from pyglue.host.archives.export import Exports
from pyglue.host.life.kept import Kept

ROUNDS: Final = 10_000
_EXCHANGE: Final = 2
_RENAMEAT2: Final = 316  # on x86_64
PRECIOUS: Final = b"a file of the user's"


@dataclass(frozen=True)
class Place:
    """A hive's directories, and what is none of its business."""

    config: HiveConfig
    directories: Directories
    kept_files: KeptFiles
    victim: Path

    @property
    def agents(self) -> Path:
        return self.config.layout.agents

    def link(self, name: str) -> None:
        """Put a link in the place of an agent's directory, as a manager could."""
        if (self.agents / name).is_dir():
            (self.agents / name).rename(self.agents / f".{name}")
        (self.agents / name).symlink_to(self.victim)

    def seen(self) -> dict[str, tuple[int, int, int, bytes]]:
        """Return everything of the victim's: modes, owners and contents."""
        found = {}
        for path in (self.victim, *sorted(self.victim.rglob("*"))):
            status = path.lstat()
            data = path.read_bytes() if path.is_file() else b""
            found[str(path)] = (status.st_mode, status.st_uid, status.st_ino, data)
        return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    config = HiveConfig(
        state_dir=str(tmp_path / "state"), runtime_dir=str(tmp_path / "run")
    )
    directories = Directories(config, agents_pass=True)
    directories.prepare()
    victim = tmp_path / "victim"
    for part in ("config", "state", "session"):
        (victim / part).mkdir(parents=True)
        (victim / part / "precious.txt").write_bytes(PRECIOUS)
    victim.chmod(0o700)
    repo = AppliedRepo.create(config.layout.applied("alice"))
    seed_main(repo, {"agent.nix": b"{ }"}, message="First")
    directories.make("alice")
    kept_files = KeptFiles(layout=config.layout)
    return Place(config, directories, kept_files, victim)


@contextmanager
def refused() -> Iterator[None]:
    with pytest.raises(HiveError) as caught:
        yield
    assert caught.value.code is ErrorCode.FORBIDDEN, caught.value


def exported(place: Place, name: str = "alice") -> bytes:
    """Return an archive of the agent, unzipped."""
    layout = place.config.layout
    nobody: Any = None
    stream = io.BytesIO()
    repo = AppliedRepo(layout.applied(name))
    Exports(store=nobody, audit=nobody, layout=layout, hidden=nobody)._write(
        stream, name, repo.main() or "", None, repo, {}, session=True
    )
    return gzip.decompress(stream.getvalue())


def measured(place: Place) -> int:
    nobody: Any = None
    return sum(
        part.bytes
        for part in Kept(store=nobody, kept_files=place.kept_files)._measure("alice")
    )


# --- a link stands there --------------------------------------------------------------


@pytest.mark.parametrize(
    "work",
    [
        lambda place: place.directories.make("alice"),
        lambda place: place.directories.make_draft("alice"),
        exported,
    ],
    ids=["restart", "draft", "export"],
)
def test_a_link_in_the_place_of_an_agent(
    place: Place, work: Callable[[Place], object]
) -> None:
    place.link("alice")
    before = place.seen()
    with refused():
        work(place)
    assert place.seen() == before


def test_a_draft_where_a_link_was_prepared(place: Place) -> None:
    repo = AppliedRepo.create(place.config.layout.applied("zed"))
    seed_main(repo, {"agent.nix": b"{ }"}, message="First")
    place.link("zed")
    before = place.seen()
    with refused():
        place.directories.make_draft("zed")
    with refused():
        place.kept_files.forget_draft("zed")
    assert place.seen() == before


def test_a_purge_removes_the_link_and_nothing_behind_it(place: Place) -> None:
    place.link("alice")
    before = place.seen()
    for room in (KeptDirectory.CONFIG, KeptDirectory.STATE):
        with refused():
            place.kept_files.remove("alice", room)
    (place.agents / "alice").unlink()
    (place.agents / ".alice").rename(place.agents / "alice")
    shutil.rmtree(place.agents / "alice" / "state")
    (place.agents / "alice" / "state").symlink_to(place.victim / "state")
    place.kept_files.remove("alice", KeptDirectory.STATE)
    assert not os.path.lexists(place.agents / "alice" / "state")
    assert place.seen() == before


def test_nothing_behind_a_link_is_measured_or_found(place: Place) -> None:
    state = place.config.layout.state
    place.link("alice")
    (place.victim / "state" / "large").write_bytes(b"x" * 10_000_000)
    assert measured(place) < 1_000_000
    assert not nofollow.exists(state, place.agents / "alice" / "state")
    assert not nofollow.is_folder(state, place.agents / "alice")
    assert nofollow.names(state, place.agents / "alice") == ()
    assert nofollow.size(state, place.agents / "alice" / "state") == 0


# --- a race ---------------------------------------------------------------------------


def exchange(a: Path, b: Path) -> bool:
    """Swap two entries in one step."""
    libc = ctypes.CDLL(None, use_errno=True)
    names = (-100, os.fsencode(a), -100, os.fsencode(b), _EXCHANGE)
    return bool(libc.syscall(_RENAMEAT2, *names) == 0)


class Flipping(threading.Thread):
    """Swaps an agent's directory for a link and back; makes anew what was removed."""

    def __init__(self, name: Path, victim: Path) -> None:
        super().__init__()
        self._place, self._victim = name, victim
        self._other = name.with_name(".other")

    def run(self) -> None:
        for _ in range(ROUNDS):
            if not exchange(self._place, self._other):
                self._prepare()

    def _prepare(self) -> None:
        here, there = (os.path.lexists(p) for p in (self._place, self._other))
        with suppress(FileExistsError):
            if here and not there:
                if self._place.is_symlink():
                    self._other.mkdir()
                else:
                    self._other.symlink_to(self._victim)
            elif not here:
                self._place.symlink_to(self._victim)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="number of a system call")
def test_a_link_that_comes_and_goes(place: Place) -> None:
    before = place.seen()
    flipping = Flipping(place.agents / "alice", place.victim)
    work: tuple[Callable[[], object], ...] = (
        lambda: place.directories.make("alice"),
        lambda: place.directories.make_draft("alice"),
        lambda: measured(place),
        lambda: archives.append(exported(place)),
        lambda: place.kept_files.remove("alice", KeptDirectory.CONFIG),
        lambda: place.kept_files.remove("alice", KeptDirectory.STATE),
    )
    archives: list[bytes] = []
    flipping.start()
    done = 0
    while flipping.is_alive() or done < len(work) * 2:
        with suppress(HiveError, OSError):
            work[done % len(work)]()
        done += 1
    flipping.join()
    assert place.seen() == before
    assert not any(PRECIOUS in archive for archive in archives)


# --- the module -----------------------------------------------------------------------


def test_a_name_is_one_component(tmp_path: Path) -> None:
    with Folder.at(tmp_path) as top:
        for name in ("", ".", "..", "a/b", "a\0"):
            for work in (top.folder, top.look, top.remove, top.size):
                with pytest.raises(ValueError, match="component"):
                    work(name)
    with pytest.raises(ValueError, match="subpath"):
        Folder.at(tmp_path, tmp_path.parent)


def test_removing_goes_as_deep_as_it_must_and_follows_nothing(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    above = os.open(tmp_path, os.O_DIRECTORY)
    for _ in range(3000):
        os.mkdir("deep", dir_fd=above)
        below = os.open("deep", os.O_DIRECTORY, dir_fd=above)
        os.symlink(tmp_path / "kept", "link", dir_fd=below)
        os.close(above)
        above = below
    os.close(above)
    nofollow.remove(tmp_path, tmp_path / "deep")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    nofollow.remove(tmp_path, tmp_path / "deep")


@pytest.mark.needs("root")
def test_only_what_was_an_agents_is_given_on(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "in").mkdir(parents=True)
    for name in ("mine", "in/mine", "other"):
        (tree / name).touch()
    (tree / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "outside").touch()
    for path in (tree, *tree.rglob("*")):
        os.lchown(path, 70001, 70001)
    os.chown(tree / "other", 0, 0)
    (tree / "mine").chmod(0o6755)
    with Folder.at(tmp_path) as top:
        top.give_tree("tree", 70001, (70002, 70002))
    owners = {path.name: path.lstat().st_uid for path in tree.rglob("*")}
    assert owners == {"in": 70002, "mine": 70002, "link": 70002, "other": 0}
    assert (tmp_path / "outside").stat().st_uid == 0
    assert stat.S_IMODE((tree / "mine").stat().st_mode) == 0o755


# --- as somebody else -----------------------------------------------------------------


@pytest.mark.needs("root")
@pytest.mark.asyncio
async def test_as_an_ordinary_user() -> None:
    with tempfile.TemporaryDirectory() as room:
        os.chown(room, 62005, 62005)
        done = await suite_as_user(Path(__file__), Path(room))
    assert done.code == 0, done.stdout.decode()[-3000:]
