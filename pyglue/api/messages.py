"""Messages: what one is, how it is sent and taken, and how the operator reads them.

``agent`` and ``operator`` name the calls; these are their types.
"""

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta

from pyglue.api.common import NOT_FOR_MODELS, AgentName, Id, Params, Result

BODY_LIMIT: Final = 256 * 1024
"""Largest message body in bytes of UTF-8."""


Body = Annotated[str, Meta(min_length=1, max_length=BODY_LIMIT)]


class MessageKind(StrEnum):
    """Who made a message: a peer's own words, or the hive itself."""

    MESSAGE = "message"
    QUESTION = "question"
    ANSWER = "answer"
    EVENT = "event"


class Priority(StrEnum):
    """Order in an inbox; within one priority the oldest comes first."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class Message(Result, frozen=True):
    """One message in an inbox.

    ``redelivered`` says that it was handed out before and came back; ``hop`` counts
    how many agents' turns lie between it and a human.
    """

    id: int
    sender: str
    recipient: str
    body: str
    kind: MessageKind
    priority: Priority
    sent_at: float
    hop: int
    redelivered: bool
    reply_to: int | None = None


class SendParams(Params, frozen=True):
    """Send ``body`` to an agent, to ``manager`` or to ``operator``.

    The manager may also send to ``all``: every other agent gets a message of its own.
    """

    to: Annotated[
        AgentName,
        Meta(
            description="Name of an agent, or 'manager', or 'operator' (the human). "
            "The manager may also say 'all'."
        ),
    ]
    body: Annotated[
        Body,
        Meta(
            description="The text, at most 256 KiB of UTF-8. Say what you need and why."
        ),
    ]
    reply_to: (
        Annotated[Id, Meta(description="Id of the message that this answers.")] | None
    ) = None
    priority: Annotated[
        Priority, Meta(description="Order in the recipient's inbox.")
    ] = Priority.NORMAL


class SendResult(Result, frozen=True, omit_defaults=True):
    """The message is durable; ``id`` names it (the last one, of several).

    ``missed`` are agents whose inbox was full when everyone was written to.
    """

    id: int
    hop: int
    missed: tuple[str, ...] = ()


class RecvParams(Params, frozen=True):
    """Take up to ``max`` messages, waiting up to ``wait_seconds`` for the first.

    ``peek`` shows what waits without taking it. ``had`` ends these of what this
    connection took outside a turn, and lets the rest of that wait again: its answer
    crossed with the end of the call, or the client had given up by then. A harness had
    none. None leaves it all as it is.
    """

    wait_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=180,
            description="How long to wait for the first message; 0: not at all.",
        ),
    ] = 0.0
    max: Annotated[
        int, Meta(ge=1, le=32, description="Maximum number of messages to take.")
    ] = 1
    peek: Annotated[
        bool, Meta(description="Only look: the messages stay in the inbox.")
    ] = False
    had: (
        Annotated[
            tuple[Id, ...],
            Meta(
                max_length=64,
                description="Ids of messages from an earlier recv that you are done "
                "with. All others that you took wait again.",
                extra_json_schema={NOT_FOR_MODELS: True},
            ),
        ]
        | None
    ) = None


class RecvResult(Result, frozen=True):
    """The messages taken, and a hint for the model when there is one."""

    messages: tuple[Message, ...]
    hint: str | None = None


class AckParams(Params, frozen=True):
    """These messages, taken outside a turn, are done with; None: all of them."""

    messages: (
        Annotated[
            tuple[Id, ...],
            Meta(max_length=64, description="Their ids; all of them if left out."),
        ]
        | None
    ) = None


class AckResult(Result, frozen=True):
    """How many were acknowledged."""

    acknowledged: int


class OperatorSendParams(Params, frozen=True):
    """The operator writes to an agent, or to ``all`` of them."""

    to: AgentName
    body: Body
    reply_to: Id | None = None
    priority: Priority = Priority.NORMAL


class SentResult(Result, frozen=True, omit_defaults=True):
    """The durable message's id (the last one, of several).

    ``missed`` are agents whose inbox was full when everyone was written to.
    """

    id: int
    missed: tuple[str, ...] = ()


Clip = Annotated[int, Meta(ge=1, le=BODY_LIMIT)]


class ShownMessage(Message, frozen=True):
    """A message as a list shows it."""

    left_out: int = 0
    """How many characters of the body ``clip`` left out."""


class InboxParams(Params, frozen=True):
    """The operator's inbox, newest first; ``clip`` is the most of each body."""

    unread_only: bool = False
    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    clip: Clip | None = None


class InboxMessage(Result, frozen=True):
    """A message to the operator."""

    message: ShownMessage
    read: bool


class InboxResult(Result, frozen=True):
    """The messages."""

    messages: tuple[InboxMessage, ...]


class MarkReadParams(Params, frozen=True):
    """Mark one message of the operator's inbox as read."""

    id: Id


class MessagesParams(Params, frozen=True):
    """The flow of all messages, newest first, older than ``before``.

    ``agent`` sent or got them; ``text`` is in their body, whatever its case; ``clip``
    is the most characters of each body that are wanted.
    """

    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    before: Id | None = None
    agent: AgentName | None = None
    kind: MessageKind | None = None
    text: Annotated[str, Meta(max_length=200)] = ""
    clip: Clip | None = None


class MessagesResult(Result, frozen=True):
    """The messages."""

    messages: tuple[ShownMessage, ...]
