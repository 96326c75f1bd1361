"""How workspaces and ``/shared`` are bound into the sandbox of a local agent.

Used by the local backend. Files of the host keep their owner: where root started the
hive, agents are users of their own, so what is the directory owner's is shown as the
agent's, and what the agent makes is the owner's (``admit``). Root's directories are
shown as they are and never written: root's files would be the agent's. Blocking.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyglue.errors import ErrorCode, HiveError
from pyglue.folder import Folder, Owner
from pyglue.host.backends.admitting import Admitted
from pyglue.process import RunAs
from pyglue.sandbox import Bind
from pyglue.workspaces import Mount

_ROOT: Final = Path("/")


@dataclass(frozen=True)
class WorkspaceBinds:
    """What is bound, and what of it is then shown as the agent's own."""

    binds: tuple[Bind, ...] = ()
    admitted: tuple[Admitted, ...] = ()


def workspace_binds(mounts: tuple[Mount, ...], run_as: RunAs | None) -> WorkspaceBinds:
    """Return how each directory gets into the sandbox of ``run_as``.

    Raises:
        HiveError: ``not_found``; ``forbidden`` for a link in a path, or for writing
            what is root's.
    """
    binds, admitted = [], []
    for mount in mounts:
        owner = owner_of(mount)
        if run_as is not None:
            need_writable_by_others(mount, owner)
        shown = None
        own = mount.name is not None or mount.writable  # all may read what is shared
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
    """Return the user and group of a directory, reached through no link.

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
        HiveError: ``forbidden`` with what to do.
    """
    if mount.writable and 0 in owner:
        raise HiveError(
            ErrorCode.FORBIDDEN,
            f"{what(mount)} belongs to the user or group root, so agents may only read "
            "it. Give it to an ordinary user and group (chown -R USER:GROUP), or "
            'propose access = "read".',
        )


def what(mount: Mount) -> str:
    """Name a directory for a sentence."""
    return (
        str(mount.source)
        if mount.name is None
        else (f"The directory of the workspace {mount.name}, {mount.source},")
    )
