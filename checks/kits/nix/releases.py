"""Nix of other releases of Debian: ``pytest --nix=RELEASE``.

Each is fetched once, with the libraries that it needs, into a directory below
``.venv/nix``. Programs and libraries lie together there, since an evaluation's sandbox
shows nothing else but ``/usr``.
"""

import fcntl
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Final

import pytest

from checks.kits.nix import debian

ROOT: Final = Path(__file__).resolve().parents[3]
RELEASES: Final = {"bookworm": (2, 8), "trixie": (2, 26), "testing": (2, 34)}
"""Each release and the Nix that it has at least; testing moves on."""

_PLACE: Final = ROOT / ".venv" / "nix"
_PROGRAM: Final = "nix"
_LOADER: Final = "ld-linux-*.so.*"
_LIBRARY: Final = "*.so*"


def add_option(parser: pytest.Parser) -> None:
    """Add ``--nix``."""
    parser.addoption(
        "--nix",
        choices=tuple(RELEASES),
        help="with the Nix of which release of Debian; default: this machine's",
    )


def use(config: pytest.Config) -> None:
    """Put the programs that are asked for before all others."""
    asked = config.getoption("--nix", None)
    if asked is None:
        return
    programs = str(made(asked))
    if programs not in os.environ["PATH"].split(":"):
        os.environ["PATH"] = f"{programs}:{os.environ['PATH']}"


def header(config: pytest.Config) -> str | None:
    """Return the line that names the version, at the head of a run."""
    asked = config.getoption("--nix", None)
    if asked is None:
        return None
    return f"nix: {debian.run(str(made(asked) / _PROGRAM), '--version')} of {asked}"


def made(release: str) -> Path:
    """Return the directory with the programs of a release, made if it is not there.

    Raises:
        pytest.UsageError: What is missing here, or the end of what a program said.
    """
    done = _PLACE / release
    _PLACE.mkdir(parents=True, exist_ok=True)
    with (_PLACE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.is_dir():
            with tempfile.TemporaryDirectory(dir=_PLACE) as room:
                _make(Path(room), release).rename(done)
            said = debian.run(str(done / _PROGRAM), "--version")
            found = tuple(map(int, re.findall(r"\d+", said)))
            if found < RELEASES[release]:
                shutil.rmtree(done)
                raise pytest.UsageError(f"{release} has {said}, which is too old")
    return done


def _make(room: Path, release: str) -> Path:
    """Fetch, unpack and make them load each other, all below ``room``."""
    files, programs = debian.unpack(room, release, "nix-bin"), room / "programs"
    programs.mkdir(mode=0o755)
    for found in (*files.glob("usr/bin/nix*"), *files.rglob(f"lib*/**/{_LIBRARY}")):
        target = programs / found.name
        if found.is_file() and not found.parent.name.startswith(("gconv", "perl")):
            if found.is_symlink() and found.name.startswith(_PROGRAM):
                target.symlink_to(_PROGRAM)
            elif not target.exists():
                shutil.copy(found, target)
    place = _PLACE / release
    loader = place / next(programs.glob(_LOADER)).name
    debian.load_from(programs / _PROGRAM, loader, place)
    return programs
