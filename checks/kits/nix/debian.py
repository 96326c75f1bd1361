"""Programs of other releases of Debian, beside this machine's own.

Packages are fetched with all that they need, as if nothing were installed, and unpacked
into a directory; nothing is installed on this machine.
"""

import subprocess
from pathlib import Path
from typing import Final

import pytest

from checks.systemd.tree import mirror

_KEYS: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def unpack(room: Path, release: str, *packages: str) -> Path:
    """Fetch packages into ``room`` and return the directory that they lie in then.

    Raises:
        pytest.UsageError: What is missing here, or the end of what a program said.
    """
    source = mirror()
    if source is None or not _KEYS.is_file():
        raise pytest.UsageError(
            f"Getting {' '.join(packages)} of Debian's {release} needs apt with a "
            "mirror of Debian and its keys."
        )
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
    run("apt-get", *given, "-q", "update")
    run("apt-get", *given, "-q", "-y", "--download-only", "install", *packages)
    files = room / "files"
    for package in sorted((room / "archives").glob("*.deb")):
        run("dpkg-deb", "--extract", str(package), str(files))
    return files


def load_from(program: Path, loader: Path, libraries: Path) -> None:
    """Make a program start with this loader and find its libraries there first."""
    words = ("--set-interpreter", str(loader), "--force-rpath")
    run("patchelf", *words, "--set-rpath", str(libraries), str(program))


def run(*argv: str) -> str:
    """Run a program and return what it printed.

    Raises:
        pytest.UsageError: It is not here, or the end of what it said when it failed.
    """
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise pytest.UsageError(f"This needs {argv[0]}, which is not here.") from error
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-10:])
        raise pytest.UsageError(f"{' '.join(argv)} failed:\n{said}")
    return done.stdout.strip()
