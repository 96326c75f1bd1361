"""Generate docs/host-options.md from the options of modules/host.

`make generate` runs this; `--check` (run by the tests) writes nothing and exits 1 when
the file differs. Needs `nix-instantiate` only, no nixpkgs and no network.
"""

import json
import subprocess
import sys
from typing import Any, Final

from tools.generate_manifest import ROOT, nix_value

PAGE: Final = ROOT / "docs/host-options.md"

HEAD: Final = """\
# Options of the host

Generated from `modules/host/` by `make generate`. Set them in the configuration of the
NixOS host that runs the hive. [options.md](options.md) has the options of an agent.
"""


def read_options() -> list[dict[str, Any]]:
    """Evaluate the options; raises on a Nix error."""
    done = subprocess.run(
        [
            *("nix-instantiate", "--eval", "--strict", "--json"),
            *("--store", "dummy://", str(ROOT / "modules/host/docs.nix")),
        ],
        check=True,
        stdout=subprocess.PIPE,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def literal(shown: dict[str, Any]) -> str:
    """Write a default or an example as Nix."""
    return shown["text"] if "text" in shown else nix_value(shown["value"])


def render(options: list[dict[str, Any]]) -> str:
    """Render the page."""
    parts = [HEAD]
    for option in options:
        default = option["default"]
        lines = [
            f"## `{option['name']}`\n",
            option["description"].strip() + "\n",
            f"- Type: {option['type']}",
            f"- Default: `{literal(default)}`" if default else "- No default",
            f"- Example: `{literal(option['example'])}`",
        ]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def main(arguments: list[str]) -> int:
    """Write the page, or with `--check` say that it differs."""
    text = render(read_options())
    if PAGE.exists() and PAGE.read_text() == text:
        return 0
    if arguments == ["--check"]:
        print(f"{PAGE.relative_to(ROOT)} is out of date: run `make generate`.")
        return 1
    PAGE.write_text(text)
    print(f"wrote {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
