"""What every agent's socket offers, and what hived sends to the harness over it.

Only the harness and ``hive-mcp`` call these. The sender is always the agent that owns
the socket; no field can say otherwise.
"""

from typing import Annotated, ClassVar, Final

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
from pyglue.api.live_text import LiveTextParams, WatchedParams
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
from pyglue.api.secrets import ExposedResult
from pyglue.api.turns import (
    StateParams,
    SteerParams,
    SteerResult,
    TurnEndParams,
    TurnEndResult,
    TurnEventParams,
    TurnStartParams,
    TurnStartResult,
    WarmthParams,
)

SEND: Final = Method("send", SendParams, SendResult)
RECV: Final = Method("recv", RecvParams, RecvResult)
ACK: Final = Method("ack", AckParams, AckResult)
"""Not for the harness, whose messages are acknowledged by the end of the turn."""
ASK: Final = Method("ask", AskParams, AskResult)
ANSWER: Final = Method("answer", AnswerParams, Done)
CANCEL_QUESTION: Final = Method("cancel_question", CancelQuestionParams, Done)


class RemindParams(Params, frozen=True):
    """Schedule a message to the caller, after a delay or at a time."""

    text: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=4096,
            description="A note to yourself: say what to do.",
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
                description="Repeat the reminder at this interval.",
            ),
        ]
        | None
    ) = None

    TRUST: ClassVar = {
        "text": "no: delivered to the caller itself, labelled as its reminder",
        "in_seconds": "bounded by the type",
        "at": "parsed; must be in the future",
        "repeat_seconds": "bounded by the type",
    }


class RemindResult(Result, frozen=True):
    """The reminder's id and due time."""

    reminder: int
    due_at: float


REMIND: Final = Method("remind", RemindParams, RemindResult)


class CancelReminderParams(Params, frozen=True):
    """Cancel one of the caller's reminders."""

    reminder: Annotated[Id, Meta(description="The reminder's id.")]

    TRUST: ClassVar = {"reminder": "must be the caller's own"}


CANCEL_REMINDER: Final = Method("cancel_reminder", CancelReminderParams, Done)


OPEN_DAYS: Final = 7
"""Days whose messages ``open_threads`` lists."""
OPEN_MOST: Final = 32
"""Most messages of each direction, and questions, that ``open_threads`` lists."""


class OpenMessage(Result, frozen=True):
    """A message from the last week without an answer in ``reply_to``."""

    id: int
    sender: str
    recipient: str
    sent_at: float
    begins: str


class OpenQuestion(Result, frozen=True):
    """An unanswered question."""

    id: int
    asker: str
    to: str
    question: str
    options: tuple[str, ...]
    asked_at: float
    expires_at: float | None


class OpenReminder(Result, frozen=True):
    """A reminder that is not yet due."""

    id: int
    text: str
    due_at: float
    repeat_seconds: int | None


class OpenThreadsResult(Result, frozen=True):
    """The caller's open threads; messages newest first, at most 32 of each kind."""

    to_answer: tuple[OpenMessage, ...]
    unanswered: tuple[OpenMessage, ...]
    questions_to_me: tuple[OpenQuestion, ...]
    my_questions: tuple[OpenQuestion, ...]
    reminders: tuple[OpenReminder, ...]


OPEN_THREADS: Final = Method("open_threads", NoParams, OpenThreadsResult)


class WhoamiResult(Result, frozen=True):
    """What the hive knows about the caller; ``recipients`` None means anyone."""

    name: str
    role: Role
    model: str
    manifest_sha256: str
    allowed_recipients: tuple[str, ...] | None
    waiting: int
    deployed_commit: str | None
    description: str


EXPOSED: Final = Method("exposed_secrets", NoParams, ExposedResult)
"""Called by the harness at its start and before each turn."""
WHOAMI: Final = Method("whoami", NoParams, WhoamiResult)
TURN_START: Final = Method("turn_start", TurnStartParams, TurnStartResult)
TURN_END: Final = Method("turn_end", TurnEndParams, TurnEndResult)
STEER: Final = Method("steer", SteerParams, SteerResult)
STATE: Final = Note("state", StateParams)
TURN_EVENT: Final = Note("turn_event", TurnEventParams)
LIVE_TEXT: Final = Note("live_text", LiveTextParams)
"""Only while ``watched``."""
WARMTH: Final = Note("warmth", WarmthParams)


class CancelTurnParams(Params, frozen=True):
    """To the harness: cancel the running turn; its messages are queued again."""

    reason: ShortText


CANCEL_TURN: Final = Method("cancel_turn", CancelTurnParams, Done)


class ControlParams(Params, frozen=True):
    """To the harness: its operating state; also sent after each hello.

    ``paused`` and ``over_budget`` are the reasons why no turn may start, None if one
    may. ``again`` is sent once: retry now, whatever the harness is waiting for.
    """

    paused: ShortText | None = None
    over_budget: ShortText | None = None
    again: bool = False


CONTROL: Final = Note("control", ControlParams)
COMPACT_SESSION: Final = Method("compact_session", NoParams, Done)
"""To the harness: compact the session once no turn is running."""
COOL: Final = Note("cool", NoParams)
"""To the harness: do not keep a CLI for the next turn."""
WATCHED: Final = Note("watched", WatchedParams)
"""To the harness: whether anyone watches the model's output; also after each hello."""
NEWS: Final = Note("news", NoParams)
"""To the harness: a message is pending that the running turn does not have."""
BEGIN_SESSION: Final = Method("begin_session", NoParams, Done)
"""To the harness: start a new session once no turn is running."""
