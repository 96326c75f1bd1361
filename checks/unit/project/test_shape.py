"""Modules and functions stay small enough to read at once."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from checks.kits.suite.sources import PACKAGE, SOURCES, each, place

_MODULE_MAX: Final = 300
_FUNCTION_MAX: Final = 60

GENERATED: Final = frozenset({"manifest/types.py"})
LONG_MODULES: Final[dict[str, str]] = {}
"""Modules that may be longer, each with the reason why it has no seam."""


def long_functions(source: str) -> Iterator[tuple[str, int]]:
    """Yield each function that does not fit a screen, with its lines."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            if lines > _FUNCTION_MAX:
                yield node.name, lines


@each(SOURCES)
def test_no_module_is_long(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= _MODULE_MAX or place(path) in {*LONG_MODULES, *GENERATED}, (
        f"{place(path)} has {lines} lines: split it where it has two responsibilities"
    )


@each(SOURCES)
def test_every_function_fits_a_screen(path: Path) -> None:
    assert list(long_functions(path.read_text(encoding="utf-8"))) == []


def test_every_function_of_checks_and_tools_fits_a_screen() -> None:
    project = PACKAGE.parent
    found = {
        f"{path.relative_to(project)}: {name}": lines
        for directory in ("checks", "tools")
        for path in (project / directory).rglob("*.py")
        for name, lines in long_functions(path.read_text(encoding="utf-8"))
    }
    assert found == {}


@pytest.mark.parametrize(
    "path", sorted((PACKAGE.parent / "tools").glob("*.py")), ids=lambda path: path.stem
)
def test_no_tool_is_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= _MODULE_MAX


def test_exceptions_are_still_needed() -> None:
    for name, said in LONG_MODULES.items():
        assert said
        assert len((PACKAGE / name).read_text().splitlines()) > _MODULE_MAX


def test_a_long_function_is_seen() -> None:
    body = "\n".join("    pass" for _ in range(_FUNCTION_MAX))
    assert list(long_functions(f"def f():\n{body}")) == [("f", _FUNCTION_MAX + 1)]
    assert list(long_functions("def f():\n    pass")) == []
