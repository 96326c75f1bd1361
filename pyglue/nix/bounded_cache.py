"""The binary cache that a system's evaluation writes: bounded meanwhile, then checked.

An unprivileged program writes it; root's Nix reads it afterwards.
"""

import asyncio
import contextlib
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from pyglue.errors import ErrorCode, HiveError
from pyglue.nix.log import EvalError

_CACHE_MAX: Final = 1024**3
_CACHE_FILES_MAX: Final = 200_000
_WATCH_S: Final = 0.5


@asynccontextmanager
async def watched(output: Path | None) -> AsyncIterator[None]:
    """End the body if it writes too much into ``output``.

    Polled: there is no event for the size of a directory, and RLIMIT_FSIZE only
    limits single files.
    """
    body = asyncio.current_task()
    exceeded = False

    async def watch() -> None:
        nonlocal exceeded
        while output is not None and body is not None:
            await asyncio.sleep(_WATCH_S)
            if await asyncio.to_thread(_size, output) is None:
                exceeded = True
                body.cancel()
                return

    task = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if exceeded and body is not None and body.uncancel() == 0:
            raise too_much() from None
        raise
    finally:
        task.cancel()


def check(cache: Path) -> None:
    """Refuse what must not be read with more rights than it was written with.

    Blocking; nothing may write to it any more.

    Raises:
        EvalError: ``eval_limit``.
        HiveError: ``eval_failed`` for anything but plain files.
    """
    if _size(cache) is None:
        raise too_much()
    _only_plain_files(cache)


def _size(directory: Path) -> int | None:
    """Return the bytes in a directory that is being written; None if too many."""
    total = files = 0
    for above, _, names in os.walk(directory):
        for name in names:
            files += 1
            with contextlib.suppress(OSError):
                total += Path(above, name).lstat().st_size
            if total > _CACHE_MAX or files > _CACHE_FILES_MAX:
                return None
    return total


def _only_plain_files(directory: Path) -> None:
    """Refuse links and special files, which Nix never creates: it reads as root."""
    for above, names, files in os.walk(directory):
        for name in (*names, *files):
            status = Path(above, name).lstat()
            plain = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
            if not plain and not stat.S_ISDIR(status.st_mode):
                raise HiveError(
                    ErrorCode.EVAL_FAILED,
                    "The system of agent.nix produced output that Nix never "
                    "writes; it was refused.",
                )


def too_much() -> EvalError:
    """Return the refusal of a system that writes too much."""
    return EvalError(
        ErrorCode.EVAL_LIMIT,
        f"The system of agent.nix adds more than {_CACHE_MAX // 2**20} MiB or "
        f"{_CACHE_FILES_MAX} files to the store. Remove whatever copies or writes that "
        "much.",
    )
