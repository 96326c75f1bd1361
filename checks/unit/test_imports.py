"""Imports point one way: the rule of docs/decisions/0008 and who may use what."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

PACKAGE: Final = Path(__file__).resolve().parent.parent.parent / "pyglue"

SHARED: Final = frozenset(
    {
        *("errors", "paths", "config", "names", "display", "models"),
        *("manifest", "manifest_schema", "manifest_types"),
        *("api", "jsonrpc", "process", "sandbox", "tools"),
    }
)
BEYOND: Final[Mapping[str, frozenset[str]]] = {
    "git": frozenset(),
    "nix": frozenset(),
    "store": frozenset(),
    "host": frozenset({"git", "nix", "store"}),
    "harness": frozenset(),
    "relay": frozenset(),
    "web": frozenset(),
    "demo": frozenset(),
    "cli": frozenset({"nix", "demo"}),
}
OWNERS: Final[Mapping[str, frozenset[str]]] = {
    "pygit2": frozenset({"git"}),
    "peewee": frozenset({"store"}),
    "flask": frozenset({"web"}),
    "gunicorn": frozenset({"web"}),
    "aiohttp": frozenset({"relay", "demo"}),  # the stand-in plays the server
    "tree_sitter": frozenset({"harness"}),
    "subprocess": frozenset({"process", "git"}),
}


def room(path: Path) -> str:
    """Return the room of a module: its folder in pyglue, or its own name."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Yield what a module imports, with ``from a import b`` as ``a.b``."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


MODULES: Final = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_what_its_room_may(path: Path) -> None:
    here = room(path)
    if here == "__init__":
        return
    assert here in SHARED or here in BEYOND, f"say in this test what {here} may import"
    allowed = SHARED | BEYOND.get(here, frozenset()) | {here, "__version__"}
    for name in imported(path):
        top, *rest = name.split(".")
        if top == "pyglue" and rest:
            assert rest[0] in allowed, f"{path.name} imports {name}"
        owners = OWNERS.get(top)
        assert owners is None or here in owners, f"{path.name} imports {top}"


def test_rooms_are_what_is_there() -> None:
    found = {room(path) for path in MODULES} - {"__init__"}
    assert found == SHARED | BEYOND.keys()
