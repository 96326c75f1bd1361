"""Who may remove an applied repository: one place, which asks whether it ever ran.

Only the operator's purge, which is confirmed by name, removes what ran.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.repos import AppliedRepo
from pyglue.git.tags import TagKind
from pyglue.host.agents.directories import Directories, KeptDirectory

PACKAGE: Final = Path(__file__).resolve().parents[3] / "pyglue"
_REMOVERS: Final = frozenset({"rmtree", "remove_tree", "unlink", "rmdir", "rename"})
_APPLIED: Final = frozenset({"applied", "applied_root", "APPLIED"})
_GUARDED: Final = "host/agents/directories.py"


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """Yield each call in the package with its file and the name that is called."""
    for path in sorted(PACKAGE.rglob("*.py")):
        own = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                function = node.func
                name = function.attr if isinstance(function, ast.Attribute) else ""
                yield own, name, node


def names_in(node: ast.AST) -> set[str]:
    return {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}


def test_no_other_way_leads_to_a_removal() -> None:
    found = [
        f"{own}: {ast.unparse(node)}"
        for own, name, node in calls()
        if own != _GUARDED
        and (name == "put_aside" or (name in _REMOVERS and names_in(node) & _APPLIED))
    ]
    assert found == []


def test_only_a_purge_is_confirmed() -> None:
    confirmed = [
        own
        for own, _name, node in calls()
        if any(keyword.arg == "confirmed" for keyword in node.keywords)
    ]
    assert confirmed == ["host/life/purge.py"]


@pytest.mark.parametrize(
    "remove",
    [
        lambda it: it.forget_proposed("alice"),
        lambda it: it.forget_draft("alice"),
        lambda it: it.remove("alice", KeptDirectory.APPLIED),
    ],
    ids=["proposed", "draft", "remove"],
)
def test_what_ran_is_refused(
    tmp_path: Path, remove: Callable[[Directories], None]
) -> None:
    directories, repo = _ran(tmp_path)
    state = tmp_path / "agents" / "alice" / "state"
    state.mkdir(parents=True)
    with pytest.raises(HiveError, match="hive restore-backup") as refused:
        remove(directories)
    assert refused.value.code is ErrorCode.NAME_TAKEN
    assert repo.main() is not None
    assert state.is_dir()  # nor is anything else of it
    directories.forget_strays(frozenset())
    assert repo.main() is not None
    directories.remove("alice", KeptDirectory.APPLIED, confirmed=True)
    assert not repo.path.exists()


def _ran(room: Path) -> tuple[Directories, AppliedRepo]:
    config = HiveConfig(state_dir=str(room), runtime_dir=str(room / "run"))
    config.layout.applied_root.mkdir()
    repo = AppliedRepo.create(config.layout.applied("alice"))
    commit = repo.seed_main({"agent.nix": b"{ }"}, message="first")
    repo.tag(TagKind.DEPLOYED, 3, commit)
    return Directories(config, agents_pass=False), repo
