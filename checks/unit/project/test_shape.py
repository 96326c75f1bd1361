"""Modules, functions and constructors stay small enough to read at once."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

PACKAGE: Final = Path(__file__).resolve().parents[3] / "pyglue"
SOURCES: Final = sorted(PACKAGE.rglob("*.py"))

_MODULE_MAX: Final = 300
_FUNCTION_MAX: Final = 60
_POSITIONAL_MAX: Final = 3

GENERATED: Final = frozenset({"manifest_types.py"})
LONG_MODULES: Final[dict[str, str]] = {}
"""Modules that may be longer, each with the reason why it has no seam."""
ROWS: Final = frozenset(
    {
        ("store/agents.py", "TurnSummary"),
        ("store/drafts.py", "Draft"),
        ("store/kept.py", "Kept"),
        ("store/reminders.py", "Reminder"),
        ("store/stats.py", "Total"),
    }
)
"""Rows of a SELECT with these columns, constructed as ``Row(*row)``."""


def place(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def long_functions(source: str) -> Iterator[tuple[str, int]]:
    """Yield each function that does not fit a screen, with its lines."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            if lines > _FUNCTION_MAX:
                yield node.name, lines


def many_positional(source: str) -> Iterator[str]:
    """Yield each class that can be constructed with many arguments without names."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and _positional(node) > _POSITIONAL_MAX:
            yield node.name


def _positional(node: ast.ClassDef) -> int:
    for decorator in node.decorator_list:
        said = ast.unparse(decorator)
        if said.startswith("dataclass") and "kw_only=True" not in said:
            return sum(map(_is_argument, node.body))
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and method.name == "__init__":
            return len(method.args.args) - 1
    return 0


def _is_argument(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.AnnAssign):
        return False
    value = "" if statement.value is None else ast.unparse(statement.value)
    return "ClassVar" not in ast.unparse(statement.annotation) and (
        "init=False" not in value
    )


@pytest.mark.parametrize("path", SOURCES, ids=place)
def test_no_module_is_long(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= _MODULE_MAX or place(path) in {*LONG_MODULES, *GENERATED}, (
        f"{place(path)} has {lines} lines: split it where it has two responsibilities"
    )


@pytest.mark.parametrize("path", SOURCES, ids=place)
def test_every_function_fits_a_screen(path: Path) -> None:
    assert list(long_functions(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", SOURCES, ids=place)
def test_many_arguments_are_given_by_name(path: Path) -> None:
    found = many_positional(path.read_text(encoding="utf-8"))
    assert [name for name in found if (place(path), name) not in ROWS] == []


def test_exceptions_are_still_needed() -> None:
    for name, said in LONG_MODULES.items():
        assert said
        assert len((PACKAGE / name).read_text().splitlines()) > _MODULE_MAX
    for name, row in ROWS:
        assert row in many_positional((PACKAGE / name).read_text(encoding="utf-8"))


_FOUR: Final = "class A:\n    a: int\n    b: int\n    c: int\n    d: int"


@pytest.mark.parametrize(
    "source",
    [
        f"@dataclass\n{_FOUR}",
        f"@dataclass(frozen=True)\n{_FOUR}",
        "class A:\n    def __init__(self, a, b, c, d): ...",
    ],
)
def test_positional_arguments_are_seen(source: str) -> None:
    assert list(many_positional(source)) == ["A"]


@pytest.mark.parametrize(
    "source",
    [
        f"@dataclass(kw_only=True)\n{_FOUR}",
        "@dataclass\n" + _FOUR.replace("d: int", "d: ClassVar[int] = 1"),
        "@dataclass\n" + _FOUR.replace("d: int", "d: int = field(init=False)"),
        "class A:\n    def __init__(self, a, *, b, c, d, e): ...",
    ],
)
def test_named_arguments_are_fine(source: str) -> None:
    assert list(many_positional(source)) == []


def test_a_long_function_is_seen() -> None:
    body = "\n".join("    pass" for _ in range(_FUNCTION_MAX))
    assert list(long_functions(f"def f():\n{body}")) == [("f", _FUNCTION_MAX + 1)]
    assert list(long_functions("def f():\n    pass")) == []
