"""The account that pays for a request, and the operator's choice for an agent."""

from typing import Final

STATEMENTS: Final = (
    "ALTER TABLE control ADD COLUMN account TEXT",
    "ALTER TABLE usage ADD COLUMN account TEXT",
)
