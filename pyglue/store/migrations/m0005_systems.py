"""The NixOS system of an approval: the evaluation's inputs, and the built system."""

from typing import Final

STATEMENTS: Final = (
    """
    CREATE TABLE approval_system (
        approval INTEGER PRIMARY KEY,
        drv TEXT NOT NULL,
        nixpkgs TEXT NOT NULL,
        revision TEXT NOT NULL,
        packages BLOB NOT NULL,
        toplevel TEXT,
        build_log TEXT NOT NULL DEFAULT '',
        closure BLOB
    ) STRICT
    """,
)
