"""A nixpkgs to test with: the stand-in of ``checks/nix`` with hyperhive's lib in it."""

import shutil
from pathlib import Path
from typing import Final

from pyglue.paths import share

STANDIN: Final = Path(__file__).parent.parent.parent / "nix" / "nixpkgs-standin"

# So that its systems can be built in Nix's sandbox: the builders are /bin/sh.
NIX_CONF: Final = """\
build-users-group =
substituters =
sandbox-paths = /bin /usr /lib /lib64
"""


def make_nixpkgs(target: Path) -> Path:
    """Put the stand-in at ``target``, readable by everyone."""
    shutil.copytree(STANDIN, target)
    shutil.copytree(share() / "modules" / "eval", target / "lib" / "eval")
    (target / "lib" / "default.nix").write_text("import ./eval/lite.nix\n")
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return target
