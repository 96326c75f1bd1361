"""Who can connect to a Unix socket, read from its mode and directories."""

import grp
import pwd
import stat
from pathlib import Path

from pyglue.api.exposure import Listener, ListenerKind


def unix_socket(
    name: str, path: Path, process: str, user: str | None, note: str
) -> Listener:
    """Describe a Unix socket; write access is the right to connect."""
    try:
        found = path.stat()
    except OSError as error:
        return Listener(
            name=name,
            kind=ListenerKind.UNIX,
            address=str(path),
            process=process,
            user=user,
            reach="Nobody: it does not exist.",
            problem=f"Cannot read {path}: {error.strerror}. Restart hived.",
        )
    mode = stat.S_IMODE(found.st_mode)
    owner, group = user_name(found.st_uid), _group(found.st_gid)
    who = [f"user {owner}"]
    if mode & stat.S_IWGRP:
        who.append(f"group {group}")
    world = bool(mode & stat.S_IWOTH) and _open_to_all(path.parent)
    if world:
        who.append("every local user")
    return Listener(
        name=name,
        kind=ListenerKind.UNIX,
        address=str(path),
        process=process,
        user=user,
        mode=f"{mode:04o}",
        owner=owner,
        group=group,
        reach=f"root, {', '.join(who)}. {note}".rstrip(),
        problem="Every local user can connect; remove write access for others."
        if world
        else None,
    )


def _open_to_all(directory: Path) -> bool:
    """Return whether every user can traverse the path to ``directory``."""
    real = directory.resolve()
    return all(one.stat().st_mode & stat.S_IXOTH for one in (real, *real.parents))


def user_name(uid: int) -> str:
    """Return a user's name and number; only the number if there is no name."""
    try:
        return f"{pwd.getpwuid(uid).pw_name} ({uid})"
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        found = grp.getgrgid(gid)
    except KeyError:
        return str(gid)
    members = f": {', '.join(sorted(found.gr_mem))}" if found.gr_mem else ""
    return f"{found.gr_name} ({gid}{members})"
