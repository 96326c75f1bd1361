"""A step of making drafts has another name; interrupted operations resume under it."""

from typing import Final

STATEMENTS: Final = (
    """
    UPDATE operation SET step = 'directories'
    WHERE kind = 'draft' AND step = 'rooms'
    """,
)
