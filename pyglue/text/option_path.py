"""How sentences name an option of agent.nix: as its author writes it."""

from collections.abc import Iterable
from typing import Final

from pyglue.text.display import visible

ROOT: Final = "hyperhive"
WRITTEN: Final = {"hosts": ("network", "allow")}
"""Paths in agent.nix of options that have a different name in the manifest."""


def option_path(path: Iterable[str | int]) -> str:
    """Write an option's path below ``hyperhive`` as Nix would, odd names quoted."""
    path = tuple(path)
    path = (*WRITTEN.get(str(path[0]), path[:1]), *path[1:]) if path else path
    text = ROOT
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.replace("-", "a").replace("'", "a").isidentifier():
            text += f".{visible(part, limit=100)}"
        else:
            text += f'."{visible(part, limit=100)}"'
    return text
