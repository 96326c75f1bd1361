"""Turns, as a harness tells hived of them: beginning, events, end, and its state.

``agent`` names the calls; these are their types.
"""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from pyglue.api.common import AgentState, Id, Params, Result, ShortText


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

    Messages that the caller holds and does not name never reached it, and are queued
    again. hived chooses the model and returns it. Harnesses of earlier versions send
    ``model``; hived refuses any but its own choice.
    """

    model: ShortText | None = None
    messages: Annotated[tuple[Id, ...], Meta(max_length=64)] | None = None


class TurnStartResult(Result, frozen=True):
    """The turn's id, to be given back at its end, and the model that it uses.

    ``budget_usd`` is what is left of the day; None means no limit.
    """

    turn: int
    model: str
    budget_usd: float | None = None


Count = Annotated[int, Meta(ge=0, le=2**53)]


class TurnEndParams(Params, frozen=True):
    """A turn ended; figures are the harness's own and only shown, never trusted.

    ``blames_mail``: a turn that failed counts against its messages, since one of them
    may be the cause. ``budget_used``: the CLI stopped at the ``budget_usd`` that it was
    told; whether a limit of the hive is used up is for hived's own books to say.
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
    blames_mail: bool = True
    budget_used: bool = False


class TurnEndResult(Result, frozen=True):
    """``retry_after_s`` is what the model's side asked to wait, if it did."""

    retry_after_s: float | None = None


class StateParams(Params, frozen=True):
    """The harness's own state; ``since_at`` None means from now on."""

    state: AgentState
    detail: ShortText | None = None
    since_at: float | None = None


class TurnEventParams(Params, frozen=True):
    """One live event of the running turn. ``data`` is shown as text only.

    It is an object of a kind in `docs/events.md`, or of one that another version of the
    harness has.
    """

    turn: Id | None
    kind: Annotated[str, Meta(max_length=40, pattern="^[a-z][a-z_]*$")]
    data: msgspec.Raw
