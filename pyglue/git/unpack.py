"""Unpacks a pack into objects to check, and packs the checked objects.

Runs ``git index-pack --strict`` and ``git pack-objects`` on hostile bytes: in the
checking child behind the fence; in the host's process only if there is no fence.
"""

import re
from pathlib import Path
from typing import Final, Self

from pyglue.errors import ErrorCode, HiveError
from pyglue.git.run import expect_success, run_git, start_git
from pyglue.git.verdict import PackLimits, limits_of
from pyglue.process.started import Ran

_FSCK: Final = re.compile(rb"object ([0-9a-f]{40}): ([A-Za-z0-9]{3,40}):")
_MISSING: Final = re.compile(
    rb"(?:did not receive expected object|missing) ([0-9a-f]+)"
)


def index(pack: Path, quarantine: Path, limits: PackLimits) -> None:
    """Unpack, resolve deltas, hash and fsck every object of the pack.

    Raises:
        HiveError: ``invalid_pack``, ``too_large``, ``unavailable``.
    """
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
        limits=limits_of(limits),
        check=False,
        durable=False,
    )
    if b"No space left on device" in ran.errors:
        raise HiveError(
            ErrorCode.UNAVAILABLE,
            "The host's disk is full, so the pack could not be unpacked. Notify the "
            "operator, and submit again later.",
        )
    if ran.out_of_resources:
        raise HiveError(
            ErrorCode.TOO_LARGE,
            "Unpacking the pack took too much time or memory. Remove large files "
            "from the commit and its history, and submit again.",
        )
    if ran.code != 0:
        raise _refusal(ran)


def _refusal(ran: Ran) -> HiveError:
    """Describe git's refusal, using fixed words and SHAs only."""
    fault = _FSCK.search(ran.errors)
    if fault is not None:
        sha, rule = (part.decode("ascii") for part in fault.groups())
        return HiveError(
            ErrorCode.INVALID_PACK,
            f"git's own check rejected object {sha} ({rule}). Commit with regular git "
            "and submit again.",
            details={"object": sha, "fsck": rule},
        )
    missing = _MISSING.search(ran.errors)
    if missing is not None:
        sha = missing.group(1).decode("ascii")
        return HiveError(
            ErrorCode.INVALID_PACK,
            f"The pack is missing object {sha}. Pack everything reachable from the "
            "commit but not from main (git pack-objects --revs, without --thin).",
            details={"object": sha},
        )
    return HiveError(
        ErrorCode.INVALID_PACK,
        "git could not read the pack: it is truncated or damaged, or depends on "
        "objects that it does not contain. Send the complete output of git "
        "pack-objects --revs, without --thin.",
    )


class Repack:
    """Repacks objects of a quarantine; starts git at once, and names the objects later.

    So git starts while another git unpacks: both take longer to start than to work.
    Use it as a context manager.
    """

    def __init__(self, quarantine: Path, directory: Path) -> None:
        self._git = start_git(
            [
                "pack-objects",
                "--quiet",
                "--no-reuse-delta",
                "--no-reuse-object",
                "--window=0",
                str(directory / "clean"),
            ],
            git_dir=quarantine,
            durable=False,
        )

    def write(self, new: tuple[str, ...], limits: PackLimits) -> None:
        """Write a pack of exactly ``new``, with its index, into the directory.

        Raises:
            HiveError: ``timeout``, ``internal``.
        """
        ran = self._git.finish(
            "".join(f"{sha}\n" for sha in new).encode("ascii"),
            timeout=limits.wall_seconds,
            limits=limits_of(limits),
        )
        expect_success("pack-objects", ran)

    def __enter__(self) -> Self:
        """Start git, which waits for its input."""
        return self

    def __exit__(self, *_: object) -> None:
        """End git, if it got no objects."""
        self._git.discard()
