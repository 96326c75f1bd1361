"""``hive export``, ``import``, ``backup`` and ``restore-backup``.

hived streams an archive over its socket and this program writes the file, so the file
belongs to the caller. It gets its final name only when complete. ``restore-backup``
needs no hived: it creates a state directory that hived can be started on.
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
    BackupParams,
    ExportParams,
    ImportChunkParams,
    ImportParams,
    TransferParams,
)
from pyglue.api.common import NoParams, Result
from pyglue.archive import Index, Kind, Limits, Places, unpack
from pyglue.cli.commands.command import agent_argument
from pyglue.cli.output.answer import Answer
from pyglue.cli.output.spinner import spinner
from pyglue.cli.output.waiting import ended
from pyglue.display import visible
from pyglue.errors import ErrorCode, HiveError
from pyglue.folder import Folder
from pyglue.jsonrpc import SyncClient

_CALL_S: Final = 1800.0
_SHOWN: Final = 20
_ENCRYPTED: Final = b"age-encryption.org/"
_HUGE: Final = 2**50
_RESTORE: Final = Limits(
    entries=4_000_000,
    file_bytes=_HUGE,
    total_bytes=_HUGE,
    index_bytes=1024**3,
)


class Written(Result, frozen=True):
    """What ``--json`` prints for a written file."""

    file: str
    bytes: int
    left_out: tuple[str, ...]


class Restored(Result, frozen=True):
    """What ``--json`` prints for a restored hive."""

    into: str
    version: str
    created_at: float
    left_out: tuple[str, ...]


def export_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``export``."""
    agent_argument(parser)
    _output(parser)
    parser.add_argument(
        "--no-session", action="store_true", help="leave out the CLI's conversations"
    )


def import_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``import``."""
    parser.add_argument("file", metavar="FILE", help="archive to read")
    parser.add_argument(
        "--as",
        dest="name",
        metavar="NAME",
        help="name of the new agent (default: the name in the archive)",
    )


def backup_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``backup``."""
    _output(parser)
    parser.add_argument(
        "--with-secrets",
        action="store_true",
        help="include values of secrets; needs --recipient and the program age",
    )
    parser.add_argument(
        "--recipient",
        metavar="AGE1…",
        help="public key that a backup with secrets is encrypted to",
    )


def restore_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``restore-backup``."""
    parser.add_argument("file", metavar="FILE", help="archive to read")
    parser.add_argument(
        "--into", required=True, metavar="DIR", help="new or empty directory"
    )


def _output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="file to write"
    )


def export(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Export an agent to a file."""
    params = ExportParams(agent=arguments.agent, session=not arguments.no_session)
    handle = client.call(api.EXPORT, params, timeout=_CALL_S).transfer
    return _receive(client, handle, Path(arguments.output), arguments.agent, "")


def backup(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Back up the whole hive to a file."""
    if arguments.with_secrets and not arguments.recipient:
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            "A backup with secrets must be encrypted: name the public key to use, "
            "--recipient age1…. age-keygen makes a pair.",
        )
    if arguments.recipient and not arguments.with_secrets:
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            "--recipient is only for a backup with secrets: add --with-secrets.",
        )
    params = BackupParams(recipient=arguments.recipient)
    handle = client.call(api.BACKUP, params, timeout=_CALL_S).transfer
    note = (
        " It contains conversations and the audit log's key: protect it like a key. "
        "Restore it with hive restore-backup."
    )
    if arguments.with_secrets:
        note = (
            " It contains the values of secrets, and is encrypted. Decrypt it with age "
            "-d -i KEY, then restore it with hive restore-backup."
        )
    return _receive(client, handle, Path(arguments.output), "The hive", note)


def import_agent(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Upload an archive, then wait until its agent awaits approval."""
    handle = client.call(api.IMPORT_BEGIN, NoParams()).transfer
    sent = 0
    with _opened(arguments.file) as file, spinner("Uploading") as label:
        while data := file.read(CHUNK_MAX):
            chunk = ImportChunkParams(transfer=handle, data=data)
            SyncClient.call(client, api.IMPORT_CHUNK, chunk)  # we show it ourselves
            sent += len(data)
            label.text = f"Uploading: {sent >> 20} MiB"
    params = ImportParams(transfer=handle, name=arguments.name)
    taken = client.call(api.IMPORT, params, timeout=_CALL_S)
    answer = ended(client, taken.operation)
    text = answer.text + _left_out(taken.left_out)
    return Answer(answer.result, text, answer.code)


def restore_backup(arguments: argparse.Namespace) -> int:
    """Create a state directory from a backup.

    Raises:
        HiveError: the file or the directory cannot be used; nothing is left behind.
    """
    into = Path(arguments.into).absolute()
    room = _room(into)
    try:
        with spinner("Unpacking"):
            index = _unpacked(arguments.file, room)
        room.rename(into)
    except BaseException as error:
        shutil.rmtree(room, ignore_errors=True)
        if isinstance(error, OSError):
            raise HiveError(
                ErrorCode.UNAVAILABLE, f"Could not create {into}: {error}."
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
        f"Restored the hive of {at:%Y-%m-%d %H:%M:%S}Z to {into}; all file hashes "
        f"match.{_left_out(index.left_out)}\nStart it (hive run --state {into}), then "
        "run: hive audit verify; hive doctor\n"
    )
    return 0


def _unpacked(file: str, room: Path) -> Index:
    files = {name: room / name for name in ("hive.db", "audit.jsonl")}
    with contextlib.ExitStack() as stack:
        top = stack.enter_context(Folder.at(room))
        places = Places(
            trees={
                name: stack.enter_context(top.folder(name, make=0o700))
                for name in ("agents", "applied", "private", "secrets")
            },
            files=files,
            as_stored=os.geteuid() == 0,
            links=True,
        )
        stream = stack.enter_context(_opened(file))
        _refuse_encrypted(stream, file)
        index = unpack(stream, Kind.HIVE, places, _RESTORE)
    for path in files.values():
        if not path.exists():
            raise HiveError(
                ErrorCode.BAD_REQUEST, f"Invalid archive: {path.name} is missing."
            )
    return index


def _refuse_encrypted(stream: BinaryIO, file: str) -> None:
    if stream.read(len(_ENCRYPTED)) == _ENCRYPTED:
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            f"{file} is encrypted. Decrypt it first: age -d -i KEY {file} > "
            "hive-backup.tar.gz, with the private key of its recipient.",
        )
    stream.seek(0)


def _room(into: Path) -> Path:
    """Return a new directory beside ``into``, which must be empty or not exist."""
    try:
        if os.path.lexists(into) and (into.is_symlink() or any(into.iterdir())):
            raise HiveError(
                ErrorCode.CONFLICT,
                f"{into} is not empty. Name an empty directory, or one that does not "
                "exist yet: existing files are never overwritten.",
            )
        return Path(tempfile.mkdtemp(prefix=f".{into.name}.", dir=into.parent))
    except OSError as error:
        raise HiveError(
            ErrorCode.BAD_REQUEST, f"Cannot use {into}: {error.strerror}."
        ) from error


def _receive(
    client: SyncClient, handle: str, target: Path, what: str, note: str
) -> Answer:
    """Write the received data beside ``target``; rename it when complete."""
    params = TransferParams(transfer=handle)
    try:
        descriptor, name = tempfile.mkstemp(
            prefix=f".{target.name}.", dir=target.parent
        )
    except OSError as error:
        raise HiveError(
            ErrorCode.BAD_REQUEST, f"Cannot write {target}: {error.strerror}."
        ) from error
    size = 0
    try:
        with os.fdopen(descriptor, "wb") as file, spinner("Downloading") as label:
            destroy = False
            while not destroy:
                read = api.TRANSFER_READ
                chunk = SyncClient.call(client, read, params, timeout=_CALL_S)
                file.write(chunk.data)
                size += len(chunk.data)
                label.text = f"Downloading: {size >> 20} MiB"
                destroy = chunk.end
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        if isinstance(error, OSError):
            raise HiveError(
                ErrorCode.UNAVAILABLE,
                f"Could not write {target}: {error.strerror or error}.",
            ) from error
        raise
    text = (
        f"{what} was written to {target}: {size} "
        f"bytes.{note}{_left_out(chunk.left_out)}"
    )
    return Answer(Written(file=str(target), bytes=size, left_out=chunk.left_out), text)


def _left_out(lines: tuple[str, ...]) -> str:
    if not lines:
        return ""
    more = len(lines) - _SHOWN
    shown = [f"\n  {visible(line)}" for line in lines[:_SHOWN]]
    rest = f"\n  and {more} more" if more > 0 else ""
    return f"\nLeft out:{''.join(shown)}{rest}"


def _opened(name: str) -> BinaryIO:
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise HiveError(
            ErrorCode.BAD_REQUEST, f"Cannot read {name}: {error.strerror}."
        ) from error
