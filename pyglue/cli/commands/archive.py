"""``hive export``, ``import`` and ``backup``.

hived streams an archive over its socket and this program writes the file, so the file
belongs to the caller. It gets its final name only when complete.
"""

import argparse
import contextlib
import os
import tempfile
from pathlib import Path
from typing import BinaryIO, Final

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
from pyglue.cli.commands.command import agent_argument
from pyglue.cli.output.answer import Answer
from pyglue.cli.output.spinner import spinner
from pyglue.cli.output.waiting import ended
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import SyncClient
from pyglue.text.display import visible

_CALL_S: Final = 1800.0
_SHOWN: Final = 20


class Written(Result, frozen=True):
    """What ``--json`` prints for a written file."""

    file: str
    bytes: int
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
    with opened(arguments.file) as file, spinner("Uploading") as label:
        while data := file.read(CHUNK_MAX):
            chunk = ImportChunkParams(transfer=handle, data=data)
            SyncClient.call(client, api.IMPORT_CHUNK, chunk)  # we show it ourselves
            sent += len(data)
            label.text = f"Uploading: {sent >> 20} MiB"
    params = ImportParams(transfer=handle, name=arguments.name)
    taken = client.call(api.IMPORT, params, timeout=_CALL_S)
    answer = ended(client, taken.operation)
    text = answer.text + left_out_text(taken.left_out)
    return Answer(answer.result, text, answer.code)


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
        f"bytes.{note}{left_out_text(chunk.left_out)}"
    )
    return Answer(Written(file=str(target), bytes=size, left_out=chunk.left_out), text)


def left_out_text(lines: tuple[str, ...]) -> str:
    """Return the archive's omissions as lines; empty if it is complete."""
    if not lines:
        return ""
    more = len(lines) - _SHOWN
    shown = [f"\n  {visible(line)}" for line in lines[:_SHOWN]]
    rest = f"\n  and {more} more" if more > 0 else ""
    return f"\nLeft out:{''.join(shown)}{rest}"


def opened(name: str) -> BinaryIO:
    """Open an archive.

    Raises:
        HiveError: ``bad_request`` if it cannot be read.
    """
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise HiveError(
            ErrorCode.BAD_REQUEST, f"Cannot read {name}: {error.strerror}."
        ) from error
