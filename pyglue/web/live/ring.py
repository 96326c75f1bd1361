"""The messages of the live stream, and the bounded ring of the newest ones."""

import itertools
from collections import deque
from dataclasses import dataclass, field
from typing import Final

import msgspec

from pyglue.api.events import Event, GapParams
from pyglue.web.live.steps import step_of

_RING_CHARS: Final = 8 * 1024 * 1024
_RING_ITEMS: Final = 5000


@dataclass(frozen=True, kw_only=True)
class Item:
    """One message of the stream; ``seq`` is None unless it is hived's."""

    seq: int | None
    kind: str
    agent: str | None
    text: str
    step: str | None = None
    """For pages that show only the steps of turns: what begins or ends, as JSON."""


@dataclass
class Ring:
    """The newest messages; ``hub`` holds its lock around every call."""

    index: int = field(default=0, init=False)
    """How many messages were ever appended; only grows."""
    seq: int | None = field(default=None, init=False)
    """The number of hived's newest event; None before a subscription."""
    _items: deque[Item] = field(default_factory=deque, init=False)
    _chars: int = field(default=0, init=False)
    _floor: int = field(default=0, init=False)
    """Events up to this number are not here."""

    def clear(self) -> None:
        """Forget all messages and numbers."""
        self._items.clear()
        self._chars = self._floor = 0
        self.seq = None

    def start(self, seq: int) -> None:
        """Continue with the events after ``seq``."""
        if self.seq is None:
            self._floor = seq
        self.seq = seq

    def append(self, item: Item) -> None:
        """Add a message, and drop the oldest ones beyond the limits."""
        self._items.append(item)
        self.index += 1
        self._chars += len(item.text)
        if item.seq is not None:
            self.seq = item.seq
        while self._chars > _RING_CHARS or len(self._items) > _RING_ITEMS:
            gone = self._items.popleft()
            self._chars -= len(gone.text)
            self._floor = gone.seq or self._floor

    def after(self, index: int) -> list[Item] | None:
        """Return the messages appended after ``index``; None if some are gone."""
        new = self.index - index
        if new > len(self._items):
            return None
        return list(itertools.islice(reversed(self._items), new))[::-1]

    def count_after(self, seq: int) -> int | None:
        """Return how many messages follow the event ``seq``; None if some are gone."""
        if self.seq is None or seq >= self.seq:
            return 0
        if seq < self._floor:
            return None
        newer = itertools.takewhile(
            lambda item: item.seq is None or item.seq > seq, reversed(self._items)
        )
        return sum(1 for _ in newer)


def item_of(note: Event | GapParams) -> Item:
    """Return hived's notification as a message."""
    if isinstance(note, GapParams):
        return gap_item(note.seq, note.reason, numbered=True)
    return Item(
        seq=note.seq,
        kind=note.kind,
        agent=note.agent,
        text=text_of(note),
        step=step_of(note),
    )


def gap_item(seq: int, reason: str, *, numbered: bool = False) -> Item:
    """Return the message that events are missing; hived's own is ``numbered``."""
    gap = {"type": "gap", "seq": seq, "reason": reason}
    return Item(
        seq=seq if numbered else None,
        kind="gap",
        agent=None,
        text=msgspec.json.encode(gap).decode(),
    )


def text_of(event: Event) -> str:
    """Return an event in the form for pages, with its data unchanged."""
    shown = {"type": "event", **msgspec.structs.asdict(event)}
    return msgspec.json.encode(shown).decode()


def connection_item(up: bool) -> Item:
    """Return the message that says whether hived is connected."""
    kind = "up" if up else "down"
    return Item(seq=None, kind=kind, agent=None, text=f'{{"type": "{kind}"}}')
