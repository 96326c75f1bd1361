"""Generate docs/openapi.json from the views and types of the dashboard's HTTP API.

`make generate` runs this; `--check` (run by the tests) writes nothing and exits 1
when the file differs.
"""

import json
import sys
from pathlib import Path
from typing import Final

from pyglue.config import WebConfig
from pyglue.web.guard.cookies import cookie_name
from pyglue.web.json.openapi import Place, describe
from pyglue.web.json.table import ROUTES

ROOT: Final = Path(__file__).resolve().parent.parent
TARGET: Final = ROOT / "docs" / "openapi.json"


def render() -> str:
    """Render docs/openapi.json."""
    document = describe(ROUTES, Place(cookie_name(WebConfig())))
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """Write the file, or with `--check` name it if it differs."""
    text = render()
    if TARGET.exists() and TARGET.read_text() == text:
        return 0
    shown = TARGET.relative_to(ROOT)
    if arguments == ["--check"]:
        print(f"{shown} is out of date: run `make generate`.")
        return 1
    TARGET.write_text(text)
    print(f"wrote {shown}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
