"""Which account pays for an agent, if the operator chose one, and for a request."""

from typing import Final

STATEMENTS: Final = (
    "ALTER TABLE control ADD COLUMN account TEXT",
    "ALTER TABLE usage ADD COLUMN account TEXT",
)
