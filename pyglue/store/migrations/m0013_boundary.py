"""Whether a message was sent into a running turn."""

from typing import Final

STATEMENTS: Final = (
    "ALTER TABLE message ADD COLUMN boundary INTEGER NOT NULL DEFAULT 0",
)
