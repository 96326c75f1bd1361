"""The comments with which the operator requested changes, as JSON."""

from typing import Final

STATEMENTS: Final = ("ALTER TABLE approval ADD COLUMN comments BLOB",)
