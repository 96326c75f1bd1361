"""How long a test waits for something, and what takes longer than any test."""

from typing import Final

PATIENCE_S: Final = 180.0
"""Only a test that fails waits this long; a busy machine needs much of it.

It is also the longest that a method of hived waits for an operation's end.
"""
BEYOND_S: Final = 10 * PATIENCE_S
"""For what a test must not wait for: if it did, it would have failed long before."""
