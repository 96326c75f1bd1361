"""How the operator writes and reads messages; ``operator`` declares the calls."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from pyglue.api.common import AgentName, Id, Params, Result
from pyglue.api.messages import (
    Body,
    Clip,
    Mark,
    MessageKind,
    Priority,
    ShownMessage,
)


class OperatorSendParams(Params, frozen=True):
    """Send a message from the operator to an agent, or to ``all``.

    A message of the operator's inbox that it answers is marked done.
    """

    to: AgentName
    body: Body
    reply_to: Id | None = None
    priority: Priority = Priority.NORMAL


class SentResult(Result, frozen=True, omit_defaults=True):
    """The stored message's id (the last one's, if several).

    ``missed`` are the recipients of a broadcast whose inboxes were full. ``turn`` is
    the running turn that receives the message when its current tool call ends.
    """

    id: int
    missed: tuple[str, ...] = ()
    turn: int | None = None


class InboxFilter(StrEnum):
    """Which messages of the operator's inbox: open ones are unread or read."""

    OPEN = "open"
    UNREAD = "unread"
    DONE = "done"
    ALL = "all"


class InboxParams(Params, frozen=True):
    """The operator's inbox, newest first, older than ``before``.

    ``clip`` limits the length of each body.
    """

    show: InboxFilter = InboxFilter.OPEN
    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    before: Id | None = None
    clip: Clip | None = None


class InboxResult(Result, frozen=True):
    """The messages."""

    messages: tuple[ShownMessage, ...]


class MarkParams(Params, frozen=True):
    """Mark messages of the operator's inbox: ``ids``, and all up to ``up_to``.

    ``not_found`` if none of ``ids`` exists. Up to ``up_to``, ``read`` marks unread
    messages and ``done`` marks open ones; it cannot be combined with other marks.
    """

    mark: Mark
    ids: Annotated[tuple[Id, ...], Meta(max_length=500)] = ()
    up_to: Id | None = None


class PairsParams(Params, frozen=True):
    """The newest messages by pair of sender and recipient; ``agent`` is one of them."""

    agent: AgentName | None = None


class Pair(Result, frozen=True):
    """Two correspondents, in alphabetical order.

    ``messages`` counts both directions, ``newest_at`` is the time of the last one.
    """

    one: str
    other: str
    messages: int
    newest_at: float


class PairsResult(Result, frozen=True):
    """The pairs, the one with the newest message first.

    ``counted`` messages were examined; ``more``: there are older ones.
    """

    pairs: tuple[Pair, ...]
    counted: int
    more: bool


class ThreadParams(Params, frozen=True):
    """A message, the messages that it answers, and all answers to these.

    ``clip`` limits the characters of each body except that of message ``id``.
    """

    id: Id
    clip: Annotated[int, Meta(ge=1, le=4000)] = 4000


class ThreadResult(Result, frozen=True):
    """The thread, oldest first; ``more`` if it has more than these."""

    messages: tuple[ShownMessage, ...]
    more: bool = False


class MessagesParams(Params, frozen=True):
    """All messages of the hive, newest first, older than ``before``.

    ``agent`` is their sender or recipient, and so is ``peer``: with both, messages
    between these two; ``without`` is neither; ``sender`` is the author. ``text`` must
    occur in the body, ignoring case; ``clip`` limits the characters of each body.
    """

    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    before: Id | None = None
    agent: AgentName | None = None
    peer: AgentName | None = None
    without: AgentName | None = None
    sender: AgentName | None = None
    kind: MessageKind | None = None
    text: Annotated[str, Meta(max_length=200)] = ""
    clip: Clip | None = None


class MessagesResult(Result, frozen=True):
    """The messages."""

    messages: tuple[ShownMessage, ...]
