"""Only one place removes an applied repository, and checks that it never ran.

Only the operator's purge, which is confirmed by name, removes what ran.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.host_commits import seed_main
from pyglue.git.repos import AppliedRepo
from pyglue.git.tags import TagKind
from pyglue.host.agents.kept_files import KeptDirectory, KeptFiles

PACKAGE: Final = Path(__file__).resolve().parents[3] / "pyglue"
_REMOVERS: Final = frozenset({"rmtree", "remove_tree", "unlink", "rmdir", "rename"})
_APPLIED: Final = frozenset({"applied", "applied_root", "APPLIED"})
_GUARDED: Final = "host/agents/kept_files.py"


def calls(source: str) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))


def removals(source: str) -> Iterator[str]:
    """Yield the calls that remove an applied repository, or put one aside."""
    for call in calls(source):
        name = ast.unparse(call.func).rpartition(".")[2]
        inside = {n.attr for n in ast.walk(call) if isinstance(n, ast.Attribute)}
        if name == "put_aside" or (name in _REMOVERS and inside & _APPLIED):
            yield ast.unparse(call)


def found_by(look: Callable[[str], Iterator[object]]) -> list[str]:
    """Return the file of the package in which each thing is found."""
    return [
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for _ in look(path.read_text(encoding="utf-8"))
    ]


def test_no_other_way_leads_to_a_removal() -> None:
    assert set(found_by(removals)) == {_GUARDED}


@pytest.mark.parametrize(
    "source",
    [
        "shutil.rmtree(self._layout.applied(name))",
        "rmtree(config.layout.applied(name), ignore_errors=True)",
        "it.remove_tree(next(self.places(name, KeptDirectory.APPLIED)))",
        "layout.applied(name).rename(other)",
        "AppliedRepo.put_aside(place)",
    ],
)
def test_a_removal_is_seen(source: str) -> None:
    assert list(removals(source)) == [source]


def test_only_a_purge_is_confirmed() -> None:
    def confirmed(source: str) -> Iterator[str]:
        words = (word.arg for call in calls(source) for word in call.keywords)
        return (word for word in words if word == "confirmed")

    assert found_by(confirmed) == ["host/life/purge.py"]


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
    tmp_path: Path, remove: Callable[[KeptFiles], None]
) -> None:
    kept_files, repo = _ran(tmp_path)
    state = tmp_path / "agents" / "alice" / "state"
    state.mkdir(parents=True)
    with pytest.raises(HiveError, match="hive restore-backup") as refused:
        remove(kept_files)
    assert refused.value.code is ErrorCode.NAME_TAKEN
    assert repo.main() is not None
    assert state.is_dir()  # nor is anything else of it
    kept_files.forget_strays(frozenset())
    assert repo.main() is not None
    kept_files.remove("alice", KeptDirectory.APPLIED, confirmed=True)
    assert not repo.path.exists()


def _ran(room: Path) -> tuple[KeptFiles, AppliedRepo]:
    config = HiveConfig(state_dir=str(room), runtime_dir=str(room / "run"))
    config.layout.applied_root.mkdir()
    repo = AppliedRepo.create(config.layout.applied("alice"))
    commit = seed_main(repo, {"agent.nix": b"{ }"}, message="first")
    repo.tag(TagKind.DEPLOYED, 3, commit)
    return KeptFiles(layout=config.layout), repo
