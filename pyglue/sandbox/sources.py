"""Opens the sources of binds into a sandbox, so that no link redirects them.

Used by ``spec``. Agents can write to a source with ``below``, so it is opened with
``nofollow``: no link of an agent can lead out of the hive.
"""

import os
from pathlib import Path

from pyglue.errors import ErrorCode, HiveError
from pyglue.files.nofollow import open_place


def open_source(source: Path, below: Path | None) -> int:
    """Return an O_PATH descriptor of ``source``, a directory, file or socket.

    Raises:
        HiveError: ``not_found``; ``forbidden`` for a link or special file in the path.
    """
    try:
        if below is None:
            return os.open(source, os.O_PATH | os.O_CLOEXEC)
        return open_place(below, source)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise HiveError(
            ErrorCode.NOT_FOUND,
            f"{source} does not exist, and a sandbox needs it. Restore it, or create "
            "the agent again.",
        ) from error
    except OSError as error:
        raise HiveError(
            ErrorCode.UNAVAILABLE,
            f"{source} cannot be opened for a sandbox: {error.strerror}.",
        ) from error
