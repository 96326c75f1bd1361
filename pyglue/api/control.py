"""Controls of a running agent: pause, cancel, compact, model choice.

Also the reason why an agent runs no turn, for all views.

The calls are declared in ``operator``; these are their types.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from pyglue.api.common import AgentName, Params, Result

Reason = Annotated[str, Meta(max_length=1000)]


class PauseParams(Params, frozen=True):
    """Block new turns; with ``cancel`` also cancel the running one."""

    agent: AgentName
    reason: Reason = ""
    cancel: bool = False


class PauseAllParams(Params, frozen=True):
    """The emergency stop: pause the whole hive and cancel every turn."""

    reason: Reason = ""


class AfterCancel(StrEnum):
    """What to do with the messages of a cancelled turn.

    ``requeue``: they are delivered again; ``later``: after all others; ``drop``: never.
    """

    REQUEUE = "requeue"
    LATER = "later"
    DROP = "drop"


class CancelTurnOfParams(Params, frozen=True):
    """Cancel the running turn; its messages are queued again."""

    agent: AgentName
    reason: Reason = ""
    messages: AfterCancel = AfterCancel.REQUEUE


class SetModelParams(Params, frozen=True):
    """Override the manifest's model from the next turn on."""

    agent: AgentName
    model: Annotated[str, Meta(min_length=1, max_length=256, pattern=r"\S")]


class ModelStatus(Result, frozen=True):
    """The models of an agent.

    ``active`` is the running turn's model, or else the last turn's. ``queued`` is the
    next turn's, if it differs. ``override`` is the operator's choice and takes
    precedence over ``manifest``; ``switched_at`` and ``switched_by`` record when it was
    last set or reset, and by whom.
    """

    manifest: str
    active: str
    queued: str | None = None
    override: str | None = None
    switched_at: float | None = None
    switched_by: str | None = None


class BlockReason(StrEnum):
    """The reason why an agent cannot start its next turn."""

    STOPPED = "stopped"
    HIVE_PAUSED = "hive_paused"
    PAUSED = "paused"
    DISK_FULL = "disk_full"
    QUOTA = "quota"
    OVER_BUDGET = "over_budget"
    MODEL_NOT_ALLOWED = "model_not_allowed"
    NO_ACCOUNT = "no_account"
    NEEDS_LOGIN = "needs_login"
    NO_CREDIT = "no_credit"
    RATE_LIMITED = "rate_limited"
    RETRYING = "retrying"
    STARTING = "starting"
    FAILED = "failed"


class Blocked(Result, frozen=True):
    """Why an agent runs no turn: the first of all reasons.

    ``text`` is the reason as a sentence, ``remedy`` how to end it; ``until_at`` is when
    it ends automatically, None if that is unknown or it does not.
    """

    reason: BlockReason
    text: str
    remedy: str
    until_at: float | None = None
