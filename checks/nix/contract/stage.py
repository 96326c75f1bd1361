"""A test bed for programs of NixOS: a root directory, and fakes that log.

``Stage`` runs a program in bubblewrap, where /etc, /var, /nix, /run and /root are empty
directories of the stage's and every program that it could start logs how it was called.
So the real ``nixos-container`` and its stand-in can be asked the same, and compared.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[3]
FAKES: Final = "/fakes"
"""Where fakes are: ``/fakes/bin``, first on PATH."""

_OWN: Final = ("etc", "var", "nix", "run", "root", "opt")
_NAMES: Final = (
    *("chattr", "ip", "machinectl", "nix", "nix-env", "nixos-container", "nsenter"),
    *("systemctl", "systemd-nspawn"),
)
_FEATURES: Final = ["--extra-experimental-features", "nix-command flakes"]
_FAKE: Final = """\
#!/bin/sh
name=${0##*/}
{
  printf '%s' "$name"
  for word; do printf '\\t%s' "$word"; done
  echo
} >>/root/log
for word; do
  case " $FAIL " in *" $name:$word "*) exit 1 ;; esac
done
case "$name $1" in
  "systemctl show") echo "ActiveState=${ACTIVE-inactive}" ;;
  "machinectl show") if [ -n "$LEADER" ]; then echo "Leader=$LEADER"; fi ;;
  "nix "*)
    while [ "$1" != -o ]; do shift; done
    ln -s /nix/store/built "$2"
    ;;
esac
"""


@dataclass(frozen=True)
class Stage:
    """One root directory; everything in it is gone with ``room``."""

    room: Path

    @classmethod
    def made(cls, room: Path, files: Mapping[str, str]) -> "Stage":
        """Make one below ``room``, with files in it."""
        for name in (*_OWN, "fakes/bin", "run/lock"):
            (room / name).mkdir(parents=True, exist_ok=True)
        for name in _NAMES:
            fake = room / "fakes/bin" / name
            fake.write_text(_FAKE)
            fake.chmod(0o755)
        for name, text in files.items():
            file = room / name.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return cls(room)

    def put_flags(self) -> None:
        """Give the stand-in's start script no flags of a test host's own."""
        flags = self.room / "opt/hive-test/container-flags"
        flags.parent.mkdir(parents=True)
        flags.touch()

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        seen: Sequence[str] = (),
    ) -> "subprocess.CompletedProcess[str]":
        """Run a program on it; ``seen`` are paths of this machine that it needs."""
        shown = ("/usr", *seen)
        words = ["bwrap", "--unshare-all", "--die-with-parent", "--proc", "/proc"]
        words += ["--dev", "/dev", "--chdir", "/root"]
        for name in ("bin", "sbin", "lib", "lib64"):
            words += ["--symlink", f"usr/{name}", f"/{name}"]
        for place in shown:
            words += ["--ro-bind", place, place]
        for name in (*_OWN, "fakes"):
            words += ["--bind", str(self.room / name), f"/{name}"]
        return subprocess.run(
            [*words, "--", *argv],
            env={"PATH": f"{FAKES}/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def log(self) -> list[list[str]]:
        """Return how fakes were called, in order."""
        file = self.room / "root/log"
        lines = file.read_text().splitlines() if file.exists() else []
        calls = [line.split("\t") for line in lines]
        for call in calls:
            # Debian's nix has flakes switched off; a NixOS with flakes has not.
            if call[1:3] == _FEATURES:
                del call[1:3]
        return calls

    def files(self, *below: str) -> dict[str, Any]:
        """Return the text of each file and the mode of each directory; no links."""
        found: dict[str, Any] = {}
        for top in below:
            for path in sorted((self.room / top.lstrip("/")).rglob("*")):
                if path.is_symlink():
                    continue
                name = f"/{path.relative_to(self.room)}"
                mode = f"{path.stat().st_mode & 0o777:04o}"
                found[name] = mode if path.is_dir() else path.read_text()
        return found


def ours() -> tuple[tuple[str, ...], dict[str, str], tuple[str, ...]]:
    """Return what runs our own modules on a stage: argv, environment, paths."""
    places = [str(ROOT), sys.prefix, sys.base_prefix]
    seen = tuple(p for p in dict.fromkeys(places) if not Path(p).is_relative_to("/usr"))
    return (sys.executable, "-P"), {"PYTHONPATH": str(ROOT)}, seen


def perl_paths() -> tuple[str, ...]:
    """Return where Perl finds more modules, as PERL5LIB says."""
    return tuple(p for p in os.environ.get("PERL5LIB", "").split(":") if p)
