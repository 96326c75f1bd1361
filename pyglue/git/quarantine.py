"""From bytes that an agent sent to objects in its applied repository.

``import_pack`` is the only door: the pack is indexed by ``git index-pack --strict``
in a fresh repository of the host's own, judged by the checking child, packed anew so
that exactly the objects that were checked (and no others) remain, and only then
moved to ``applied/<name>.git``. The caller tags the commit afterwards; objects
without a tag are garbage, never a proposal.

Blocking, for ``asyncio.to_thread``; this process never holds a pack in memory.
"""

import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from pyglue.errors import ErrorCode, HiveError
from pyglue.git.child import ChildLimits, Ran
from pyglue.git.filenames import show
from pyglue.git.objects import HEX_SHA, Author
from pyglue.git.repos import AppliedRepo
from pyglue.git.run import run_git, run_module
from pyglue.git.skeleton import sync_directory, write_repository
from pyglue.git.spare import CHECK, SpareChild
from pyglue.git.verdict import MIB, Job, PackLimits, Passed, Refused

_FSCK: Final = re.compile(rb"object ([0-9a-f]{40}): ([A-Za-z0-9]{3,40}):")
_MISSING: Final = re.compile(
    rb"(?:did not receive expected object|missing) ([0-9a-f]+)"
)


@dataclass(frozen=True)
class CheckedCommit:
    """A commit that may be proposed; its objects are in the applied repository.

    ``message`` and ``author`` are an agent's text, valid UTF-8 and nothing more:
    whoever shows them escapes them. ``parent_main`` is main as it was when checked.
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
    ``spare`` has a checking child that was started ahead.

    Raises:
        HiveError: ``invalid_commit``, ``invalid_pack``, ``unsafe_tree``,
            ``too_large``, ``not_based_on_main`` (details ``main``) or ``no_change``,
            each with a sentence for the commit's author; ``missing_program``;
            ``unavailable`` when the host's disk is full.
    """
    limits = limits or PackLimits()
    if not HEX_SHA.fullmatch(commit):
        raise HiveError(
            ErrorCode.INVALID_COMMIT,
            f"{show(commit, limit=60)} is not a full commit SHA. Submit the 40 "
            "lower-case hexadecimal digits that `git rev-parse HEAD` prints; branch "
            "and tag names and short SHAs are not accepted.",
        )
    _check_size(pack, limits)
    room = Path(tempfile.mkdtemp(prefix="pack-", dir=workdir))
    try:
        quarantine = room / "repo.git"
        write_repository(quarantine, bare=True, alternate=applied.objects)
        _index(pack, quarantine, limits)
        main = applied.main()
        job = Job(
            objects=str(quarantine / "objects"),
            applied_objects=str(applied.objects),
            commit=commit,
            main=main,
            allow_unchanged=allow_unchanged,
            limits=limits,
        )
        passed = _judge(job, spare)
        if passed.new:
            _migrate(_repack(passed.new, quarantine, room, limits), applied)
    finally:
        shutil.rmtree(room)
    author = Author(passed.author_name, passed.author_email, passed.author_time)
    return CheckedCommit(
        sha=commit,
        tree=passed.tree,
        parent_main=main,
        author=author,
        message=passed.message,
        files=passed.files,
        total_bytes=passed.total_bytes,
    )


def sweep(workdir: Path) -> None:
    """Remove what a crash left in ``workdir``; call it when no import is running."""
    for left in workdir.glob("pack-*"):
        shutil.rmtree(left)


def _check_size(pack: Path, limits: PackLimits) -> None:
    """Refuse by the pack's own header, before any of it is unpacked."""
    with pack.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        header = stream.read(12)
    if size > limits.max_pack_bytes:
        raise HiveError(
            ErrorCode.TOO_LARGE,
            f"The pack has {size} bytes; at most {limits.max_pack_bytes} are "
            "accepted. Remove large files from the commit and its history.",
        )
    if len(header) < 12 or header[:4] != b"PACK":
        raise HiveError(
            ErrorCode.INVALID_PACK,
            "What was sent is not a git pack. Send the output of git pack-objects.",
        )
    count = int.from_bytes(header[8:12], "big")
    if count > limits.max_objects:
        raise HiveError(
            ErrorCode.TOO_LARGE,
            f"The pack says that it has {count} objects; at most "
            f"{limits.max_objects} are accepted. Submit a smaller change.",
        )


def _limits(limits: PackLimits) -> ChildLimits:
    return ChildLimits(
        memory_bytes=limits.memory_bytes,
        cpu_seconds=limits.cpu_seconds,
        file_bytes=limits.max_pack_bytes + limits.max_new_bytes + 8 * MIB,
    )


def _index(pack: Path, quarantine: Path, limits: PackLimits) -> None:
    """Unpack, resolve deltas, hash and fsck every object of the pack."""
    ran = run_git(
        [
            "index-pack",
            "--stdin",
            "--strict",
            "--threads=1",
            f"--max-input-size={limits.max_pack_bytes}",
        ],
        git_dir=quarantine,
        stdin=pack,
        timeout=limits.wall_seconds,
        limits=_limits(limits),
        check=False,
        durable=False,
    )
    if b"No space left on device" in ran.errors:
        raise HiveError(
            ErrorCode.UNAVAILABLE,
            "The host's disk is full, so the pack could not be unpacked. Tell the "
            "operator, and submit again later.",
        )
    if ran.out_of_resources:
        raise HiveError(
            ErrorCode.TOO_LARGE,
            "Unpacking the pack took too much time or memory. Remove large files "
            "from the commit and its history, and submit again.",
        )
    if ran.code != 0:
        raise _index_refusal(ran)


def _index_refusal(ran: Ran) -> HiveError:
    """Say what git refused, from fixed words and SHAs only."""
    fault = _FSCK.search(ran.errors)
    if fault is not None:
        sha, rule = (part.decode("ascii") for part in fault.groups())
        return HiveError(
            ErrorCode.INVALID_PACK,
            f"git's own check refuses object {sha} ({rule}). Commit with an ordinary "
            "git and submit again.",
            details={"object": sha, "fsck": rule},
        )
    missing = _MISSING.search(ran.errors)
    if missing is not None:
        sha = missing.group(1).decode("ascii")
        return HiveError(
            ErrorCode.INVALID_PACK,
            f"The pack lacks object {sha}. Pack everything that the commit reaches "
            "and main does not (git pack-objects --revs, without --thin).",
            details={"object": sha},
        )
    return HiveError(
        ErrorCode.INVALID_PACK,
        "git could not read the pack: it is cut off, damaged, or leans on objects "
        "that it lacks. Send the whole output of git pack-objects --revs, without "
        "--thin.",
    )


def _judge(job: Job, spare: SpareChild | None) -> Passed:
    """Run the checking child; its death is a refusal."""
    encoded, limits = msgspec.json.encode(job), _limits(job.limits)
    timeout = job.limits.wall_seconds
    if spare is None:
        ran = run_module(CHECK, encoded, timeout=timeout, limits=limits)
    else:
        ran = spare.run(encoded, timeout=timeout, limits=limits)
    if ran.code == 0 and ran.overrun is None:
        try:
            answer = msgspec.json.decode(ran.output, type=Passed | Refused)
        except msgspec.DecodeError:
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
    raise HiveError(
        ErrorCode.INVALID_PACK,
        "Checking the commit failed: its objects are not what git writes. Commit "
        "with an ordinary git and submit again.",
        details={"exit": ran.code},
    )


def _repack(
    new: tuple[str, ...], quarantine: Path, room: Path, limits: PackLimits
) -> Path:
    """Write a pack of exactly ``new`` and return it; its index lies beside it."""
    run_git(
        [
            "pack-objects",
            "--quiet",
            "--no-reuse-delta",
            "--no-reuse-object",
            "--window=0",
            str(room / "clean"),
        ],
        git_dir=quarantine,
        stdin="".join(f"{sha}\n" for sha in new).encode("ascii"),
        timeout=limits.wall_seconds,
        limits=_limits(limits),
        durable=False,
    )
    (pack,) = room.glob("clean-*.pack")
    return pack


def _migrate(pack: Path, applied: AppliedRepo) -> None:
    """Put the pack and then its index into the applied repository, synced.

    A pack without an index is not seen by git, and ``AppliedRepo.tidy`` removes it,
    so a crash at any point leaves either nothing or the whole pack.
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
                with source.open("rb") as reader:
                    shutil.copyfileobj(reader, writer)
                writer.flush()
                os.fchmod(writer.fileno(), 0o444)
                os.fsync(writer.fileno())
                Path(writer.name).rename(target / name)
            except BaseException:
                Path(writer.name).unlink(missing_ok=True)
                raise
        sync_directory(target)
