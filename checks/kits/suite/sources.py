"""The package's files, and tests of each of them.

There are hundreds: a test for each would take longer to report than to run. So there is
one for each directory, and what fails names the file.
"""

from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path
from typing import Final

import pytest

PACKAGE: Final = Path(__file__).resolve().parents[3] / "pyglue"
SOURCES: Final = sorted(PACKAGE.rglob("*.py"))

Check = Callable[[Path], None]


def place(path: Path) -> str:
    """Return where a file is in the package."""
    return path.relative_to(PACKAGE).as_posix()


def each(files: Iterable[Path]) -> Callable[[Check], Callable[[list[Path]], None]]:
    """Make a test of one file a test of all these, in parts of a directory each."""
    found = groupby(sorted(files, key=lambda path: path.parent), lambda p: p.parent)
    parts = [(place(directory), list(group)) for directory, group in found]

    def decorate(check: Check) -> Callable[[list[Path]], None]:
        @pytest.mark.parametrize(
            "paths", [paths for _, paths in parts], ids=[name for name, _ in parts]
        )
        def test(paths: list[Path]) -> None:
            for path in paths:
                try:
                    check(path)
                except AssertionError as wrong:
                    wrong.add_note(place(path))
                    raise

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return test

    return decorate
