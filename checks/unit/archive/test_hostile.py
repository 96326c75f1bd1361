"""Hostile archives: every rule of unpacking refuses."""

import dataclasses
import gzip
import io
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from checks.kits.archive.small import LIMITS, Change, made, read
from pyglue.errors import ErrorCode, HiveError


def kind_of(type_: bytes, target: str = "") -> Change:
    def change(info: tarfile.TarInfo) -> None:
        info.type, info.linkname, info.size = type_, target, 0

    return change


def owned(info: tarfile.TarInfo) -> None:
    info.uid = 2**33


def _nothing() -> bytes:
    """Return an extended header that says nothing, as a member's may begin."""
    info = tarfile.TarInfo("./PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, 0
    return info.tobuf(tarfile.USTAR_FORMAT)


def test_the_kit_makes_good_archives_too(tmp_path: Path) -> None:
    assert read(made(("state/a", b"1", None)), tmp_path).members[0].name == "state/a"


A = ("state/a", b"1", None)
DIRECTORY = ("state/d", b"", kind_of(tarfile.DIRTYPE))
HOSTILE: dict[str, tuple[bytes, str]] = {
    "absolute": (made(("/state/a", b"", None)), "name .* is not allowed"),
    "up": (made(("state/../../a", b"", None)), "name .* is not allowed"),
    "up encoded": (made(("state/%2e%2e/a", b"", None)), "name .* is not allowed"),
    "slash encoded": (made(("state/..%2fa", b"", None)), "name .* is not allowed"),
    "nul": (made(("state/a%00b", b"", None)), "name .* is not allowed"),
    "dot": (made(("state/./a", b"", None)), "name .* is not allowed"),
    "empty part": (made(("state//a", b"", None)), "name .* is not allowed"),
    "not encoded": (made(("state/ö", b"", None)), "extended header|not an archive"),
    "long part": (made(("state/" + "a" * 256, b"", None)), "name .* is not allowed"),
    "long path": (
        made(("state/" + "/".join(["a" * 250] * 12), b"", None)),
        "is not allowed",
    ),
    "too deep": (made(("state/" + "a/" * 80 + "a", b"", None)), "is not allowed"),
    "elsewhere": (made(("etc/passwd", b"", None)), "does not belong in it"),
    "tree as file": (made(("state", b"x", None)), "is not a directory"),
    "file as tree": (made(("record/x", b"", None)), "does not belong in it"),
    "record as directory": (
        made(("record", b"", kind_of(tarfile.DIRTYPE))),
        "is not a file",
    ),
    "symbolic link": (
        made(("state/l", b"", kind_of(tarfile.SYMTYPE, "/etc"))),
        "is a link",
    ),
    "hard link": (
        made(A, ("state/l", b"", kind_of(tarfile.LNKTYPE, "state/a"))),
        "is a link",
    ),
    "device": (made(("state/d", b"", kind_of(tarfile.CHRTYPE))), "neither a file"),
    "block device": (made(("state/d", b"", kind_of(tarfile.BLKTYPE))), "neither a"),
    "pipe": (made(("state/d", b"", kind_of(tarfile.FIFOTYPE))), "neither a file"),
    "sparse": (made(("state/d", b"", kind_of(tarfile.GNUTYPE_SPARSE))), "neither a"),
    "twice": (made(A, A), "it contains 'state/a' twice"),
    "file in the place of a directory": (
        made(DIRECTORY, ("state/d/x", b"", None), ("state/d/x/y", b"", None)),
        "has no directory",
    ),
    "directory that is not there": (made(("state/n/x", b"", None)), "has no directory"),
    "owner": (made(("state/a", b"", owned)), "impossible owner"),
    "too many": (
        made(*((f"state/{n}", b"", None) for n in range(51))),
        "than 50 files",
    ),
    "large file": (made(("state/a", b"0" * 100_001, None)), "more than 100000 bytes"),
    "large in all": (
        made(*((f"state/{n}", b"0" * 90_000, None) for n in range(3))),
        "more than 200000 bytes",
    ),
    "large index": (
        made(A, index={"about": {"x": "y" * 100_001}}),
        "an index that is too large",
    ),
    "no index": (made(A, add_index=False), "it has no index"),
    "odd index": (made(A, index={"more": 1}), "its index cannot be read"),
    "an index of bytes": (made(A, index=b'{"format":"\xff"}'), "cannot be read"),
    "a deep index": (made(A, index=b'{"about":' + b"[" * 5000), "cannot be read"),
    "a key twice": (made(A, index=b'{"format":1,"format":1}'), "cannot be read"),
    "other format": (made(A, index={"format": 2}), "its format is 2"),
    "other kind": (made(A, index={"kind": "hive"}), "it contains a whole hive"),
    "hash": (
        made(A, index={"members": [{"name": "state/a", "size": 1, "sha256": "0"}]}),
        "the hash does not match",
    ),
    "not in the index": (made(A, index={"members": []}), "index does not list"),
    "only in the index": (
        made(index={"members": [{"name": "state/a", "size": 1, "sha256": "0"}]}),
        "is missing",
    ),
    "no gzip": (b"not an archive at all", "truncated or damaged"),
    "nothing": (b"", "no index|truncated"),
    "no tar": (gzip.compress(b"x" * 2000), "not an archive of a hive"),
    "cut off": (made(("state/a", os.urandom(50_000), None))[:30_000], "truncated"),
    "more after it": (made(A) + gzip.compress(b"x"), "data after its index|truncated"),
    "zeros for ever": (
        gzip.compress(gzip.decompress(made(A)) + b"\0" * 2_000_000),
        "data after its index",
    ),
    "headers for ever": (
        gzip.compress(_nothing() * 10_000 + gzip.decompress(made(A))),
        "an unexpected extended header",
    ),
    "much is left out": (
        made(A, index={"left_out": ["x"] * 1002}),
        "lists too many omitted files",
    ),
    "a long line is left out": (
        made(A, index={"left_out": ["x" * 1001]}),
        "lists too many omitted files",
    ),
    "bomb": (
        gzip.compress(gzip.decompress(made(A))[:512].ljust(10_000_000, b"\0")),
        "no index|damaged|between",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused(name: str, tmp_path: Path) -> None:
    data, said = HOSTILE[name]
    with pytest.raises(HiveError, match=said) as refused:
        read(data, tmp_path / "room")
    assert refused.value.code in (ErrorCode.BAD_REQUEST, ErrorCode.TOO_LARGE)
    assert "Nothing was changed." in refused.value.message
    assert [path.name for path in tmp_path.iterdir()] == ["room"]


def test_a_disk_that_would_be_full_is_not_filled(tmp_path: Path) -> None:
    data = made(A)
    free = shutil.disk_usage(tmp_path).free
    read(data, tmp_path / "1", limits=dataclasses.replace(LIMITS, reserve_bytes=1))
    limits = dataclasses.replace(LIMITS, reserve_bytes=2 * free)
    with pytest.raises(
        HiveError, match="The disk is too full for the archive"
    ) as refused:
        read(data, tmp_path / "2", limits=limits)
    assert refused.value.code is ErrorCode.UNAVAILABLE


def extended(records: bytes) -> bytes:
    """Return an archive that begins with an extended header of these bytes."""
    raw = io.BytesIO()
    info = tarfile.TarInfo("./PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, len(records)
    raw.write(info.tobuf(tarfile.USTAR_FORMAT))
    raw.write(records.ljust(-(-len(records) // 512) * 512, b"\0"))
    return gzip.compress(raw.getvalue() + gzip.decompress(made(A)))


@pytest.mark.parametrize(
    "records",
    [
        b"x" * 70_000,
        b"12 path=a\n\n",
        b"99 path=state/a\n",
        b"0 path=state/a\n",
        b"20 GNU.sparse.x=abc\n",
        b"10 size=-\n",
        b"10 path=\xff\n",
        b"15 size=1234567\n",
        b"10 size=9\n10 size=9\n",
        b"28 size=9999999999999999999\n",
    ],
)
def test_an_extended_header_that_is_not_ours_is_refused(
    records: bytes, tmp_path: Path
) -> None:
    with pytest.raises(HiveError):
        read(extended(records), tmp_path)


def test_a_link_that_is_allowed_leads_no_later_member_out(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = ("state/l", b"", kind_of(tarfile.SYMTYPE, str(outside)))
    through = made(link, ("state/l/x", b"1", None))
    with pytest.raises(HiveError, match="has no directory"):
        read(through, tmp_path / "room", links=True)
    over = made(link, ("state/l", b"1", None))
    with pytest.raises(HiveError, match="twice"):
        read(over, tmp_path / "other", links=True)
    assert not any(outside.iterdir())


def test_the_mode_grants_nothing_special(tmp_path: Path) -> None:
    def special(info: tarfile.TarInfo) -> None:
        info.mode = 0o6755

    read(made(("state/a", b"1", special)), tmp_path)
    assert (tmp_path / "state" / "a").stat().st_mode & 0o7777 == 0o755
