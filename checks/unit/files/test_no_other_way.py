"""What an agent or the manager can write is opened in one way only: by ``nofollow``.

``test_nofollow`` attacks that way, and runs once more as an ordinary user.
"""

import ast
from typing import Final

import pytest

from checks.kits.suite.sources import PACKAGE

_HOSTILE: Final = frozenset({"agents", "config", "agent_state", "session"})
"""The layout's names of what an agent, or the manager, can write."""
_TAKERS: Final = frozenset(
    {
        *("at", "opened", "exists", "is_folder", "names", "size", "remove"),
        *("Bind", "bind", "str", "plain"),
        *("adopt", "own", "stage", "remove_tree", "_is_folder", "_names_in"),
        *("Staged",),
    }
)
"""What opens such a place safely (``nofollow``, a bind), or only names it."""
_MAY: Final = frozenset(
    {
        "files/nofollow.py",
        "paths.py",
        "host/backends/nixos_host.py",  # asks how agents/ is mounted
    }
)


def misused(source: str) -> list[int]:
    """Return the lines on which such a place is used otherwise."""
    if "layout" not in source:
        return []
    tree = ast.parse(source)
    parents = {
        child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)
    }
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in _HOSTILE
        and ast.unparse(node.value).split(".")[-1].strip("_") == "layout"
        and not _fine(node, parents)
    ]


def _fine(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> bool:
    """Tell whether the place is only named, or handed to what opens it safely."""
    above = parents[node]
    if isinstance(above, ast.Call):
        if above.func is node:
            return _fine(above, parents)
        called = above.func
        name = called.attr if isinstance(called, ast.Attribute) else ""
        return (called.id if isinstance(called, ast.Name) else name) in _TAKERS
    if isinstance(above, ast.Attribute):
        return above.attr in ("name", "parent") and (
            above.attr == "name" or _fine(above, parents)
        )
    if isinstance(above, ast.FormattedValue | ast.Compare):
        return True
    if isinstance(above, ast.Return):
        return _function_of(above, parents) == "places"
    if isinstance(above, ast.stmt | ast.comprehension):
        return False
    return _fine(above, parents)


def _function_of(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> str:
    while not isinstance(node, ast.FunctionDef):
        node = parents[node]
    return node.name


@pytest.mark.parametrize(
    "line",
    [
        "layout.agents.mkdir()",
        "(self._layout.agents / name).exists()",
        "os.chmod(config.layout.agent_state(name), 0)",
        "shutil.rmtree(layout.config(name))",
        "layout.session(name).open()",
        "layout.config(name).parent.chmod(0o755)",
        "x = layout.agents / name",
    ],
)
def test_the_lint_sees(line: str) -> None:
    assert misused(line) == [1]


def test_nothing_else_opens_what_agents_write() -> None:
    sources = {path: str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py")}
    found = {
        name: lines
        for path, name in sources.items()
        if name not in _MAY and (lines := misused(path.read_text(encoding="utf-8")))
    }
    assert found == {}
