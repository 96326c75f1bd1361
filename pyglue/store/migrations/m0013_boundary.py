"""Whether a message reached its turn while that ran."""

from typing import Final

STATEMENTS: Final = (
    "ALTER TABLE message ADD COLUMN boundary INTEGER NOT NULL DEFAULT 0",
)
