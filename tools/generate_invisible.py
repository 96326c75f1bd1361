"""Write web/static/invisible.js from the table of invisible characters.

``python -m tools.generate_invisible`` writes it, ``--check`` names it if it differs.
"""

import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from pyglue.text.invisible import SPANS  # noqa: E402 - found from a checkout too

TARGET: Final = ROOT / "web" / "static" / "invisible.js"
HEAD: Final = """\
// Generated from pyglue/text/invisible.py by `make generate`: every character that
// an eye cannot see, or that moves others about. Line feed and tab are among them.

export const HIDDEN = /["""


def render() -> str:
    """Render the module."""
    spans = "".join(f"\\u{{{first:X}}}-\\u{{{last:X}}}" for first, last in SPANS)
    return f"{HEAD}{spans}]/gu;\n"


def main(arguments: list[str]) -> int:
    """Write the file, or with `--check` name it if it differs."""
    text = render()
    if TARGET.exists() and TARGET.read_text() == text:
        return 0
    if arguments == ["--check"]:
        print(f"{TARGET.relative_to(ROOT)} is out of date: run `make generate`.")
        return 1
    TARGET.write_text(text)
    print(f"wrote {TARGET.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
