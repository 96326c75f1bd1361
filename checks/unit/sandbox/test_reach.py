"""A hive below a directory that only root may enter."""

import os
import sys
from pathlib import Path

import pytest

from checks.kits.patience import PATIENCE_S
from pyglue.process import Completed, RunAs, run_sync
from pyglue.sandbox import own_places, reach

USER = RunAs(62005, 62005)
pytestmark = pytest.mark.needs("root", "bwrap")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A closed directory with something that is asked for and something that is not."""
    home = tmp_path / "home"
    (home / "hive" / "deep").mkdir(parents=True)
    (home / "hive" / "deep" / "file").write_text("shown")
    (home / "secret").write_text("secret")
    home.chmod(0o700)
    return home


def run(*argv: str, wrapper: tuple[str, ...], fds: tuple[int, ...] = ()) -> Completed:
    env = {"PATH": "/usr/bin:/bin"}
    return run_sync(
        argv, env=env, timeout=PATIENCE_S, run_as=USER, wrapper=wrapper, pass_fds=fds
    )


def test_what_is_asked_for_is_there_at_its_own_path(home: Path) -> None:
    places = {home / "hive": None, home / "hive" / "deep" / "file": None}
    wrapper = reach(places, USER)
    file = str(home / "hive" / "deep" / "file")
    assert run("cat", file, wrapper=()).code != 0
    assert run("cat", file, wrapper=wrapper).stdout == b"shown"
    assert run("cat", str(home / "secret"), wrapper=wrapper).code != 0
    assert run("ls", str(home), wrapper=wrapper).stdout == b"hive\n"
    assert (home / "secret").read_text() == "secret"  # the host sees nothing of it


def test_a_single_file(home: Path) -> None:
    secret = home / "secret"
    wrapper = reach({secret: None}, USER)
    secret.chmod(0o644)
    assert run("cat", str(secret), wrapper=wrapper).stdout == b"secret"


def test_nothing_is_wrapped_where_nothing_is_closed(home: Path) -> None:
    assert reach({Path("/usr/bin"): None, Path("/usr/lib/none"): None}, USER) == ()
    assert reach({home / "hive": None}, None) == ()


def test_what_was_opened_is_what_is_shown(home: Path) -> None:
    """A directory that is replaced after it was opened is not shown in its stead."""
    place = home / "hive" / "deep"
    opened = os.open(place, os.O_PATH)
    try:
        wrapper = reach({place: opened}, USER)
        assert run("cat", f"{place}/file", wrapper=wrapper, fds=(opened,)).code == 0
        place.rename(home / "moved")
        place.mkdir()
        done = run("ls", str(place), wrapper=wrapper, fds=(opened,))
    finally:
        os.close(opened)
    assert done.code != 0
    assert b"was replaced" in done.stderr


def test_a_link_on_the_way_is_not_followed(home: Path) -> None:
    place = home / "hive" / "deep"
    wrapper = reach({place: None}, USER)
    place.rename(home / "moved")
    place.symlink_to("/etc")
    done = run("ls", f"{place}/shadow", wrapper=wrapper)
    assert done.code != 0
    assert b"was replaced" in done.stderr


def test_our_own_places_are_enough_for_our_own_parts() -> None:
    wrapper = reach(dict.fromkeys(own_places()), USER)
    done = run(sys.executable, "-P", "-c", "import pyglue.web.main", wrapper=wrapper)
    assert done.code == 0, done.stderr.decode()
