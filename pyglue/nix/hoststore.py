"""The host's Nix store: importing, building and keeping approved systems.

The only code that uses the host's store, as root and with the host's settings (through
the daemon, if one runs). No code of an agent is evaluated here: the names passed in are
store paths, checked before they become arguments.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pyglue.errors import ErrorCode, HiveError
from pyglue.process import Completed, describe_exit, find_program, run
from pyglue.text.display import visible

STORE: Final = "/nix/store"
_NAME: Final = re.compile(
    r"/nix/store/[0-9abcdfghijklmnpqrsvwxyz]{32}-[0-9A-Za-z+_?=-][0-9A-Za-z+._?=-]{0,206}"
)
_DAEMON: Final = Path("/nix/var/nix/daemon-socket/socket")
_PASSED: Final = ("PATH", "NIX_CONF_DIR", "NIX_CONFIG", "NIX_REMOTE")
_OUTPUT_MAX: Final = 64 * 1024 * 1024


def check_path(path: str) -> str:
    """Return ``path`` if it is a path directly in the store.

    Raises:
        HiveError: ``internal``: no person ever enters such a path.
    """
    if _NAME.fullmatch(path) is None:
        raise HiveError(ErrorCode.INTERNAL, "Not a path of the Nix store.")
    return path


def is_derivation(path: str) -> bool:
    """Return whether ``path`` is the name of a derivation in the store."""
    return path.endswith(".drv") and _NAME.fullmatch(path) is not None


def short_name(path: str) -> str:
    """Return the name of a store path without directory and hash."""
    return path.removeprefix(f"{STORE}/")[33:]


def _environment() -> dict[str, str]:
    found = {name: os.environ[name] for name in _PASSED if name in os.environ}
    if "NIX_REMOTE" not in found and _DAEMON.is_socket():
        found["NIX_REMOTE"] = "daemon"
    return {"HOME": "/var/empty", "LC_ALL": "C.UTF-8", **found}


def _root() -> Path:
    """Return the root of the store named by NIX_REMOTE, if it is a separate one."""
    place = os.environ.get("NIX_REMOTE", "").removeprefix("local?root=")
    return Path(place) if place.startswith("/") else Path("/")


@dataclass(frozen=True)
class HostStore:
    """Calls the host's Nix. ``root`` is where ``/nix/store`` really is."""

    environment: Mapping[str, str] = field(default_factory=_environment)
    root: Path = field(default_factory=_root)

    def real(self, path: str) -> Path:
        """Return where the files of a store path are on this machine."""
        return self.root / check_path(path).removeprefix("/")

    async def call(
        self,
        program: str,
        arguments: Sequence[str],
        *,
        stdin: Path | None = None,
        timeout: float = 600.0,
    ) -> Completed:
        """Run one of Nix's programs on the store.

        Raises:
            HiveError: ``unavailable`` with what Nix said, ``timeout``.
        """
        done = await run(
            [find_program(program), *arguments],
            env=self.environment,
            stdin=stdin,
            timeout=timeout,
            max_output=_OUTPUT_MAX,
        )
        if done.code != 0:
            errors = visible(done.stderr[-2000:].decode("utf-8", "replace"), limit=2000)
            raise HiveError(
                ErrorCode.UNAVAILABLE,
                f"{program} failed with {describe_exit(done.code)}: {errors}",
            )
        return done
