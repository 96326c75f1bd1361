"""Evaluators to test with, sandboxed and not, and agent directories for them."""

from pathlib import Path
from typing import Final, NoReturn

import pytest

from pyglue.errors import ErrorCode, HiveError
from pyglue.nix import Evaluator

SANDBOXED: Final = "sandboxed"
BARE: Final = "bare"
BOTH: Final = (SANDBOXED, BARE)


def evaluator(kind: str, *, timeout: float = 30.0) -> Evaluator:
    """Return an evaluator with or without bubblewrap; skip where it does not work."""
    with pytest.MonkeyPatch.context() as patch:
        if kind == BARE:
            patch.setattr("pyglue.nix.fence.prepare", _no_sandbox)
        made = Evaluator(timeout=timeout)
        made.check()  # Chooses, once.
    if kind == SANDBOXED and not made.sandboxed:
        pytest.skip("bubblewrap does not work here")
    assert made.sandboxed == (kind == SANDBOXED)
    return made


def _no_sandbox(*_: object) -> NoReturn:
    raise HiveError(ErrorCode.SANDBOX_UNAVAILABLE, "Switched off for a test.")


def agent(room: Path, body: str, **files: str) -> Path:
    """Write an agent.nix and other files, ``__`` in a name standing for a dot."""
    room.mkdir(parents=True, exist_ok=True)
    (room / "agent.nix").write_text(body)
    for name, text in files.items():
        (room / name.replace("__", ".")).write_text(text)
    return room


def prompt(expression: str) -> str:
    """Return an agent.nix whose prompt is an expression, ``toString``-ed."""
    return f"{{ lib, ... }}: {{ hyperhive.prompt = toString ({expression}); }}\n"
