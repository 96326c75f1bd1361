"""Transfers of archives over the operator's socket, in both directions.

A thread writes an outgoing archive into a pipe that the caller's reads drain: a slow
caller slows it down, a disconnect ends it, and no copy is stored on disk. An incoming
archive is a file in the quarantine until it is complete. Both end with their
connection.
"""

import asyncio
import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from pyglue.api.archive import CHUNK_MAX, TransferChunk
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import Connection

_OPEN_MAX: Final = 2
UPLOAD_MAX: Final = 4 * 1024**3
"""Largest accepted archive, in bytes."""
RESERVE: Final = 512 * 1024**2
"""Disk space that an incoming archive must leave free, in bytes."""

Write = Callable[[BinaryIO], list[str]]
"""Writes an archive, and returns what was left out."""


@dataclass(kw_only=True)
class _Download:
    read: int
    writing: Future[list[str]]
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    gone: bool = False


@dataclass
class _Upload:
    file: BinaryIO
    path: Path
    size: int = 0


class Transfers:
    """All current transfers."""

    def __init__(self, quarantine: Path) -> None:
        self._quarantine = quarantine
        self._downloads: dict[str, _Download] = {}
        self._uploads: dict[str, _Upload] = {}
        # For each open transfer, one thread writes a pipe and another reads it.
        self._threads = ThreadPoolExecutor(2 * _OPEN_MAX, thread_name_prefix="archive")

    def send(self, write: Write, to: Connection) -> str:
        """Begin an outgoing archive for a connection.

        Raises:
            HiveError: ``too_many``.
        """
        self.check_count()
        read, end = os.pipe2(os.O_CLOEXEC)
        handle = uuid.uuid4().hex
        writing = self._threads.submit(_written, write, end)
        self._downloads[handle] = _Download(read=read, writing=writing)
        to.on_close(lambda: self.drop(handle))
        return handle

    async def read(self, handle: str) -> TransferChunk:
        """Return the next bytes; the last ones when the archive is complete.

        Raises:
            HiveError: ``not_found``; the reason why it could not be completed.
        """
        found = self._downloads.get(handle)
        if found is None:
            raise _no_such()
        loop = asyncio.get_running_loop()
        async with found.busy:
            if found.gone:
                raise _no_such()
            reading = loop.run_in_executor(self._threads, _filled, found.read)
            try:
                data = await asyncio.shield(reading)
            except asyncio.CancelledError:
                found.gone = True
                reading.add_done_callback(lambda _done: os.close(found.read))
                self._downloads.pop(handle, None)
                raise
            if handle not in self._downloads:  # dropped while it was being read
                os.close(found.read)
                raise _no_such()
        if len(data) == CHUNK_MAX:
            return TransferChunk(data=data, end=False)
        self.drop(handle)
        left_out = await asyncio.wrap_future(found.writing)
        return TransferChunk(data=data, end=True, left_out=tuple(left_out))

    def receive(self, of: Connection) -> str:
        """Begin an incoming archive from a connection.

        Raises:
            HiveError: ``too_many``.
        """
        self.check_count()
        descriptor, name = tempfile.mkstemp(prefix="archive-", dir=self._quarantine)
        file = os.fdopen(descriptor, "wb")
        handle = uuid.uuid4().hex
        self._uploads[handle] = _Upload(file, Path(name))
        of.on_close(lambda: self.drop(handle))
        return handle

    def add(self, handle: str, data: bytes) -> None:
        """Add bytes to an incoming archive; too many end the transfer.

        Raises:
            HiveError: ``not_found``; ``too_large``; ``unavailable``.
        """
        found = self._uploads.get(handle)
        if found is None:
            raise _no_such()
        found.size += len(data)
        if found.size > UPLOAD_MAX:
            self.drop(handle)
            raise HiveError(
                ErrorCode.TOO_LARGE, f"The archive exceeds {UPLOAD_MAX} bytes."
            )
        if shutil.disk_usage(self._quarantine).free < RESERVE + len(data):
            self.drop(handle)
            raise HiveError(
                ErrorCode.UNAVAILABLE,
                f"The disk is too full for the archive: {RESERVE // 2**20} MiB must "
                "stay free.",
            )
        try:
            found.file.write(data)
        except OSError as error:
            self.drop(handle)
            raise HiveError(
                ErrorCode.UNAVAILABLE, f"Could not store the archive: {error}."
            ) from error

    def taken(self, handle: str) -> Path:
        """Return the incoming archive; ``drop`` removes it.

        Raises:
            HiveError: ``not_found``.
        """
        found = self._uploads.get(handle)
        if found is None:
            raise _no_such()
        found.file.flush()
        return found.path

    def drop(self, handle: str) -> None:
        """Remove a transfer. Idempotent."""
        upload = self._uploads.pop(handle, None)
        if upload is not None:
            with contextlib.suppress(OSError):
                upload.file.close()
            upload.path.unlink(missing_ok=True)
        download = self._downloads.pop(handle, None)
        if download is not None and not download.gone:
            download.gone = True
            if not download.busy.locked():
                os.close(download.read)

    async def close(self) -> None:
        """End all transfers; return when no thread is left."""
        for handle in (*self._uploads, *self._downloads):
            self.drop(handle)
        await asyncio.to_thread(self._threads.shutdown)

    def check_count(self) -> None:
        """Refuse a transfer beyond the limit.

        Raises:
            HiveError: ``too_many``.
        """
        if len(self._uploads) + len(self._downloads) >= _OPEN_MAX:
            raise HiveError(
                ErrorCode.TOO_MANY,
                f"There are already {_OPEN_MAX} transfers; wait until one has "
                "finished.",
            )


def _written(write: Write, end: int) -> list[str]:
    with os.fdopen(end, "wb") as stream:
        try:
            return write(stream)
        except BrokenPipeError as error:
            raise HiveError(
                ErrorCode.CANCELLED, "Closed after a time without a reader."
            ) from error
        except OSError as error:
            raise HiveError(
                ErrorCode.UNAVAILABLE, f"Could not write the archive: {error}."
            ) from error


def _filled(descriptor: int) -> bytes:
    """Read until a chunk is full, or the writer has finished."""
    parts = []
    left = CHUNK_MAX
    while left and (data := os.read(descriptor, left)):
        parts.append(data)
        left -= len(data)
    return b"".join(parts)


def _no_such() -> HiveError:
    return HiveError(
        ErrorCode.NOT_FOUND,
        "Unknown transfer: it expired or never existed. Begin again.",
    )
