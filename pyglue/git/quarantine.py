"""From an agent's bytes to objects in its applied repository.

``import_pack`` is the only way in: the pack is indexed by ``git index-pack --strict``
in a fresh repository of the host, judged by the checking child, repacked so that
exactly the objects that were checked (and no others) remain, and only then moved to
``applied/<name>.git``. The caller tags the commit afterwards; objects without a tag
are garbage, never a proposal.

Blocking, for ``asyncio.to_thread``; this process never holds a pack in memory.
"""

import contextlib
import logging
import os
import re
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from pyglue import strict_json
from pyglue.errors import ErrorCode, HiveError
from pyglue.git import unpack
from pyglue.git.fence import QUARANTINE
from pyglue.git.filenames import show
from pyglue.git.objects import HEX_SHA, Author
from pyglue.git.repos import AppliedRepo
from pyglue.git.run import run_module
from pyglue.git.skeleton import sync_directory, write_alternate, write_repository
from pyglue.git.spare import CHECK, SpareChild, Waiting
from pyglue.git.verdict import (
    Job,
    PackLimits,
    Passed,
    Refused,
    Unpacking,
    file_max,
    limits_of,
)
from pyglue.strict_json import JsonError

_ERRORS_MAX: Final = 1000
_log = logging.getLogger(__name__)
_CLEAN: Final = re.compile(r"clean-[0-9a-f]{40}\.pack")


@dataclass(frozen=True, kw_only=True)
class CheckedCommit:
    """A commit that may be proposed; its objects are in the applied repository.

    ``message`` and ``author`` are an agent's text, valid UTF-8 and nothing more: escape
    them before showing them. ``parent_main`` is main at the time of the check.
    """

    sha: str
    tree: str
    parent_main: str | None
    author: Author
    message: str
    files: int
    total_bytes: int


def import_pack(
    pack: Path,
    commit: str,
    applied: AppliedRepo,
    *,
    workdir: Path,
    limits: PackLimits | None = None,
    allow_unchanged: bool = False,
    spare: SpareChild | None = None,
) -> CheckedCommit:
    """Check ``commit``, whose objects are in the file ``pack`` or already known.

    ``workdir`` is a directory that only the host can enter; ``allow_unchanged``
    accepts main itself and commits with main's files (a draft's first approval);
    ``spare`` has a checking child that is already started.

    Raises:
        HiveError: ``invalid_commit``, ``invalid_pack``, ``unsafe_tree``,
            ``too_large``, ``not_based_on_main`` (details ``main``) or ``no_change``,
            each with a sentence for the commit's author; ``missing_program``;
            ``unavailable`` when the host's disk is full.
    """
    limits = limits or PackLimits()
    _check_sha(commit)
    _check_size(pack, limits)
    with contextlib.ExitStack() as stack:
        waiting = None
        if spare is not None:
            waiting = spare.take()
            stack.callback(spare.dispose, waiting)
        place = None if waiting is None else waiting.place
        if place is None:
            directory = Path(tempfile.mkdtemp(prefix="pack-", dir=workdir))
            stack.callback(shutil.rmtree, directory)
            write_repository(directory / QUARANTINE, bare=True)
            known = applied.objects
        else:
            directory, known = place.directory, place.objects(applied.objects)
        write_alternate(directory / QUARANTINE, known)
        main = applied.main()
        job = Job(
            objects=str(directory / QUARANTINE / "objects"),
            applied_objects=str(known),
            commit=commit,
            main=main,
            allow_unchanged=allow_unchanged,
            limits=limits,
        )
        passed = _unpacked(pack, directory, job, waiting)
        if passed.new:
            _migrate(_clean(directory), applied, file_max(limits))
    return CheckedCommit(
        sha=commit,
        tree=passed.tree,
        parent_main=main,
        author=Author(passed.author_name, passed.author_email, passed.author_time),
        message=passed.message,
        files=passed.files,
        total_bytes=passed.total_bytes,
    )


def sweep(workdir: Path) -> None:
    """Remove leftovers of a crash from ``workdir``; only while no import is running."""
    for left in workdir.glob("pack-*"):
        shutil.rmtree(left)


def _check_sha(commit: str) -> None:
    if not HEX_SHA.fullmatch(commit):
        raise HiveError(
            ErrorCode.INVALID_COMMIT,
            f"Invalid commit {show(commit, limit=60)}: use the full SHA (40 "
            "lower-case hexadecimal digits) that `git rev-parse HEAD` prints. Branch "
            "and tag names and short SHAs are not accepted.",
        )


def _check_size(pack: Path, limits: PackLimits) -> None:
    """Check the sizes in the pack's own header before unpacking anything."""
    with pack.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        header = stream.read(12)
    if size > limits.max_pack_bytes:
        raise HiveError(
            ErrorCode.TOO_LARGE,
            f"The pack has {size} bytes; the limit is {limits.max_pack_bytes}. Remove "
            "large files from the commit and its history.",
        )
    if len(header) < 12 or header[:4] != b"PACK":
        raise HiveError(
            ErrorCode.INVALID_PACK,
            "The upload is not a git pack. Send the output of git pack-objects.",
        )
    count = int.from_bytes(header[8:12], "big")
    if count > limits.max_objects:
        raise HiveError(
            ErrorCode.TOO_LARGE,
            f"The pack claims {count} objects; the limit is {limits.max_objects}. "
            "Submit a smaller change.",
        )


def _unpacked(pack: Path, directory: Path, job: Job, waiting: Waiting | None) -> Passed:
    """Unpack in ``directory`` and judge: behind a fence the child does both."""
    place = None if waiting is None else waiting.place
    if place is not None:
        shutil.copyfile(pack, directory / "pack")
        place.give(directory)
        inside = Unpacking(pack=str(directory / "pack"), directory=str(directory))
        return _judge(msgspec.structs.replace(job, unpacking=inside), waiting)
    with unpack.Repack(directory / QUARANTINE, directory) as clean:
        unpack.index(pack, directory / QUARANTINE, job.limits)
        passed = _judge(job, waiting)
        if passed.new:
            clean.write(passed.new, job.limits)
    return passed


def _judge(job: Job, waiting: Waiting | None) -> Passed:
    """Run the checking child; if it dies, that is a refusal."""
    encoded, limits = msgspec.json.encode(job), limits_of(job.limits)
    timeout = job.limits.wall_seconds
    if waiting is None:
        ran = run_module(CHECK, encoded, timeout=timeout, limits=limits)
    else:
        ran = waiting.finish(encoded, timeout=timeout, limits=limits)
    if ran.code == 0 and ran.overrun is None:
        try:
            answer = strict_json.read(ran.output, Passed | Refused)
        except JsonError:
            pass
        else:
            if isinstance(answer, Passed):
                return answer
            raise HiveError(answer.code, answer.message, details=answer.details)
    if ran.out_of_resources:
        raise HiveError(
            ErrorCode.TOO_LARGE,
            "Checking the commit took too much time or memory. Submit a smaller "
            "change.",
        )
    errors = show(ran.errors[-_ERRORS_MAX:], limit=_ERRORS_MAX)
    _log.warning("checking a pack failed with exit code %d: %s", ran.code, errors)
    raise HiveError(
        ErrorCode.INVALID_PACK,
        "Checking the commit failed: git did not write its objects. Commit with "
        "regular git and submit again.",
        details={"exit": ran.code},
    )


def _clean(directory: Path) -> Path:
    """Return the one pack of checked objects."""
    packs = [path for path in directory.iterdir() if _CLEAN.fullmatch(path.name)]
    if len(packs) != 1:
        raise _no_pack()
    return packs[0]


def _migrate(pack: Path, applied: AppliedRepo, most: int) -> None:
    """Put the pack and then its index into the applied repository, synced.

    A program behind the fence wrote both, so only plain files are accepted.

    git ignores a pack without an index, and ``AppliedRepo.tidy`` removes it, so a
    crash at any point leaves either nothing or the whole pack.
    """
    target = applied.objects / "pack"
    for source in (pack, pack.with_suffix(".idx")):
        name = source.name.replace("clean-", "pack-")
        if (target / name).exists():
            continue
        with tempfile.NamedTemporaryFile(
            dir=target, prefix="tmp_import_", delete=False
        ) as writer:
            try:
                with _plain(source, most) as reader:
                    shutil.copyfileobj(reader, writer)
                writer.flush()
                os.fchmod(writer.fileno(), 0o444)
                os.fsync(writer.fileno())
                Path(writer.name).rename(target / name)
            except BaseException:
                Path(writer.name).unlink(missing_ok=True)
                raise
        sync_directory(target)


def _plain(path: Path, most: int) -> BinaryIO:
    """Open a file that another user wrote: no link, no device, not too large."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        stream = os.fdopen(os.open(path, flags), "rb")
    except OSError:
        raise _no_pack() from None
    status = os.fstat(stream.fileno())
    if not stat.S_ISREG(status.st_mode) or status.st_size > most:
        stream.close()
        raise _no_pack()
    return stream


def _no_pack() -> HiveError:
    return HiveError(
        ErrorCode.INVALID_PACK,
        "Checking the commit failed: git did not keep its pack. Submit it again.",
    )
