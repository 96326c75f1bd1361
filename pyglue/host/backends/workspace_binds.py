"""Binds of workspaces and ``/shared`` in the sandbox of a local agent.

Used by the local backend. Files of the host keep their owner. If root started the hive,
agents have their own users: files of the directory's owner appear as the agent's, and
the agent's new files belong to that owner (``admit``). Root's directories are bound
unmapped and read-only: otherwise the agent would own root's files. Blocking.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyglue.errors import ErrorCode, HiveError
from pyglue.files.directory import Folder, Owner
from pyglue.files.workspaces import Mount
from pyglue.host.backends.admitting import Admitted
from pyglue.process import RunAs
from pyglue.sandbox import Bind

_ROOT: Final = Path("/")


@dataclass(frozen=True)
class WorkspaceBinds:
    """The binds, and those among them that are mapped to the agent's user."""

    binds: tuple[Bind, ...] = ()
    admitted: tuple[Admitted, ...] = ()


def workspace_binds(mounts: tuple[Mount, ...], run_as: RunAs | None) -> WorkspaceBinds:
    """Return the binds of all directories in the sandbox of ``run_as``.

    Raises:
        HiveError: ``not_found``; ``forbidden`` for a link in a path, or for write
            access to root's files.
    """
    binds, admitted = [], []
    for mount in mounts:
        owner = owner_of(mount)
        if run_as is not None:
            need_writable_by_others(mount, owner)
        shown = None
        own = mount.name is not None or mount.writable  # everyone may read /shared
        if own and run_as is not None and owner[0] not in (0, run_as.uid):
            shown = (mount.target, owner, (run_as.uid, run_as.gid), mount.writable)
            admitted.append(shown)
        binds.append(
            Bind(
                source=mount.source,
                target=mount.target,
                writable=mount.writable and shown is None,
                below=_ROOT,
            )
        )
    return WorkspaceBinds(tuple(binds), tuple(admitted))


def owner_of(mount: Mount) -> Owner:
    """Return the user and group of a directory, following no links.

    Raises:
        HiveError: ``not_found``, ``forbidden``, ``unavailable``.
    """
    try:
        with Folder.at(_ROOT, mount.source) as folder:
            return (folder.status.st_uid, folder.status.st_gid)
    except FileNotFoundError as error:
        raise HiveError(
            ErrorCode.NOT_FOUND, f"{what(mount)} does not exist. Create it again."
        ) from error
    except HiveError as error:
        raise HiveError(
            ErrorCode.FORBIDDEN,
            f"{what(mount)} is not a directory, or its path contains a symbolic link: "
            "use the directory's real path.",
        ) from error
    except OSError as error:
        raise HiveError(
            ErrorCode.UNAVAILABLE, f"{what(mount)} cannot be opened: {error.strerror}."
        ) from error


def need_writable_by_others(mount: Mount, owner: Owner) -> None:
    """Refuse to let an agent write as root.

    Raises:
        HiveError: ``forbidden``.
    """
    if mount.writable and 0 in owner:
        raise HiveError(
            ErrorCode.FORBIDDEN,
            f"{what(mount)} belongs to the user or group root, so agents may only read "
            "it. Give it to an ordinary user and group (chown -R USER:GROUP), or "
            'propose access = "read".',
        )


def what(mount: Mount) -> str:
    """Return a directory's description for a sentence."""
    return (
        str(mount.source)
        if mount.name is None
        else (f"The directory of the workspace {mount.name}, {mount.source},")
    )
