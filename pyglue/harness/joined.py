"""The messages that reached the running turn after its prompt.

The end of the turn acknowledges them like those of the prompt, so whoever runs the turn
once more in a new conversation gives them again. ``link`` notes what the model takes by
``recv``; ``session`` asks.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from pyglue.api.messages import Message
from pyglue.harness.claude.prompt import render


class Joined:
    """What joined the running turn, in this order."""

    def __init__(self) -> None:
        self._messages: list[Message] = []

    def begin(self) -> None:
        """Let a turn begin, which nothing has joined."""
        self._messages.clear()

    def took(self, messages: Iterable[Message]) -> None:
        """Note what the model took itself."""
        self._messages += messages

    def again(self) -> str:
        """Return what goes after the prompt in a conversation that saw none of it."""
        if not self._messages:
            return ""
        return "\n\n" + render(replace(m, redelivered=True) for m in self._messages)
