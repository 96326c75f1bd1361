"""The Python of the nixpkgs that ``flake.lock`` names, for ``pytest --pins=nixpkgs``.

``python -m checks.kits.suite.nixpkgs_python`` prints its path: this machine's own of
that version, else Debian's, unpacked once below ``.venv``.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import pytest

from checks.kits.nix import debian

VERSION: Final = "3.13"

_NAME: Final = f"python{VERSION}"
_RELEASE: Final = "trixie"
_PLACE: Final = Path(__file__).resolve().parents[3] / ".venv" / _NAME


def found() -> str:
    """Return the path of the interpreter.

    Raises:
        pytest.UsageError: What is missing here to get it.
    """
    ours = shutil.which(_NAME)
    if ours is not None and _works(ours):
        return ours
    program = _PLACE / "bin" / _NAME
    if not program.exists():
        with tempfile.TemporaryDirectory(dir=_PLACE.parent) as room:
            files = debian.unpack(Path(room), _RELEASE, _NAME) / "usr"
            (loader,) = files.glob("lib/*/ld-linux-*.so.*")
            loads = _PLACE / loader.relative_to(files)
            debian.load_from(files / "bin" / _NAME, loads, loads.parent)
            files.rename(_PLACE)
    return str(program)


def _works(program: str) -> bool:
    """Tell whether it runs; a version manager has names for what it does not have."""
    done = subprocess.run(
        [program, "-I", "-c", "import venv"], check=False, capture_output=True
    )
    return done.returncode == 0


if __name__ == "__main__":
    try:
        print(found())
    except pytest.UsageError as error:
        sys.exit(str(error))
