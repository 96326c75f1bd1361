"""``checks/unit`` mirrors the packages."""

from pathlib import Path
from typing import Final

from checks.kits.suite.sources import PACKAGE

CHECKS: Final = PACKAGE.parent / "checks"

NO_PACKAGE: Final[dict[str, str]] = {
    "unit/project": "what no package has: docs, the order of imports, sizes, CI",
    "kits/suite": "how the suite itself runs",
}
"""Directories of ``checks`` that are named after no package, and what they are for."""

NO_TESTS: Final[dict[str, str]] = {
    "host/wiring": "it only constructs: each hive of checks/e2e is made by it",
}
"""Packages without unit tests of their own, and why."""


def directories(top: Path, *files: Path) -> set[str]:
    """Return where these files are, from ``top``."""
    return {path.parent.relative_to(top).as_posix() for path in files} - {"."}


def strays(checks: Path, package: Path) -> set[str]:
    """Return the directories of unit tests and kits that no package is called like."""
    found = set()
    for kind in ("unit", "kits"):
        for name in directories(checks / kind, *(checks / kind).rglob("*.py")):
            if not (package / name / "__init__.py").exists():
                found.add(f"{kind}/{name}")
    return found


def untested(checks: Path, package: Path) -> set[str]:
    """Return the packages with code that have no unit tests in their place or below."""
    code = (path for path in package.rglob("*.py") if path.stem != "__init__")
    unit = checks / "unit"
    return {
        name
        for name in directories(package, *code)
        if next((unit / name).rglob("test_*.py"), None) is None
    }


def test_each_directory_is_named_after_a_package() -> None:
    assert strays(CHECKS, PACKAGE) == NO_PACKAGE.keys(), (
        f"move these beside what they test, or say in {__file__} what they are for"
    )


def test_each_package_has_its_tests() -> None:
    assert untested(CHECKS, PACKAGE) == NO_TESTS.keys(), (
        f"test these in checks/unit, or say in {__file__} why they need no own tests"
    )


def test_a_directory_elsewhere_is_seen_and_a_package_without_tests(
    tmp_path: Path,
) -> None:
    for name in (
        *("package/web/__init__.py", "package/web/pages/__init__.py"),
        *("package/web/pages/files.py", "package/git/__init__.py"),
        *("checks/unit/web/guard/test_files.py", "checks/kits/git/objects.py"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    places = (tmp_path / "checks", tmp_path / "package")
    assert strays(*places) == {"unit/web/guard"}
    assert untested(*places) == {"web/pages"}
