"""Archives of a small agent: written, unpacked with small limits, or made by hand."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from pyglue.archive import INDEX, Index, Kind, Limits, Places, Writer, unpack
from pyglue.files.directory import Folder

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
