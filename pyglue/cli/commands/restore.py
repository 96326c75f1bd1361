"""``hive restore-backup``: creates a state directory from a backup, without hived.

Unless it is complete and every hash matches, nothing remains.
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

from pyglue.api.common import Result
from pyglue.archive import Index, Kind, Limits, Places, unpack
from pyglue.cli.commands.archive import left_out_text, opened
from pyglue.cli.output.spinner import spinner
from pyglue.errors import ErrorCode, HiveError
from pyglue.files.directory import Folder

_ENCRYPTED: Final = b"age-encryption.org/"
_HUGE: Final = 2**50
_RESTORE: Final = Limits(
    entries=4_000_000,
    file_bytes=_HUGE,
    total_bytes=_HUGE,
    index_bytes=1024**3,
)


class Restored(Result, frozen=True):
    """What ``--json`` prints for a restored hive."""

    into: str
    version: str
    created_at: float
    left_out: tuple[str, ...]


def restore_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``restore-backup``."""
    parser.add_argument("file", metavar="FILE", help="archive to read")
    parser.add_argument(
        "--into", required=True, metavar="DIR", help="new or empty directory"
    )


def restore_backup(arguments: argparse.Namespace) -> int:
    """Create a state directory from a backup.

    Raises:
        HiveError: the file or the directory cannot be used; nothing remains.
    """
    into = Path(arguments.into).absolute()
    fresh = _new_directory(into)
    try:
        with spinner("Unpacking"):
            index = _unpacked(arguments.file, fresh)
        fresh.rename(into)
    except BaseException as error:
        shutil.rmtree(fresh, ignore_errors=True)
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
        f"match.{left_out_text(index.left_out)}\n"
        f"Start it (hive run --state {into}), then run: hive audit verify; "
        "hive doctor\n"
    )
    return 0


def _unpacked(file: str, fresh: Path) -> Index:
    files = {name: fresh / name for name in ("hive.db", "audit.jsonl")}
    with contextlib.ExitStack() as stack:
        top = stack.enter_context(Folder.at(fresh))
        places = Places(
            trees={
                name: stack.enter_context(top.folder(name, make=0o700))
                for name in ("agents", "applied", "private", "secrets")
            },
            files=files,
            as_stored=os.geteuid() == 0,
            links=True,
        )
        stream = stack.enter_context(opened(file))
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


def _new_directory(into: Path) -> Path:
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
