"""Generate docs/host-options.md and hyperhive.nix(5) from the options of modules/host.

`make generate` runs this; `--check` (run by the tests) writes nothing and exits 1 when
a file differs. Needs `nix-instantiate` only, no nixpkgs and no network.
"""

import json
import re
import subprocess
import sys
import textwrap
from typing import Any, Final

from tools.generate_manual import escaped
from tools.manifest_docs import nix_value
from tools.manifest_schema import ROOT

PAGE: Final = ROOT / "docs/host-options.md"
MANUAL: Final = ROOT / "modules/host/hyperhive.nix.5"

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
    text: str = shown["text"] if "text" in shown else nix_value(shown["value"])
    return text.strip()


def _line(what: str, value: str) -> str:
    """Return a line of the page; what has several of its own becomes a block."""
    if "\n" not in value:
        return f"- {what}: `{value}`"
    fenced = f"```\n{value}\n```"
    return f"- {what}:\n\n{textwrap.indent(fenced, '  ')}"


def render(options: list[dict[str, Any]]) -> str:
    """Render the page."""
    parts = [HEAD]
    for option in options:
        default = option["default"]
        lines = [
            f"## `{option['name']}`\n",
            option["description"].strip() + "\n",
            f"- Type: {option['type']}",
            _line("Default", literal(default)) if default else "- No default",
            _line("Example", literal(option["example"])),
        ]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


MANUAL_HEAD: Final = """\
.TH HYPERHIVE.NIX 5
.SH NAME
hyperhive.nix \\- options of a NixOS host that runs a hive
.SH DESCRIPTION
Generated from modules/host/ by "make generate". Set them in the configuration of the
NixOS host; "hive \\-\\-help" lists the commands.
.SH OPTIONS
"""


def roff(text: str) -> str:
    """Return text that a manual page shows as it is, Markdown's code in bold."""
    text = re.sub(r"`([^`\n]*)`", r"\\fB\1\\fR", escaped(text))
    # A line that begins with a dot or an apostrophe would be a request.
    return re.sub(r"^(?=[.'])", r"\\&", text, flags=re.MULTILINE)


def _value(what: str, value: str) -> str:
    """Return a value for the manual page, with its own lines if it has several."""
    if "\n" not in value:
        return roff(f"{what}: `{value}`")
    return f"{what}:\n.IP\n.nf\n{roff(value)}\n.fi"


def render_manual(options: list[dict[str, Any]]) -> str:
    """Render the manual page."""
    parts = [MANUAL_HEAD]
    for option in options:
        default = option["default"]
        shown = _value("Default", literal(default)) if default else roff("No default")
        parts.append(f".TP\n.B {roff(option['name'])}\n")
        parts.append(re.sub(r"\n\n+", "\n.IP\n", roff(option["description"].strip())))
        example = _value("Example", literal(option["example"]))
        for text in (roff(f"Type: {option['type']}"), shown, example):
            parts.append(f"\n.IP\n{text}")
        parts.append("\n")
    return "".join(parts)


def main(arguments: list[str]) -> int:
    """Write the pages, or with `--check` say which differs."""
    options = read_options()
    code = 0
    for file, text in ((PAGE, render(options)), (MANUAL, render_manual(options))):
        if file.exists() and file.read_text() == text:
            continue
        if arguments == ["--check"]:
            print(f"{file.relative_to(ROOT)} is out of date: run `make generate`.")
            code = 1
            continue
        file.write_text(text)
        print(f"wrote {file.relative_to(ROOT)}")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
