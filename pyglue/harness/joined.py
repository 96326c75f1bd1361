"""The messages that reached the running turn after its prompt.

The end of the turn acknowledges them like those of the prompt, so whoever runs the turn
once more gives again what was not seen. ``link`` notes what the model takes by
``recv``, ``steering`` what it is given between two tool calls; ``session`` asks.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from pyglue.api.messages import Message
from pyglue.harness.claude.prompt import render


class Joined:
    """What joined the running turn, in this order."""

    def __init__(self) -> None:
        self._all: list[Message] = []
        self._steered: set[int] = set()
        self._unheard: dict[str, tuple[Message, ...]] = {}
        """What was written to the CLI, and has not been taken by it yet."""

    def begin(self) -> None:
        """Let a turn begin, which nothing has joined."""
        self._all.clear()
        self._steered.clear()
        self._unheard.clear()

    def took(self, messages: Iterable[Message]) -> None:
        """Note what the model took itself."""
        self._all += messages

    def gave(self, line: str, messages: tuple[Message, ...]) -> None:
        """Note what is written to the CLI in one line of this id."""
        self._all += messages
        self._steered |= {message.id for message in messages}
        self._unheard[line] = messages

    def echoed(self, line: str) -> tuple[Message, ...]:
        """Note that the CLI has taken a line; return its messages."""
        return self._unheard.pop(line, ())

    @property
    def is_pending(self) -> bool:
        """Whether the CLI has something that it has not taken yet."""
        return bool(self._unheard)

    @property
    def heard(self) -> tuple[int, ...]:
        """The ids of what the model was given between two tool calls."""
        lost = {one.id for line in self._unheard.values() for one in line}
        return tuple(sorted(self._steered - lost))

    def missed(self) -> str:
        """Return what goes after the prompt when the conversation goes on.

        It counts as given from here on.
        """
        lost = [one for line in self._unheard.values() for one in line]
        self._unheard.clear()
        return _again(lost)

    def again(self) -> str:
        """Return what goes after the prompt in a conversation that saw none of it.

        It counts as given from here on.
        """
        self._unheard.clear()
        return _again(self._all)


def _again(messages: list[Message]) -> str:
    if not messages:
        return ""
    return "\n\n" + render(replace(one, redelivered=True) for one in messages)
