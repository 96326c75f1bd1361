"""``hive export``, ``import``, ``backup`` and ``restore-backup``.

hived streams an archive over its socket and this program writes the file, so that it
belongs to who asked for it. It gets its name only when it is whole. ``restore-backup``
needs no hived: it makes a state directory that one can be started on.
"""

import argparse
import contextlib
import datetime
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from pyglue.api import operator as api
from pyglue.api.archive import (
    CHUNK_MAX,
    ExportParams,
    ImportChunkParams,
    ImportParams,
    TransferParams,
)
from pyglue.api.common import NoParams, Result
from pyglue.archive import Index, Kind, Limits, Places, unpack
from pyglue.beneath import Folder
from pyglue.cli.output.answer import Answer
from pyglue.cli.output.spinner import patience
from pyglue.cli.output.waiting import ended
from pyglue.display import visible
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import SyncClient

_CALL_S: Final = 1800.0
_SHOWN: Final = 20
_HUGE: Final = 2**50
_RESTORE: Final = Limits(
    entries=4_000_000,
    file_bytes=_HUGE,
    total_bytes=_HUGE,
    index_bytes=1024**3,
)


class Written(Result, frozen=True):
    """What ``--json`` prints of a file that was written."""

    file: str
    bytes: int
    left_out: tuple[str, ...]


class Restored(Result, frozen=True):
    """What ``--json`` prints of a hive that was restored."""

    into: str
    version: str
    created_at: float
    left_out: tuple[str, ...]


def export_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``export`` takes."""
    parser.add_argument("agent", metavar="NAME")
    _output(parser)
    parser.add_argument(
        "--no-session", action="store_true", help="without the CLI's conversations"
    )


def import_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``import`` takes."""
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--as", dest="name", metavar="NAME", help="call it that")


def backup_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``backup`` takes."""
    _output(parser)


def restore_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``restore-backup`` takes."""
    parser.add_argument("file", metavar="FILE")
    parser.add_argument(
        "--into", required=True, metavar="DIR", help="empty or not there"
    )


def _output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", required=True, metavar="FILE")


def export(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Write an agent into a file."""
    params = ExportParams(agent=arguments.agent, session=not arguments.no_session)
    handle = client.call(api.EXPORT, params, timeout=_CALL_S).transfer
    return _receive(client, handle, Path(arguments.output), arguments.agent, "")


def backup(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Write the whole hive into a file."""
    handle = client.call(api.BACKUP, NoParams(), timeout=_CALL_S).transfer
    note = (
        " It holds conversations and the key of the audit log: keep it as you keep "
        "keys. Restore it with hive restore-backup."
    )
    return _receive(client, handle, Path(arguments.output), "The hive", note)


def import_agent(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Send an archive, and wait until what is in it waits for an approval."""
    handle = client.call(api.IMPORT_BEGIN, NoParams()).transfer
    sent = 0
    with _opened(arguments.file) as file, patience("Sending it") as sign:
        while data := file.read(CHUNK_MAX):
            chunk = ImportChunkParams(transfer=handle, data=data)
            SyncClient.call(client, api.IMPORT_CHUNK, chunk)  # we show it ourselves
            sent += len(data)
            sign.text = f"Sending it: {sent >> 20} MiB"
    params = ImportParams(transfer=handle, name=arguments.name)
    taken = client.call(api.IMPORT, params, timeout=_CALL_S)
    answer = ended(client, taken.operation)
    text = answer.text + _left_out(taken.left_out)
    return Answer(answer.result, text, answer.code)


def restore_backup(arguments: argparse.Namespace) -> int:
    """Make a state directory from a backup.

    Raises:
        HiveError: what is wrong with the file or the directory; nothing is left then.
    """
    into = Path(arguments.into).absolute()
    room = _room(into)
    try:
        with patience("Unpacking it"):
            index = _unpacked(arguments.file, room)
        room.rename(into)
    except BaseException as error:
        shutil.rmtree(room, ignore_errors=True)
        if isinstance(error, OSError):
            raise HiveError(
                ErrorCode.UNAVAILABLE, f"{into} could not be made: {error}."
            ) from error
        raise
    os.sync()
    restored = Restored(
        into=str(into),
        version=index.version,
        created_at=index.created_at,
        left_out=index.left_out,
    )
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(restored).decode() + "\n")
        return 0
    at = datetime.datetime.fromtimestamp(index.created_at, datetime.UTC)
    sys.stdout.write(
        f"{into} is the hive of {at:%Y-%m-%d %H:%M:%S}Z, every file with the "
        f"hash it had.{_left_out(index.left_out)}\nStart a hive on it (hive run "
        f"--state {into}), then run: hive audit verify; hive doctor\n"
    )
    return 0


def _unpacked(file: str, room: Path) -> Index:
    files = {name: room / name for name in ("hive.db", "audit.jsonl")}
    with contextlib.ExitStack() as stack:
        top = stack.enter_context(Folder.at(room))
        places = Places(
            trees={
                name: stack.enter_context(top.folder(name, make=0o700))
                for name in ("agents", "applied", "private")
            },
            files=files,
            as_stored=os.geteuid() == 0,
            links=True,
        )
        stream = stack.enter_context(_opened(file))
        index = unpack(stream, Kind.HIVE, places, _RESTORE)
    for path in files.values():
        if not path.exists():
            raise HiveError(
                ErrorCode.BAD_REQUEST, f"The archive is refused: it lacks {path.name}."
            )
    return index


def _room(into: Path) -> Path:
    """Return a new directory beside ``into``, which must be empty or not there."""
    try:
        if os.path.lexists(into) and (into.is_symlink() or any(into.iterdir())):
            raise HiveError(
                ErrorCode.CONFLICT,
                f"{into} is not empty. Name a directory that is, or that is not there: "
                "nothing is ever written over.",
            )
        return Path(tempfile.mkdtemp(prefix=f".{into.name}.", dir=into.parent))
    except OSError as error:
        raise HiveError(
            ErrorCode.BAD_REQUEST, f"{into} cannot be used: {error.strerror}."
        ) from error


def _receive(
    client: SyncClient, handle: str, target: Path, what: str, note: str
) -> Answer:
    """Write what is sent beside ``target``, and give it its name when it is whole."""
    params = TransferParams(transfer=handle)
    try:
        descriptor, name = tempfile.mkstemp(
            prefix=f".{target.name}.", dir=target.parent
        )
    except OSError as error:
        raise HiveError(
            ErrorCode.BAD_REQUEST, f"{target} cannot be written: {error.strerror}."
        ) from error
    size = 0
    try:
        with os.fdopen(descriptor, "wb") as file, patience("Writing it") as sign:
            destroy = False
            while not destroy:
                read = api.TRANSFER_READ
                chunk = SyncClient.call(client, read, params, timeout=_CALL_S)
                file.write(chunk.data)
                size += len(chunk.data)
                sign.text = f"Writing it: {size >> 20} MiB"
                destroy = chunk.end
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        if isinstance(error, OSError):
            raise HiveError(
                ErrorCode.UNAVAILABLE, f"{target} could not be written: {error}."
            ) from error
        raise
    text = f"{what} is in {target}: {size} bytes.{note}{_left_out(chunk.left_out)}"
    return Answer(Written(file=str(target), bytes=size, left_out=chunk.left_out), text)


def _left_out(lines: tuple[str, ...]) -> str:
    if not lines:
        return ""
    more = len(lines) - _SHOWN
    shown = [f"\n  {visible(line)}" for line in lines[:_SHOWN]]
    rest = f"\n  and {more} more" if more > 0 else ""
    return f"\nNot in it:{''.join(shown)}{rest}"


def _opened(name: str) -> BinaryIO:
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise HiveError(
            ErrorCode.BAD_REQUEST, f"{name} cannot be read: {error.strerror}."
        ) from error
