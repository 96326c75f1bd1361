"""Archives: what is written comes back, and every rule of unpacking refuses."""

import dataclasses
import gzip
import hashlib
import io
import os
import shutil
import socket
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pyglue.archive import INDEX, Index, Kind, Limits, Places, Writer, unpack, writer
from pyglue.archive.masked import Masked
from pyglue.errors import ErrorCode, HiveError
from pyglue.folder import Folder

LIMITS = Limits(
    entries=50, file_bytes=100_000, total_bytes=200_000, index_bytes=100_000
)


def written(top: Path, *, links: bool = False, **more: bytes) -> bytes:
    """Return an archive of a tree ``state`` and of files."""
    stream = io.BytesIO()
    writer = Writer(
        stream, Kind.AGENT, file_max=50_000, entries_max=1000, total_max=200_000
    )
    for name, data in more.items():
        writer.add_bytes(name, data)
    with Folder.at(top) as folder:
        writer.add_tree("state", folder, links=links)
    writer.finish({"name": "alice"})
    return stream.getvalue()


@contextmanager
def places(room: Path, *, links: bool = False) -> Iterator[Places]:
    """Return where members go in an empty room."""
    (room / "state").mkdir(parents=True)
    files = {"record": room / "record"}
    with Folder.at(room / "state") as state:
        yield Places(trees={"state": state}, files=files, links=links)


def read(
    data: bytes, room: Path, *, links: bool = False, limits: Limits = LIMITS
) -> Index:
    """Unpack into an empty room."""
    with places(room, links=links) as into:
        return unpack(io.BytesIO(data), Kind.AGENT, into, limits)


def test_values_of_secrets_are_starred_wherever_they_begin(tmp_path: Path) -> None:
    """Also across the pieces in which a file is read; sizes stay."""
    value, size = b"tok-12345678", 1024 * 1024
    data = bytearray(b"." * (3 * size))
    for begin in (0, size - 5, 2 * size - len(value), 3 * size - len(value)):
        data[begin : begin + len(value)] = value
    masked = Masked(io.BytesIO(bytes(data)), {value: b"*" * len(value)})
    found = b"".join(iter(lambda: masked.read(16 * 1024), b""))
    assert len(found) == len(data) and value not in found
    assert found.count(b"*") == 4 * len(value)


def test_a_tree_comes_back_whatever_its_names_are(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "deep" / ("d" * 200)).mkdir(parents=True)
    files = {
        b"plain": b"text",
        b"deep/" + b"d" * 200 + b"/" + b"n" * 200: b"long",
        b"new\nline and \xff%41": b"odd",
        "sch\u00f6n \u202e".encode(): b"",
    }
    for name, content in files.items():
        Path(os.fsdecode(os.fsencode(top) + b"/" + name)).write_bytes(content)
    (top / "plain").chmod(0o640)
    index = read(written(top, record=b"{}"), tmp_path / "room")
    out = os.fsencode(tmp_path / "room" / "state")
    for name, content in files.items():
        assert Path(os.fsdecode(out + b"/" + name)).read_bytes() == content
    assert (tmp_path / "room" / "state" / "plain").stat().st_mode & 0o7777 == 0o640
    assert (tmp_path / "room" / "record").read_bytes() == b"{}"
    assert index.about == {"name": "alice"}
    assert index.left_out == ()
    assert len(index.members) == 5


def test_what_is_special_or_leads_elsewhere_is_left_out(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    (top / "link").symlink_to("/etc/passwd")
    (top / "up").symlink_to("..")
    os.mkfifo(top / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(top / "sock"))
        (top / "large").write_bytes(b"x" * 50_001)
        deep = top
        for _ in range(70):
            deep = deep / "d"
            deep.mkdir()
        limits = dataclasses.replace(LIMITS, entries=100)
        index = read(written(top), tmp_path / "room", limits=limits)
    assert sorted(line.split(":")[0] for line in index.left_out) == [
        "state/" + "/".join("d" * 64),
        "state/large",
        "state/link",
        "state/pipe",
        "state/sock",
        "state/up",
    ]
    assert index.members == ()


def test_what_lies_too_deep_to_name_is_left_out_and_told_briefly(
    tmp_path: Path,
) -> None:
    """No path names it, but an agent can make it, and thousands of it."""
    top = tmp_path / "top"
    top.mkdir()
    above = os.open(top, os.O_DIRECTORY)
    for _ in range(14):
        os.mkdir("\u00f6" * 100, dir_fd=above)  # 600 letters in an archive
        below = os.open("\u00f6" * 100, os.O_DIRECTORY, dir_fd=above)
        os.close(above)
        above = below
    os.close(above)
    index = read(written(top), tmp_path / "room")
    (line,) = index.left_out
    assert line.endswith(": its path is too long")
    assert len(line) < 700
    shutil.rmtree(top)


def test_more_names_than_an_index_holds_are_refused_with_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tmp_path / "top"
    (top / "many").mkdir(parents=True)
    for number in range(20):
        (top / "many" / f"{number:0100}").touch()
    monkeypatch.setitem(writer._INDEX_MAX, Kind.AGENT, 2000)
    with pytest.raises(HiveError, match=r"stopped in state/many/0+\d+\.") as refused:
        written(top)
    assert refused.value.code is ErrorCode.TOO_LARGE


def test_links_are_kept_as_they_are_where_they_are_wanted(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    (top / "link").symlink_to("/etc/" + "x" * 300)
    read(written(top, links=True), tmp_path / "room", links=True)
    link = tmp_path / "room" / "state" / "link"
    assert str(link.readlink()) == "/etc/" + "x" * 300
    with pytest.raises(HiveError, match="is a link"):
        read(written(top, links=True), tmp_path / "other")


def test_a_file_made_of_holes_is_not_read(tmp_path: Path) -> None:
    """A thousand files of 60 GiB that take nothing: all is told, nothing read."""
    top = tmp_path / "top"
    top.mkdir()
    for number in range(1000):
        with (top / f"{number}").open("wb") as file:
            file.truncate(60 * 1024**3)
    with (top / "some").open("wb") as file:  # a few holes, as databases have them
        file.write(b"x" * 30_000)
        file.truncate(49_000)
    archive = Writer(
        io.BytesIO(), Kind.HIVE, file_max=2**40, entries_max=2000, total_max=2**60
    )
    with Folder.at(top) as folder:
        archive.add_tree("agents/alice", folder, links=True)
    archive.finish({})
    assert sum(m.size for m in archive._members if m.name != INDEX) == 49_000
    assert len(archive.left_out) == 1000
    assert archive.left_out[0].endswith("bytes are holes")


def test_one_file_of_many_names_is_not_read_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "AGAIN_MAX", 5000)
    top = tmp_path / "top"
    top.mkdir()
    (top / "0").write_bytes(b"x" * 1000)
    for number in range(1, 40):
        os.link(top / "0", top / f"{number}")
    index = read(written(top), tmp_path / "room", limits=LIMITS)
    assert len(index.members) == 6
    assert len(index.left_out) == 34
    assert index.left_out[0].endswith("it is a hard link to state/0")


def test_an_archive_holds_no_more_than_a_total(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    for number in range(6):
        (top / f"{number}").write_bytes(b"x" * 45_000)
    index = read(written(top), tmp_path / "room")
    assert len(index.members) == 4
    assert index.left_out == tuple(
        f"state/{n}: the limit of 200000 bytes is exceeded" for n in (4, 5)
    )


# --- hostile archives -----------------------------------------------------------------

Change = Callable[[tarfile.TarInfo], None]


def made(
    *members: tuple[str, bytes, Change | None],
    index: Mapping[str, Any] | bytes | None = None,
    add_index: bool = True,
) -> bytes:
    """Return an archive of these members with an index that agrees with them."""
    raw = io.BytesIO()
    said = []
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data, change in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            if change is not None:
                change(info)
            tar.addfile(info, io.BytesIO(data))
            if info.isreg():
                digest = hashlib.sha256(data).hexdigest()
                said.append({"name": name, "size": len(data), "sha256": digest})
        whole = {
            "format": 1,
            "kind": "agent",
            "version": "1",
            "created_at": 1.0,
            "about": {},
            "members": said,
            **(index if isinstance(index, Mapping) else {}),
        }
        if add_index:
            encoded = msgspec.json.encode(whole)
            data = index if isinstance(index, bytes) else encoded
            info = tarfile.TarInfo(INDEX)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return gzip.compress(raw.getvalue())


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
