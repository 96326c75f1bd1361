"""Generate everything that repeats the options of modules/agent/options.nix.

`make generate` runs this; `--check` (run by the tests) writes nothing and exits 1
when a file differs. From the one schema that Nix gives come:

- modules/agent/schema.json: the JSON Schema that manifests are validated with,
- pyglue/manifest/types.py: frozen Structs, so that Python names no option itself,
- docs/options.md: the option reference.

Needs `nix-instantiate` only, no nixpkgs and no network; the output depends on
nothing but the options.
"""

import json
import sys
from pathlib import Path

from tools.manifest_docs import render_docs
from tools.manifest_schema import ROOT, read_schema
from tools.manifest_structs import render_types


def generate() -> dict[Path, str]:
    """Return the text of every generated file by its path."""
    schema = read_schema()
    return {
        ROOT / "modules/agent/schema.json": json.dumps(schema, indent=2) + "\n",
        ROOT / "pyglue/manifest/types.py": render_types(schema),
        ROOT / "docs/options.md": render_docs(schema),
    }


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` name the ones that differ."""
    stale = [
        (path, text)
        for path, text in generate().items()
        if not path.exists() or path.read_text() != text
    ]
    if arguments == ["--check"]:
        for path, _ in stale:
            print(f"{path.relative_to(ROOT)} is out of date: run `make generate`.")
        return 1 if stale else 0
    for path, text in stale:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
