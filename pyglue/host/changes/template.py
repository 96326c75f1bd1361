"""Fills in the template of new agents and drafts with their description."""

from pathlib import Path
from typing import Final

from pyglue.manifest.schema import Schema
from pyglue.nix.flake import nix_string

_NONE: Final = b'description = "";'


def read_template(templates: Path, description: str) -> dict[str, bytes]:
    """Return the files of a new agent, with the description in ``agent.nix``."""
    directory = templates / "template"
    files = {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
    line = f"description = {nix_string(one_line(description))};".encode()
    definition = files.get("agent.nix")
    if definition is not None:
        files["agent.nix"] = definition.replace(_NONE, line, 1)
    return files


def one_line(text: str) -> str:
    """Return a text as one line of visible characters, cut to the option's limit.

    Nix measures the length of a string in bytes.
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    most = Schema.load().document["properties"]["description"]["maxLength"]
    encoded, end = line.encode(), "…"
    if len(encoded) <= most:
        return line
    return encoded[: most - len(end.encode())].decode(errors="ignore") + end
