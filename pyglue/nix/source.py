"""Characters that Nix and a browser would interpret differently.

Called by ``evaluator`` before Nix runs. Nix ends a comment at a lone carriage return,
where a page continues the line; a page may break a line where Nix does not. The
operator must read exactly what is evaluated, so such files are refused.
"""

import codecs
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pyglue.nix.log import Problem

_SIZE_MAX: Final = 1024 * 1024
_PROBLEMS_MAX: Final = 20
_ENDS: Final = "\r(?!\n)|[\x85\u2028\u2029]"
_IN_NIX: Final = re.compile(f"{_ENDS}|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f]")
_IN_TEXT: Final = re.compile(_ENDS)
"""Any file can be imported, but a form feed in a text is not an attack."""
_BINARY_PROBE: Final = 8000
"""A zero byte within so many bytes makes a file "binary" on a page, as in git."""


def unreadable(directory: Path) -> tuple[Problem, ...]:
    """Return where such characters are in files that a page shows as text."""
    found: list[Problem] = []
    for path in _files(directory):
        nix = path.suffix == ".nix"
        data = path.read_bytes()
        if not nix and b"\0" in data[:_BINARY_PROBE]:
            continue
        encoding = _other_encoding(data) if nix else None
        if encoding is not None:
            found.append(
                Problem(
                    file=str(path.relative_to(directory)),
                    line=1,
                    column=1,
                    message=encoding,
                )
            )
            continue
        text = data.decode("utf-8", "surrogateescape")
        match = (_IN_NIX if nix else _IN_TEXT).search(text)
        if match is not None:
            found.append(_problem(path.relative_to(directory), text, match))
        if len(found) == _PROBLEMS_MAX:
            break
    return tuple(found)


def _other_encoding(data: bytes) -> str | None:
    """Explain that a Nix file is not plain UTF-8, and how to convert it."""
    if data.startswith(codecs.BOM_UTF8):
        return (
            "the file begins with a byte order mark, which Nix does not read. Save it "
            "as UTF-8 without one"
        )
    zeros = data.count(0)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or (
        zeros and zeros * 3 >= len(data)
    ):
        return (
            "the file is UTF-16 or UTF-32, which Nix does not read. Save it as UTF-8, "
            "for example with iconv -f UTF-16 -t UTF-8"
        )
    return None


def _files(directory: Path) -> Iterator[Path]:
    for above, names, files in os.walk(directory):
        names[:] = sorted(name for name in names if name != ".git")
        for name in sorted(files):
            path = Path(above, name)
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_size <= _SIZE_MAX:
                yield path


def _problem(path: Path, text: str, match: re.Match[str]) -> Problem:
    before = text[: match.start()]
    line = before.count("\n") + 1
    column = len(before) - before.rfind("\n")
    return Problem(
        file=str(path),
        line=line,
        column=column,
        message=f"Nix and web pages treat the character U+{ord(match[0]):04X} as "
        "different text. Write line ends as \\n or \\r\\n, and other such characters "
        "as escapes",
    )
