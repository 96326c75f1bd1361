"""Valid file names in an agent's tree, and the display of hostile ones.

Used by the checking child on trees from a pack, again by ``export`` before a name
reaches the file system, and for the files of a first commit. Names are bytes until
they have passed. The rules keep a tree safe on every system that may clone it, and
readable for the operator: characters that are invisible or reorder text are refused.
"""

import unicodedata
from typing import Final

from pyglue.text.invisible import HIDDEN

MAX_COMPONENT: Final = 255
"""Longest name of a file or directory in bytes (NAME_MAX of Linux)."""
_BESIDE_LATIN: Final = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO"})
"""Scripts whose letters cannot be mistaken for Latin ones."""


def show(raw: bytes | str, *, limit: int = 120) -> str:
    """Return hostile text as printable ASCII in quotes, at most ``limit`` long."""
    text = raw.decode("utf-8", "surrogateescape") if isinstance(raw, bytes) else raw
    shown = ascii(text[:limit])
    if len(text) <= limit and len(shown) <= limit:
        return shown
    return f"{shown[: limit - 4]}...{shown[0]}"


def problem(name: bytes) -> str | None:
    """Return why one path component is refused, or None if it is good."""
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError:
        return "its name is not valid UTF-8"
    if not text or text in (".", ".."):
        return "its name is empty, '.' or '..'"
    if len(name) > MAX_COMPONENT:
        return f"its name is longer than {MAX_COMPONENT} bytes"
    if "/" in text or "\\" in text:
        return "its name contains a slash or backslash"
    if HIDDEN.search(text):
        return "its name contains a control or invisible character"
    if text != text.strip(" "):
        return "its name begins or ends with a space"
    if unicodedata.category(text[0]).startswith("M"):
        return "its name begins with a combining mark"
    if unicodedata.normalize("NFKC", text) != unicodedata.normalize("NFC", text):
        return "its name contains characters that resemble others"
    if any(map(_mixes_scripts, text.split("."))):
        return "its name mixes letters of similar-looking alphabets"
    if _is_dot_git(text):
        return "its name is '.git', or some system treats it as '.git'"
    return None


def path_problem(path: str) -> str | None:
    """Return why a relative path of several components is refused, or None."""
    try:
        raw = path.encode("utf-8")
    except UnicodeEncodeError:
        return "its name is not valid Unicode"
    for component in raw.split(b"/"):
        found = problem(component)
        if found is not None:
            return found
    return None


def _is_dot_git(text: str) -> bool:
    """Match ``.git`` as NTFS and HFS+ do: case, streams, trailing dots and spaces.

    The characters that HFS+ ignores in names are invisible, and refused earlier.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    base = folded.split(":", 1)[0].rstrip(" .")
    return base in (".git", "git~1")


def _mixes_scripts(part: str) -> bool:
    """Return whether Latin letters are mixed with those of another alphabet."""
    scripts = {unicodedata.name(c, "").split(" ")[0] for c in part if c.isalpha()}
    return "LATIN" in scripts and bool(scripts - {"LATIN"} - _BESIDE_LATIN)
