"""Questions: asking, answering, closing, and how the operator sees them.

The calls are declared in ``agent`` and ``operator``; these are their types.
"""

from enum import StrEnum
from typing import Annotated, ClassVar

from msgspec import Meta

from pyglue.api import trust
from pyglue.api.common import AgentName, Id, Params, Result, ShortText


class AskParams(Params, frozen=True):
    """Ask the operator or a peer; the answer arrives as a message."""

    question: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=16384,
            description="What you need to know, and what depends on the answer.",
        ),
    ]
    options: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=512)], ...],
        Meta(max_length=16, description="Answers to choose from; none: free text."),
    ] = ()
    multi: Annotated[
        bool, Meta(description="Whether several options may be chosen.")
    ] = False
    ttl_seconds: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=30 * 86400,
                description="The question expires unanswered after this time.",
            ),
        ]
        | None
    ) = None
    to: Annotated[
        AgentName,
        Meta(
            description="Whom to ask: the name of an agent, 'manager', or 'operator' "
            "(the human)."
        ),
    ] = "operator"

    TRUST: ClassVar = {
        "question": trust.TEXT,
        "options": trust.TEXT,
        "multi": trust.QUEUE,
        "ttl_seconds": "bounded by the type",
        "to": "checked against the agents and the allowed recipients of the record",
    }


class AskResult(Result, frozen=True):
    """The question's id, and when it expires, if ever."""

    question: int
    expires_at: float | None = None


class AnswerParams(Params, frozen=True):
    """Answer a question to the caller."""

    question: Annotated[Id, Meta(description="The question's id.")]
    text: Annotated[
        str, Meta(max_length=65536, description="The answer in your own words.")
    ] = ""
    choices: Annotated[
        tuple[ShortText, ...],
        Meta(max_length=16, description="The chosen options, verbatim."),
    ] = ()

    TRUST: ClassVar = {
        "question": "must be an open question addressed to the caller",
        "text": trust.TEXT,
        "choices": "must be options of the question",
    }


class CancelQuestionParams(Params, frozen=True):
    """Cancel one of the caller's questions."""

    question: Annotated[Id, Meta(description="The question's id.")]

    TRUST: ClassVar = {"question": "must be the caller's own"}


class QuestionEnd(StrEnum):
    """How a question ended; the operator dismisses, the asker cancels."""

    ANSWERED = "answered"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    DISMISSED = "dismissed"


class QuestionView(Result, frozen=True):
    """A question; ``ended`` is None while it is open."""

    id: int
    asker: str
    to: str
    question: str
    options: tuple[str, ...]
    multi: bool
    asked_at: float
    expires_at: float | None
    answered_at: float | None
    answer: str | None
    ended: QuestionEnd | None = None


class QuestionsResult(Result, frozen=True):
    """Open questions to the operator first, then the newest others."""

    questions: tuple[QuestionView, ...]


class DismissParams(Params, frozen=True):
    """Close an open question without an answer; the asker reads the reason."""

    question: Id
    reason: ShortText = ""
