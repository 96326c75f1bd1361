"""Services are dataclasses: dependencies are declared once, and passed by name.

A hand-written ``__init__`` of many parameters repeats each of them three times, and
callers may mix up arguments without names. So nothing in the package is constructed
with many arguments but by their names.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

PACKAGE: Final = Path(__file__).resolve().parents[3] / "pyglue"
PLACES: Final = ("host", "relay", "web", "harness", "egress", "notify", "cli")
MOST: Final = 3
"""Parameters that an ``__init__`` may have of its own, and arguments without names."""
EXCEPTIONS: Final = {
    "host/core/audit.py Audit": "opens and repairs the log from them, keeps one of 4",
    "harness/claude/options.py CliOptions": "makes files and variables, keeps 4 of 10",
    "harness/gate/gate.py Gate": "parses the patterns, which are most of them",
    "harness/terminal.py _Terminal": "starts a shell with them, keeps 2 of 4",
    "egress/app.py Egress": "constructs the parts of hive-egress, keeps 2 of 4",
}
ROWS: Final = frozenset(
    {
        ("store/agents.py", "TurnSummary"),
        ("store/drafts.py", "Draft"),
        ("store/kept.py", "Kept"),
        ("store/reminders.py", "Reminder"),
        ("store/metrics.py", "Total"),
    }
)
"""Rows of a SELECT with these columns, constructed as ``Row(*row)``."""


def too_many(source: str) -> Iterator[str]:
    """Yield the classes whose own ``__init__`` takes too much."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ClassDef):
            continue
        for part in node.body:
            if isinstance(part, ast.FunctionDef) and part.name == "__init__":
                given = part.args
                count = len(given.posonlyargs + given.args + given.kwonlyargs) - 1
                if count > MOST:
                    yield node.name


def test_a_service_with_many_parts_is_a_dataclass() -> None:
    found = {
        f"{path.relative_to(PACKAGE)} {name}"
        for place in PLACES
        for path in (PACKAGE / place).rglob("*.py")
        for name in too_many(path.read_text())
    }
    assert found == set(EXCEPTIONS)


@pytest.mark.parametrize(
    ("parameters", "refused"),
    [
        ("self, a, b, c", False),
        ("self, a, b, c, d", True),
        ("self, a, *, b, c, d", True),
        ("self, a, /, b, c=1, *, d=2", True),
    ],
)
def test_many_parameters_are_refused(parameters: str, refused: bool) -> None:
    source = f"class Service:\n    def __init__({parameters}): ..."
    assert list(too_many(source)) == (["Service"] if refused else [])


def many_positional(source: str) -> Iterator[str]:
    """Yield each class that can be constructed with many arguments without names."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and _positional(node) > MOST:
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


def test_many_arguments_are_given_by_name() -> None:
    found = {
        (path.relative_to(PACKAGE).as_posix(), name)
        for path in PACKAGE.rglob("*.py")
        for name in many_positional(path.read_text(encoding="utf-8"))
    }
    assert found == ROWS


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
