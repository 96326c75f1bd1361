"""How long a test waits for what must come."""

from typing import Final

PATIENCE_S: Final = 180.0
"""Only a test that fails waits this long; a busy machine needs much of it.

It is also the longest that a method of hived waits for an operation's end.
"""
