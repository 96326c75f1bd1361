"""The source of a declared agent: its files, or why they are invalid."""

from pathlib import Path

import pytest

from pyglue.errors import ErrorCode, HiveError
from pyglue.host.life.declared import read_source


def test_all_files_belong_to_it_also_those_further_down(tmp_path: Path) -> None:
    (tmp_path / "notes" / "old").mkdir(parents=True)
    for name in ("agent.nix", "notes/a.txt", "notes/old/b.bin"):
        (tmp_path / name).write_bytes(name.encode() + b"\xff")
    (tmp_path / "empty").mkdir()
    assert read_source("bob", tmp_path) == {
        name: name.encode() + b"\xff"
        for name in ("agent.nix", "notes/a.txt", "notes/old/b.bin")
    }


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "has no agent.nix"),
        ({"agent.nix": "x" * (8 * 1024 * 1024 + 1)}, "8 MiB"),
        ({f"{number}": "" for number in range(2001)}, "2000 files"),
    ],
)
def test_a_source_that_cannot_be_an_agent_is_refused(
    tmp_path: Path, files: dict[str, str], says: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(HiveError) as caught:
        read_source("bob", tmp_path)
    assert caught.value.code is ErrorCode.CONFIG_INVALID
    assert says in caught.value.message and str(tmp_path) in caught.value.message
