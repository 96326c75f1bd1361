"""What the operator may do to a working agent: pause, cancel, compact, choose a model.

``operator`` names the calls; these are their types.
"""

from typing import Annotated

from msgspec import Meta

from pyglue.api.common import AgentName, Params, Result

Reason = Annotated[str, Meta(max_length=1000)]


class PauseParams(Params, frozen=True):
    """Let no further turn begin; with ``cancel`` the running one is ended too."""

    agent: AgentName
    reason: Reason = ""
    cancel: bool = False


class PauseAllParams(Params, frozen=True):
    """The emergency stop: pause the whole hive and cancel every turn."""

    reason: Reason = ""


class CancelTurnOfParams(Params, frozen=True):
    """Cancel the running turn; its mail waits again."""

    agent: AgentName
    reason: Reason = ""


class SetModelParams(Params, frozen=True):
    """Use another model than the manifest's from the next turn on."""

    agent: AgentName
    model: Annotated[str, Meta(min_length=1, max_length=256, pattern=r"\S")]


class ModelStatus(Result, frozen=True):
    """Which model an agent uses.

    ``active`` is that of the running turn, else of the last one. ``queued`` is another
    one that holds from the next turn on. ``override`` is the operator's, over the
    ``manifest``'s; ``switched_at`` and ``switched_by`` tell when it was last set or
    reset, and by whom.
    """

    manifest: str
    active: str
    queued: str | None = None
    override: str | None = None
    switched_at: float | None = None
    switched_by: str | None = None
