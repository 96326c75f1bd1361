"""Nix of other releases of Debian: ``pytest --nix=RELEASE``.

Each is fetched once, with the libraries that it needs, and unpacked into a directory
below ``.venv/nix``; nothing is installed on this machine. Programs and libraries lie
together there, since an evaluation's sandbox shows nothing else but ``/usr``; patchelf
makes the program load them from there.
"""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import pytest

from checks.systemd.tree import mirror

ROOT: Final = Path(__file__).resolve().parents[3]
RELEASES: Final = {"bookworm": (2, 8), "trixie": (2, 26), "testing": (2, 34)}
"""Each release and the Nix that it has at least; testing moves on."""

_PLACE: Final = ROOT / ".venv" / "nix"
_KEYS: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
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
    return asked and f"nix: {_run(str(made(asked) / _PROGRAM), '--version')} of {asked}"


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
            said = _run(str(done / _PROGRAM), "--version")
            found = tuple(map(int, re.findall(r"\d+", said)))
            if found < RELEASES[release]:
                shutil.rmtree(done)
                raise pytest.UsageError(f"{release} has {said}, which is too old")
    return done


def _make(room: Path, release: str) -> Path:
    """Fetch, unpack and make them load each other, all below ``room``."""
    files, programs = room / "files", room / "programs"
    for package in _fetch(room, release):
        _run("dpkg-deb", "--extract", str(package), str(files))
    programs.mkdir(mode=0o755)
    for found in (*files.glob("usr/bin/nix*"), *files.rglob(f"lib*/**/{_LIBRARY}")):
        target = programs / found.name
        if found.is_file() and not found.parent.name.startswith(("gconv", "perl")):
            if found.is_symlink() and found.name.startswith(_PROGRAM):
                target.symlink_to(_PROGRAM)
            elif not target.exists():
                shutil.copy(found, target)
    loader = next(programs.glob(_LOADER))
    place = _PLACE / release
    words = ("--set-interpreter", str(place / loader.name), "--force-rpath")
    _run("patchelf", *words, "--set-rpath", str(place), str(programs / _PROGRAM))
    return programs


def _fetch(room: Path, release: str) -> list[Path]:
    """Let apt find out what Nix needs of a release, as if nothing were installed."""
    source = mirror()
    if source is None or not _KEYS.is_file():
        raise pytest.UsageError("--nix needs apt with a mirror of Debian and its keys")
    for name in ("lists/partial", "archives/partial"):
        (room / name).mkdir(parents=True)
    (room / "status").touch()
    (room / "sources").write_text(f"deb [signed-by={_KEYS}] {source} {release} main\n")
    settings = {
        "Dir::Etc::sourcelist": room / "sources",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::State": room,
        "Dir::State::status": room / "status",
        "Dir::Cache": room,
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        "APT::Sandbox::User": "",
        "APT::Install-Recommends": "false",
    }
    given = [
        word for key, value in settings.items() for word in ("-o", f"{key}={value}")
    ]
    _run("apt-get", *given, "-q", "update")
    _run("apt-get", *given, "-q", "-y", "--download-only", "install", "nix-bin")
    return sorted((room / "archives").glob("*.deb"))


def _run(*argv: str) -> str:
    """Run a program and return what it printed."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise pytest.UsageError(f"--nix needs {argv[0]}, which is not here") from error
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-10:])
        raise pytest.UsageError(f"{' '.join(argv)} failed:\n{said}")
    return done.stdout.strip()
