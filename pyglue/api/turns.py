"""Turns, as a harness reports them to hived: start, events, end, and its state.

The calls are declared in ``agent``; these are their types.
"""

from enum import StrEnum
from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import Meta, field

from pyglue.api import trust
from pyglue.api.common import AgentState, Id, Params, Result, ShortText
from pyglue.api.messages import Message

STEERED_MAX: Final = 1024
"""Most messages that can be delivered to one running turn."""
STEERED_AT_ONCE: Final = 32
"""Most of them in one result."""


class TurnOutcome(StrEnum):
    """How a turn ended. Only the first two acknowledge its messages.

    ``compacted_and_retried``: the conversation was too long, was compacted, and then
    the turn succeeded.
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
    """Start a turn with ``messages``; None: with every message leased to the caller.

    Leased messages that the caller does not name never reached it, and are queued
    again. hived chooses the model and returns it. Harnesses of earlier versions send
    ``model``; hived refuses any but its own choice.
    """

    model: ShortText | None = None
    messages: Annotated[tuple[Id, ...], Meta(max_length=64)] | None = None
    warm: bool = False
    """Whether a CLI had been kept for this turn."""

    TRUST: ClassVar = {
        "model": "absent, or the model that hived chose; enters no policy and no row",
        "messages": trust.OWN,
        "warm": f"{trust.NO}; counted in the hive's metrics",
    }


class TurnStartResult(Result, frozen=True):
    """The turn's id, which its end must name, and its model.

    ``budget_usd`` is the rest of the daily budget; None means no limit, or that the CLI
    does not know the model's price and only hived and the relay hold the agent to it.
    ``context_window`` is that of a model that the CLI does not know.
    """

    turn: int
    model: str
    budget_usd: float | None = None
    context_window: int | None = None


Count = Annotated[int, Meta(ge=0, le=2**53)]


class TurnEndParams(Params, frozen=True):
    """A turn ended; its numbers are the harness's own: they are shown, never trusted.

    ``blames_messages``, ``blames_mail`` on the wire: the failure counts against the
    turn's messages, because one of them may be the cause. ``budget_used``: the CLI
    stopped at its ``budget_usd``; whether a limit of the hive is used up follows from
    hived's own books.
    """

    turn: Id
    outcome: TurnOutcome
    reason: ShortText | None = None
    duration_ms: Count = 0
    steps: Count = 0
    tool_calls: Count = 0
    denials: Count = 0
    input_tokens: Count = 0
    output_tokens: Count = 0
    cost_usd: Annotated[float, Meta(ge=0, le=1e9)] = 0.0
    blames_messages: bool = field(default=True, name="blames_mail")
    budget_used: bool = False
    warm_bytes: Count = 0
    """Memory of the turn's CLI, if it can be kept for the next one; 0: it cannot."""
    heard: Annotated[tuple[Id, ...], Meta(max_length=STEERED_MAX)] = ()
    """The messages from ``steer`` that reached the model."""

    TRUST: ClassVar = {
        "turn": "must be the running turn of the caller",
        "outcome": (
            "decides only about the caller's own messages; used-up limits and restored "
            "credit follow from hived's books and the relay"
        ),
        "reason": trust.NO,
        "duration_ms": trust.NO,
        "steps": trust.NO,
        "tool_calls": trust.NO,
        "denials": trust.NO,
        "input_tokens": trust.METRIC,
        "output_tokens": trust.METRIC,
        "cost_usd": f"{trust.METRIC}; never counts against or for a limit",
        "blames_mail": "decides only about the caller's own messages",
        "budget_used": "only skips the question about credit; see outcome",
        "warm_bytes": trust.WARM,
        "heard": trust.OWN,
    }


class TurnEndResult(Result, frozen=True):
    """``retry_after_s``: how long the model provider asked us to back off.

    ``keep_warm``: the CLI may be kept for the next turn.
    """

    retry_after_s: float | None = None
    keep_warm: bool = False


class SteerParams(Params, frozen=True):
    """Take the messages to insert into the running turn, between two tool calls.

    These are messages from the operator and of high priority. They belong to the turn
    like its first messages, and are acknowledged with it if ``turn_end`` reports that
    they reached the model.
    """

    turn: Id

    TRUST: ClassVar = {"turn": "must be the running turn of the caller"}


class SteerResult(Result, frozen=True):
    """The messages, and the number, senders and newest id of all others pending."""

    messages: tuple[Message, ...]
    waiting: int = 0
    senders: tuple[str, ...] = ()
    newest: int = 0


class WarmthParams(Params, frozen=True):
    """Memory of the CLI kept for the next turn; 0: none is kept any more."""

    bytes: Count

    TRUST: ClassVar = {"bytes": trust.WARM}


class StateParams(Params, frozen=True):
    """The harness's own state; ``since_at`` None means now."""

    state: AgentState
    detail: ShortText | None = None
    since_at: float | None = None

    TRUST: ClassVar = {
        "state": (
            "shown as the harness's claim; the host's own states, and paused or "
            "over_budget when hived did not say so, are ignored"
        ),
        "detail": f"{trust.NO}; for paused and over_budget hived's own reason is shown",
        "since_at": "no: shown; never in the future, nor before the harness's hello",
    }


class TurnEventParams(Params, frozen=True):
    """One live event of the running turn. ``data`` is shown as text only.

    Its kind is one in `docs/events.md`, or one from another version of the harness.
    """

    turn: Id | None
    kind: Annotated[str, Meta(max_length=40, pattern="^[a-z][a-z_]*$")]
    data: msgspec.Raw

    TRUST: ClassVar = {
        "turn": "no: shown with the event",
        "kind": f"{trust.NO}; may be unknown to hived",
        "data": (
            f"{trust.NO}; size and rate are limited, and anything but a plain JSON "
            "object is left out. hived reads only the shapes below from it"
        ),
    }
