"""Services are dataclasses: what each is given stands once, and by name.

A hand-written ``__init__`` of many parameters repeats each of them three times, and
its callers may mix them up.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

PACKAGE: Final = Path(__file__).resolve().parents[3] / "pyglue"
PLACES: Final = ("host", "relay", "web")
MOST: Final = 3
"""Parameters that an ``__init__`` may have of its own."""
EXCEPTIONS: Final = {
    "host/core/audit.py Audit": "opens and repairs the log from them, keeps one of 4",
}


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
