"""The rules for names and paths of workspaces.

The operator names a directory (``services.hyperhive.workspaces`` or ``hive workspace
add``), an agent.nix refers to it by name, and the agent has it at ``/work/NAME``. The
rules apply to both ways; modules/host/checks.nix checks the same ones at evaluation.
Paths are unambiguous: absolute, normal, and without symbolic links, which is checked
each time that one is opened (``nofollow``).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyglue.errors import ErrorCode, HiveError
from pyglue.text.display import visible

NAME_PATTERN: Final = "^[a-z0-9][a-z0-9_-]{0,63}$"
_NAME: Final = re.compile(NAME_PATTERN)
_PLAIN: Final = re.compile(r"(/[^/\0-\x1f\x7f]+)+")
_SYSTEM: Final = tuple(
    map(
        Path,
        (
            *("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/nix", "/proc"),
            *("/run", "/sbin", "/sys", "/usr", "/var/lib/nixos-containers"),
        ),
    )
)
"""Refused with everything below them."""
_SHARED: Final = tuple(
    map(Path, ("/home", "/root", "/tmp", "/var", "/var/lib", "/var/tmp"))  # noqa: S108
)
"""Refused themselves: each contains more than one project, and perhaps keys."""
_INSTEAD: Final = (
    "Use the directory of a project, such as /srv/site or /home/alice/site."
)


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A directory of the host in an agent's container; ``name`` None: ``/shared``."""

    name: str | None
    source: Path
    target: str
    writable: bool


def check_name(name: str) -> str:
    """Return ``name`` if it is a valid name of a workspace.

    Raises:
        HiveError: ``bad_request``.
    """
    if _NAME.fullmatch(name) is None:
        raise _refused(
            f"Invalid workspace name {name[:80]!a}: use 1 to 64 lowercase letters, "
            "digits, - and _, such as site."
        )
    return name


def check_path(path: str, own: Iterable[Path]) -> Path:
    """Return ``path`` if it may be a workspace. It is not opened.

    ``own`` are the hive's own directories.

    Raises:
        HiveError: ``bad_request`` with the rule.
    """
    shown = visible(path, limit=300)
    found = Path(path)
    if _PLAIN.fullmatch(path) is None or ".." in found.parts or str(found) != path:
        raise _refused(
            f"Invalid path {shown!r} of a workspace: use an absolute path below / "
            "without . or .. and without a trailing slash."
        )
    for top in _SYSTEM:
        if found.is_relative_to(top):
            raise _refused(
                f"{shown} cannot be a workspace: it is a directory of the system "
                f"({top}). {_INSTEAD}"
            )
    home = Path.home()
    if found in (*_SHARED, home) or found.parent == Path("/home"):
        raise _refused(
            f"{shown} cannot be a workspace: it contains more than one project, and "
            "perhaps keys. Use a directory inside it."
        )
    if home.is_relative_to(found):
        raise _refused(f"{shown} cannot be a workspace: {home} is in it. {_INSTEAD}")
    hidden = next((part for part in found.parts if part.startswith(".")), None)
    if hidden is not None:
        raise _refused(
            f"{shown} cannot be a workspace: {hidden} is a hidden directory, where "
            f"programs keep keys and settings. {_INSTEAD}"
        )
    for place in own:
        if found.is_relative_to(place) or place.is_relative_to(found):
            raise _refused(
                f"{shown} cannot be a workspace: the hive's own directory is {place}. "
                "Name a directory apart from it."
            )
    return found


def _refused(sentence: str) -> HiveError:
    return HiveError(ErrorCode.BAD_REQUEST, sentence)
