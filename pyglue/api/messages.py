"""Messages: their types, and how agents send and receive them.

``agent`` declares the calls; ``inbox`` has the types of the operator.
"""

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from msgspec import Meta

from pyglue.api import trust
from pyglue.api.common import NOT_FOR_MODELS, AgentName, Id, Params, Result
from pyglue.errors import ErrorCode, HiveError

BODY_LIMIT: Final = 256 * 1024
"""Largest message body in bytes of UTF-8."""


def body_too_large(size: int) -> HiveError:
    """Return the error for a message of ``size`` bytes."""
    kib = -(-size // 1024)
    return HiveError(
        ErrorCode.TOO_LARGE,
        f"The message is {kib} KiB; at most {BODY_LIMIT // 1024} KiB. Put it in a file "
        "and send its path.",
    )


Body = Annotated[str, Meta(min_length=1, max_length=BODY_LIMIT)]


class MessageKind(StrEnum):
    """The author of a message: a peer, or the hive itself."""

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

    ``redelivered``: it was delivered before and returned to the inbox; ``hop`` counts
    the agents' turns between it and a human.
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

    The manager may also send to ``all``: every other agent gets its own message.
    """

    to: Annotated[
        AgentName,
        Meta(
            description="The name of an agent, 'manager', or 'operator' (the human). "
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
        Annotated[Id, Meta(description="Id of the message you are replying to.")] | None
    ) = None
    priority: Annotated[
        Priority, Meta(description="Order in the recipient's inbox.")
    ] = Priority.NORMAL

    TRUST: ClassVar = {
        "to": "checked against the agents and the allowed recipients of the record",
        "body": f"{trust.TEXT}; size and rate are limited",
        "reply_to": "no: a hint for the recipient; only closes threads with the caller",
        "priority": "only for the order in the recipient's inbox",
    }


class SendResult(Result, frozen=True, omit_defaults=True):
    """The message is stored; ``id`` is its id (the last one's, if several).

    ``missed`` are the recipients of a broadcast whose inboxes were full.
    """

    id: int
    hop: int
    missed: tuple[str, ...] = ()


class RecvParams(Params, frozen=True):
    """Take up to ``max`` messages, waiting up to ``wait_seconds`` for the first.

    ``peek`` shows pending messages without taking them. ``had`` acknowledges those of
    the messages that this connection took outside a turn, and queues the others again:
    the response may have been lost because the client gave up in the meantime. None
    changes nothing.
    """

    wait_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=180,
            description="How long to wait for the first message; 0: do not wait.",
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
                description="Ids of messages from an earlier recv that you finished "
                "with. All others that you took wait again.",
                extra_json_schema={NOT_FOR_MODELS: True},
            ),
        ]
        | None
    ) = None

    TRUST: ClassVar = {
        "wait_seconds": "bounded by the type",
        "max": "bounded by the type",
        "peek": trust.QUEUE,
        "had": trust.OWN,
    }


class RecvResult(Result, frozen=True):
    """The messages, and a hint for the model if there is one."""

    messages: tuple[Message, ...]
    hint: str | None = None


class AckParams(Params, frozen=True):
    """Acknowledge messages that were taken outside a turn; None: all of them."""

    messages: (
        Annotated[
            tuple[Id, ...],
            Meta(max_length=64, description="Their ids; all of them if left out."),
        ]
        | None
    ) = None

    TRUST: ClassVar = {"messages": trust.OWN}


class AckResult(Result, frozen=True):
    """How many were acknowledged."""

    acknowledged: int


Clip = Annotated[int, Meta(ge=1, le=BODY_LIMIT)]


class Stage(StrEnum):
    """The delivery status of a message."""

    QUEUED = "queued"
    DELIVERED = "delivered"
    DONE = "done"
    DROPPED = "dropped"


class Progress(Result, frozen=True):
    """The status of a message to an agent.

    ``turn`` is the one that has it, or had it last; ``at_boundary``: it reached that
    turn while it ran, after a tool call. ``answer`` is the id of the first reply.
    """

    stage: Stage
    turn: int | None = None
    at_boundary: bool = False
    answer: int | None = None


class Mark(StrEnum):
    """The operator's mark on a message of their inbox."""

    UNREAD = "unread"
    READ = "read"
    DONE = "done"


class ShownMessage(Message, frozen=True):
    """A message in a list."""

    left_out: int = 0
    """Characters of the body omitted by ``clip``."""
    progress: Progress | None = None
    """Its status, in lists that show it; None for a message to the operator."""
    mark: Mark | None = None
    """Its mark, in lists that show it; None for a message to an agent."""
