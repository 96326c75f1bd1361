"""What every agent's socket offers, and what hived says down that socket.

Called by the harness, ``hive-mcp`` and nobody else. The sender of everything here
is the agent whose socket it is; no field can say otherwise.
"""

from enum import StrEnum
from typing import Annotated, Any, Final

from msgspec import Meta

from pyglue.api.common import (
    AgentName,
    AgentState,
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

    to: AgentName
    body: Body
    reply_to: Id | None = None
    priority: Priority = Priority.NORMAL


class SendResult(Result, frozen=True, omit_defaults=True):
    """The message is durable; ``id`` names it (the last one, of several).

    ``missed`` are agents whose inbox was full when everyone was written to.
    """

    id: int
    hop: int
    missed: tuple[str, ...] = ()


SEND: Final = Method("send", SendParams, SendResult)


class RecvParams(Params, frozen=True):
    """Take up to ``max`` messages, waiting up to ``wait_seconds`` for the first.

    ``peek`` shows what waits without taking it.
    """

    wait_seconds: Annotated[float, Meta(ge=0, le=180)] = 0.0
    max: Annotated[int, Meta(ge=1, le=32)] = 1
    peek: bool = False


class RecvResult(Result, frozen=True):
    """The messages taken, and a hint for the model when there is one."""

    messages: tuple[Message, ...]
    hint: str | None = None


RECV: Final = Method("recv", RecvParams, RecvResult)


class AckParams(Params, frozen=True):
    """These messages, taken outside a turn, are done with; None: all of them."""

    messages: Annotated[tuple[Id, ...], Meta(max_length=64)] | None = None


class AckResult(Result, frozen=True):
    """How many were acknowledged."""

    acknowledged: int


ACK: Final = Method("ack", AckParams, AckResult)
"""Not the harness's: what it takes is acknowledged by the end of the turn."""


class AskParams(Params, frozen=True):
    """Ask the operator or a peer; the answer arrives as a message."""

    question: Annotated[str, Meta(min_length=1, max_length=16384)]
    options: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=512)], ...],
        Meta(max_length=16),
    ] = ()
    multi: bool = False
    ttl_seconds: Annotated[int, Meta(ge=1, le=30 * 86400)] | None = None
    to: AgentName = "operator"


class AskResult(Result, frozen=True):
    """The question's id, and when it expires if it does."""

    question: int
    expires_at: float | None = None


ASK: Final = Method("ask", AskParams, AskResult)


class AnswerParams(Params, frozen=True):
    """Answer a question that was put to the caller."""

    question: Id
    text: Annotated[str, Meta(max_length=65536)] = ""
    choices: Annotated[tuple[ShortText, ...], Meta(max_length=16)] = ()


ANSWER: Final = Method("answer", AnswerParams, Done)


class CancelQuestionParams(Params, frozen=True):
    """Take back a question that the caller put."""

    question: Id


CANCEL_QUESTION: Final = Method("cancel_question", CancelQuestionParams, Done)


class RemindParams(Params, frozen=True):
    """Be woken later by a message of the hive, in seconds or at a time (ISO 8601, UTC).

    ``repeat_seconds``: then again and again, that far apart.
    """

    text: Annotated[str, Meta(min_length=1, max_length=4096)]
    in_seconds: Annotated[int, Meta(ge=1, le=366 * 86400)] | None = None
    at: Annotated[str, Meta(max_length=64)] | None = None
    repeat_seconds: Annotated[int, Meta(ge=60, le=366 * 86400)] | None = None


class RemindResult(Result, frozen=True):
    """The reminder's id, and when it comes."""

    reminder: int
    due_at: float


REMIND: Final = Method("remind", RemindParams, RemindResult)


class CancelReminderParams(Params, frozen=True):
    """Cancel a reminder of the caller's."""

    reminder: Id


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


class TurnOutcome(StrEnum):
    """How a turn ended. Only the first two acknowledge the mail it was given.

    ``compacted_and_retried``: the conversation was too long, was shortened, and then
    the turn ended well.
    """

    OK = "ok"
    COMPACTED = "compacted_and_retried"
    CANCELLED = "cancelled"
    RATE_LIMITED = "rate_limited"
    AUTH = "auth"
    MAX_TURNS = "max_turns"
    BUDGET = "budget"
    FAILED = "failed"


class TurnStartParams(Params, frozen=True):
    """A turn begins over ``messages``; None: over every message that the caller holds.

    What the caller holds and does not name never reached it, and waits again.
    """

    model: ShortText
    messages: Annotated[tuple[Id, ...], Meta(max_length=64)] | None = None


class TurnStartResult(Result, frozen=True):
    """The turn's id, to be given back at its end.

    ``budget_usd`` is what is left of the day; None means no limit.
    """

    turn: int
    budget_usd: float | None = None


TURN_START: Final = Method("turn_start", TurnStartParams, TurnStartResult)


class TurnEndParams(Params, frozen=True):
    """A turn ended; figures are the harness's own and only shown, never trusted.

    ``blames_mail``: a turn that failed counts against its messages, since one of them
    may be the cause. ``budget_used``: the CLI stopped at the ``budget_usd`` that it was
    told.
    """

    turn: Id
    outcome: TurnOutcome
    reason: ShortText | None = None
    duration_ms: Annotated[int, Meta(ge=0)] = 0
    steps: Annotated[int, Meta(ge=0)] = 0
    tool_calls: Annotated[int, Meta(ge=0)] = 0
    denials: Annotated[int, Meta(ge=0)] = 0
    input_tokens: Annotated[int, Meta(ge=0)] = 0
    output_tokens: Annotated[int, Meta(ge=0)] = 0
    cost_usd: Annotated[float, Meta(ge=0)] = 0.0
    blames_mail: bool = True
    budget_used: bool = False


class TurnEndResult(Result, frozen=True):
    """``retry_after_s`` is what the model's side asked to wait, if it did."""

    retry_after_s: float | None = None


TURN_END: Final = Method("turn_end", TurnEndParams, TurnEndResult)


class StateParams(Params, frozen=True):
    """The harness's own state; ``since_at`` None means from now on."""

    state: AgentState
    detail: ShortText | None = None
    since_at: float | None = None


STATE: Final = Note("state", StateParams)


class TurnEventKind(StrEnum):
    """What happens inside a turn, as the dashboard shows it live."""

    TEXT = "text"
    THINKING = "thinking"
    TOOL_USE = "tool_use"
    TOOL_RESULT = "tool_result"
    DENIED = "denied"
    RETRY = "retry"
    COMPACTED = "compacted"
    SERVER = "server"
    RESULT = "result"
    LOG = "log"


class TurnEventParams(Params, frozen=True):
    """One live event of the running turn. ``data`` is shown as text only."""

    turn: Id | None
    kind: TurnEventKind
    data: dict[str, Any]


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
