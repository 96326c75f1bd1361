"""Agents' files for the operator: shown whatever they are, without following links."""

import os
import socket
from pathlib import Path

import pytest

from pyglue.api.files import LISTED_MAX, READ_MAX, FileKind, FileParams, FilesParams
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.watch.files import Files
from pyglue.jsonrpc.sockets import short_path
from pyglue.paths import Layout
from pyglue.text import file_names

NAMES = (
    "plain",
    "two words",
    "new\nline",
    "ümläut",
    "-rf",
    "%41",
    "a&b=c?d#e",
    "\udcff",
)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "state", tmp_path / "run")
    made.agent_state("alice").mkdir(parents=True)
    made.shared.mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("of the host")
    return made


@pytest.fixture
def files(layout: Layout) -> Files:
    def known(name: str) -> None:
        if name != "alice":
            raise HiveError(ErrorCode.NOT_FOUND, f"There is no agent {name!r}.")

    return Files(known=known, layout=layout)


async def refused(files: Files, code: ErrorCode, path: str) -> None:
    """Check that neither call answers."""
    for call in (
        files.look(FilesParams(agent="alice", path=path)),
        files.read(FileParams(agent="alice", path=path)),
    ):
        with pytest.raises(HiveError) as error:
            await call
        assert error.value.code is code, (path, error.value.message)
        assert "of the host" not in error.value.message


async def test_every_name_leads_to_its_file(files: Files, layout: Layout) -> None:
    folder = layout.agent_state("alice") / "sub"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_text(f"in {os.fsencode(name)!r}")
    found = await files.look(FilesParams(agent="alice", path="sub"))
    assert found.here.kind is FileKind.DIRECTORY
    assert len(found.entries) == len(NAMES)
    for entry in found.entries:
        assert entry.name.isascii() and "/" not in entry.name
        path = f"sub/{entry.name}"
        here = (await files.look(FilesParams(agent="alice", path=path))).here
        assert (here.kind, here.name) == (FileKind.FILE, entry.name)
        chunk = await files.read(FileParams(agent="alice", path=path))
        (name,) = file_names.decoded(entry.name)
        assert chunk.data.decode() == f"in {os.fsencode(name)!r}"
        assert chunk.size == entry.size == len(chunk.data)


async def test_directories_come_first_and_kinds_are_told(
    files: Files, layout: Layout
) -> None:
    top = layout.agent_state("alice")
    (top / "a").write_text("")
    (top / "z").mkdir()
    os.mkfifo(top / "pipe")
    (top / "link").symlink_to("/etc/passwd")
    with socket.socket(socket.AF_UNIX) as listening:
        with short_path(top / "door") as name:
            listening.bind(name)
        found = await files.look(FilesParams(agent="alice"))
    kinds = [(one.name, one.kind) for one in found.entries]
    assert kinds == [
        ("z", FileKind.DIRECTORY),
        ("a", FileKind.FILE),
        ("door", FileKind.OTHER),
        ("link", FileKind.LINK),
        ("pipe", FileKind.OTHER),
    ]


async def test_no_link_is_followed_and_no_pipe_opened(
    files: Files, layout: Layout, tmp_path: Path
) -> None:
    top = layout.agent_state("alice")
    (top / "to-file").symlink_to(tmp_path / "outside/secret")
    (top / "to-folder").symlink_to(tmp_path / "outside")
    os.mkfifo(top / "pipe")
    await refused(files, ErrorCode.FORBIDDEN, "to-folder/secret")
    await refused(files, ErrorCode.FORBIDDEN, "pipe/x")
    for path, kind in (("to-file", FileKind.LINK), ("pipe", FileKind.OTHER)):
        found = await files.look(FilesParams(agent="alice", path=path))
        assert found.here.kind is kind
        with pytest.raises(HiveError, match="not followed"):
            await files.read(FileParams(agent="alice", path=path))
    link = await files.look(FilesParams(agent="alice", path="to-folder"))
    assert (link.here.kind, link.entries) == (FileKind.LINK, ())


@pytest.mark.parametrize(
    "path",
    [
        "..",
        "../outside",
        "a/../..",
        "%2e%2e",
        "a//b",
        "/etc",
        "a/",
        ".",
        "%2Fetc",
        "a%00",
    ],
)
async def test_paths_that_lead_elsewhere_are_refused(files: Files, path: str) -> None:
    await refused(files, ErrorCode.BAD_REQUEST, path)


async def test_what_is_not_there_is_said(files: Files, layout: Layout) -> None:
    await refused(files, ErrorCode.NOT_FOUND, "gone")
    await refused(files, ErrorCode.NOT_FOUND, "gone/too")
    await refused(files, ErrorCode.UNAVAILABLE, "x" * 300)
    with pytest.raises(HiveError, match="no agent"):
        await files.look(FilesParams(agent="eve"))
    layout.agent_state("alice").rmdir()
    await refused(files, ErrorCode.NOT_FOUND, "")


async def test_a_link_in_the_place_of_state_leads_nowhere(
    files: Files, layout: Layout, tmp_path: Path
) -> None:
    layout.agent_state("alice").rmdir()
    layout.agent_state("alice").symlink_to(tmp_path / "outside")
    await refused(files, ErrorCode.FORBIDDEN, "")
    await refused(files, ErrorCode.FORBIDDEN, "secret")


async def test_a_full_directory_is_listed_in_part(files: Files, layout: Layout) -> None:
    top = layout.agent_state("alice")
    for number in range(LISTED_MAX):
        (top / str(number)).touch()
    assert not (await files.look(FilesParams(agent="alice"))).more
    (top / "one more").touch()
    found = await files.look(FilesParams(agent="alice"))
    assert (len(found.entries), found.more) == (LISTED_MAX, True)


async def test_a_large_file_comes_in_pieces(files: Files, layout: Layout) -> None:
    data = os.urandom(READ_MAX + 5)
    (layout.shared / "large").write_bytes(data)
    pieces = []
    for offset in (0, READ_MAX, READ_MAX + 5, 2**52):
        chunk = await files.read(FileParams(path="large", offset=offset))
        assert chunk.size == len(data)
        pieces.append(chunk.data)
    assert [len(one) for one in pieces] == [READ_MAX, 5, 0, 0]
    assert b"".join(pieces) == data
