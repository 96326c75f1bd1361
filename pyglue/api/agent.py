"""What every agent's socket offers, and what hived says down that socket.

Called by the harness, ``hive-mcp`` and nobody else. The sender of everything here
is the agent whose socket it is; no field can say otherwise.
"""

from typing import Annotated, Final

from msgspec import Meta

from pyglue.api.common import (
    Done,
    Id,
    Method,
    NoParams,
    Note,
    Params,
    Result,
    Role,
    ShortText,
)
from pyglue.api.messages import (
    AckParams,
    AckResult,
    RecvParams,
    RecvResult,
    SendParams,
    SendResult,
)
from pyglue.api.questions import (
    AnswerParams,
    AskParams,
    AskResult,
    CancelQuestionParams,
)
from pyglue.api.turns import (
    StateParams,
    TurnEndParams,
    TurnEndResult,
    TurnEventParams,
    TurnStartParams,
    TurnStartResult,
)

SEND: Final = Method("send", SendParams, SendResult)
RECV: Final = Method("recv", RecvParams, RecvResult)
ACK: Final = Method("ack", AckParams, AckResult)
"""Not the harness's: what it takes is acknowledged by the end of the turn."""
ASK: Final = Method("ask", AskParams, AskResult)
ANSWER: Final = Method("answer", AnswerParams, Done)
CANCEL_QUESTION: Final = Method("cancel_question", CancelQuestionParams, Done)


class RemindParams(Params, frozen=True):
    """Be woken later by a message of the hive, in seconds or at a time."""

    text: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=4096,
            description="What to remember, for yourself: say what is to do.",
        ),
    ]
    in_seconds: (
        Annotated[
            int, Meta(ge=1, le=366 * 86400, description="How many seconds from now.")
        ]
        | None
    ) = None
    at: (
        Annotated[
            str,
            Meta(
                max_length=64,
                description="A time (ISO 8601) in UTC, as 2026-01-31T09:00:00Z.",
            ),
        ]
        | None
    ) = None
    repeat_seconds: (
        Annotated[
            int,
            Meta(
                ge=60,
                le=366 * 86400,
                description="Then again and again, that far apart.",
            ),
        ]
        | None
    ) = None


class RemindResult(Result, frozen=True):
    """The reminder's id, and when it comes."""

    reminder: int
    due_at: float


REMIND: Final = Method("remind", RemindParams, RemindResult)


class CancelReminderParams(Params, frozen=True):
    """Cancel a reminder of the caller's."""

    reminder: Annotated[Id, Meta(description="The reminder's id.")]


CANCEL_REMINDER: Final = Method("cancel_reminder", CancelReminderParams, Done)


class OpenMessage(Result, frozen=True):
    """A message of the last week that nobody answered with ``reply_to``."""

    id: int
    sender: str
    recipient: str
    sent_at: float
    begins: str


class OpenQuestion(Result, frozen=True):
    """A question without an answer yet."""

    id: int
    asker: str
    to: str
    question: str
    options: tuple[str, ...]
    asked_at: float
    expires_at: float | None


class OpenReminder(Result, frozen=True):
    """A reminder that is still to come."""

    id: int
    text: str
    due_at: float
    repeat_seconds: int | None


class OpenThreadsResult(Result, frozen=True):
    """What is open around the caller; messages newest first, at most 32 of each."""

    to_answer: tuple[OpenMessage, ...]
    unanswered: tuple[OpenMessage, ...]
    questions_to_me: tuple[OpenQuestion, ...]
    my_questions: tuple[OpenQuestion, ...]
    reminders: tuple[OpenReminder, ...]


OPEN_THREADS: Final = Method("open_threads", NoParams, OpenThreadsResult)


class WhoamiResult(Result, frozen=True):
    """What the hive knows of the caller. None for recipients means anyone."""

    name: str
    role: Role
    model: str
    manifest_sha256: str
    allowed_recipients: tuple[str, ...] | None
    waiting: int
    deployed_commit: str | None
    description: str


WHOAMI: Final = Method("whoami", NoParams, WhoamiResult)
TURN_START: Final = Method("turn_start", TurnStartParams, TurnStartResult)
TURN_END: Final = Method("turn_end", TurnEndParams, TurnEndResult)
STATE: Final = Note("state", StateParams)
TURN_EVENT: Final = Note("turn_event", TurnEventParams)


class CancelTurnParams(Params, frozen=True):
    """Down the socket: interrupt the running turn; its mail goes back."""

    reason: ShortText


CANCEL_TURN: Final = Method("cancel_turn", CancelTurnParams, Done)


class ControlParams(Params, frozen=True):
    """Down: what is wanted of this harness from now on; said after each hello too.

    ``paused`` and ``over_budget`` are why no turn may begin, None if one may. ``again``
    is said once: whatever the harness waits for, it is to try now.
    """

    paused: ShortText | None = None
    over_budget: ShortText | None = None
    again: bool = False


CONTROL: Final = Note("control", ControlParams)
COMPACT_SESSION: Final = Method("compact_session", NoParams, Done)
"""Down the socket: shorten the session as soon as no turn runs."""
