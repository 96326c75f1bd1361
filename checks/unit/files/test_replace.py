"""Files are replaced whole, with their mode, or not at all."""

import os
from pathlib import Path

import pytest

from pyglue.files.replace import replace_file, write_file


@pytest.mark.parametrize("synced", [False, True])
def test_a_file_is_replaced_with_its_mode(tmp_path: Path, synced: bool) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    old = os.umask(0o077)
    try:
        replace_file(path, b"new", mode=0o644, synced=synced)
    finally:
        os.umask(old)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o644)
    replace_file(path, b"newer")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"newer", 0o600)
    assert [one.name for one in tmp_path.iterdir()] == ["secret"]


def test_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    other, path = tmp_path / "other", tmp_path / "link"
    other.write_text("theirs")
    path.symlink_to(other)
    (tmp_path / ".link.new").symlink_to(other)  # left behind by a crash, or planted
    replace_file(path, b"ours")
    assert (path.read_text(), other.read_text()) == ("ours", "theirs")


def test_an_error_names_the_file_and_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "place"
    path.mkdir()
    with pytest.raises(OSError, match="place") as refused:
        replace_file(path, b"data")
    assert refused.value.filename == str(path)
    assert [one.name for one in tmp_path.iterdir()] == ["place"]


def test_an_unchanged_file_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "unit"
    assert write_file(path, b"one")
    before = path.stat().st_ino
    path.chmod(0o600)
    assert not write_file(path, b"one")
    assert (path.stat().st_ino, path.stat().st_mode & 0o777) == (before, 0o644)
    assert write_file(path, b"two")
