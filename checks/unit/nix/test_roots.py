"""Roots of derivations: created, assigned to an approval, released; and failures."""

from pathlib import Path

import pytest

from pyglue.errors import ErrorCode, HiveError
from pyglue.nix.hoststore import HostStore
from pyglue.nix.roots import DerivationRoots

DRV = f"/nix/store/{'0' * 32}-system.drv"
PLACE = "nix/var/nix/gcroots/hyperhive/hive"


@pytest.fixture
def roots(tmp_path: Path) -> DerivationRoots:
    return DerivationRoots(HostStore(environment={}, root=tmp_path), "hive")


def test_what_is_held_becomes_an_approvals_and_is_swept(
    roots: DerivationRoots, tmp_path: Path
) -> None:
    for number in (1, 2):
        roots.assign(roots.hold(DRV), number)
    left = roots.hold(DRV)
    roots.sweep([2])
    assert (tmp_path / PLACE / "2").readlink() == Path(DRV)
    assert sorted(tmp_path.joinpath(PLACE).iterdir()) == [tmp_path / PLACE / "2", left]
    roots.clear_new()
    roots.drop(left)
    assert [root.name for root in (tmp_path / PLACE).iterdir()] == ["2"]


def test_what_is_no_store_path_is_not_held(roots: DerivationRoots) -> None:
    with pytest.raises(HiveError):
        roots.hold("/etc/passwd")


def test_where_no_root_can_be_made_it_says_what_to_do(
    roots: DerivationRoots, tmp_path: Path
) -> None:
    held = roots.hold(DRV)
    (tmp_path / PLACE / "7").mkdir()
    with pytest.raises(HiveError, match="give hived write access") as refused:
        roots.assign(held, 7)
    assert refused.value.code is ErrorCode.UNAVAILABLE
    (tmp_path / "other").mkdir()
    (tmp_path / "other/nix").write_text("a file in the way")
    with pytest.raises(HiveError, match=r"Cannot create .*: Not a directory"):
        other = HostStore(environment={}, root=tmp_path / "other")
        DerivationRoots(other, "hive").hold(DRV)
