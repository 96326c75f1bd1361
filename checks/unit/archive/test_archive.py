"""Archives: contents survive a round trip, and omissions are reported."""

import dataclasses
import io
import os
import shutil
import socket
from pathlib import Path

import pytest

from checks.kits.archive.small import LIMITS, read, written
from pyglue.archive import INDEX, Kind, Writer, writer
from pyglue.archive.masked import Masked
from pyglue.errors import ErrorCode, HiveError
from pyglue.files.directory import Folder


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
