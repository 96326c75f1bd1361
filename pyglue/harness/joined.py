"""The messages that reached the running turn after its prompt.

The end of the turn acknowledges them like those of the prompt, so a repeated turn must
include those that were not seen. ``link`` records the messages that the model takes
with ``recv``, ``steering`` those delivered between two tool calls; ``session`` asks.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from pyglue.api.messages import Message
from pyglue.harness.claude.prompt import render


class Joined:
    """The messages that joined the running turn, in order."""

    def __init__(self) -> None:
        self._all: list[Message] = []
        self._steered: set[int] = set()
        self._unheard: dict[str, tuple[Message, ...]] = {}
        """Messages written to the CLI that it has not read yet."""

    def begin(self) -> None:
        """Begin a turn, which no message has joined."""
        self._all.clear()
        self._steered.clear()
        self._unheard.clear()

    def took(self, messages: Iterable[Message]) -> None:
        """Record messages that the model took itself."""
        self._all += messages

    def gave(self, line: str, messages: tuple[Message, ...]) -> None:
        """Record messages written to the CLI in the line with this ID."""
        self._all += messages
        self._steered |= {message.id for message in messages}
        self._unheard[line] = messages

    def echoed(self, line: str) -> tuple[Message, ...]:
        """Record that the CLI has read a line; return its messages."""
        return self._unheard.pop(line, ())

    @property
    def is_pending(self) -> bool:
        """Whether a line is written that the CLI has not read yet."""
        return bool(self._unheard)

    @property
    def heard(self) -> tuple[int, ...]:
        """The IDs of messages that the model got between two tool calls."""
        lost = {one.id for line in self._unheard.values() for one in line}
        return tuple(sorted(self._steered - lost))

    def missed(self) -> str:
        """Return the text to append to the prompt if the conversation continues.

        Its messages count as delivered from now on.
        """
        lost = [one for line in self._unheard.values() for one in line]
        self._unheard.clear()
        return _again(lost)

    def again(self) -> str:
        """Return the text to append to the prompt of a new conversation.

        Its messages count as delivered from now on.
        """
        self._unheard.clear()
        return _again(self._all)


def _again(messages: list[Message]) -> str:
    if not messages:
        return ""
    return "\n\n" + render(replace(one, redelivered=True) for one in messages)
