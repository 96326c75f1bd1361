"""Proposals: the queue, what the operator reviews, and the decision.

The calls are declared in ``operator``; these are their types.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta

from pyglue.api.common import AgentName, HexSha, Id, Params, Result
from pyglue.api.diff import DiffLine, FileDiff
from pyglue.api.secrets import SecretUse
from pyglue.api.system import SystemDetail
from pyglue.api.wakeups import ScheduleView, WebhookView


class ApprovalKind(StrEnum):
    """What an approval does."""

    SPAWN = "spawn"
    CHANGE = "change"
    RESTORE = "restore"
    ROLLBACK = "rollback"
    REBUILD = "rebuild"


class ApprovalState(StrEnum):
    """The state of a proposal."""

    PENDING = "pending"
    DENIED = "denied"
    CHANGES_REQUESTED = "changes_requested"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    APPROVED = "approved"
    BUILDING = "building"
    DEPLOYED = "deployed"
    FAILED = "failed"

    @property
    def word(self) -> str:
        """The word shown to people; ``building`` lasts until the deployment has
        ended."""
        return "deploying" if self is ApprovalState.BUILDING else self.replace("_", " ")


class Effect(StrEnum):
    """How a change to one option affects the agent's permissions."""

    WIDENS = "widens"
    NARROWS = "narrows"
    BEHAVIOUR = "changes behaviour"
    NEUTRAL = "neutral"


class Danger(StrEnum):
    """How bad an unintended additional permission is, worst first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"


class PolicyChange(Result, frozen=True):
    """A changed option, in words. ``before``/``after`` are JSON text.

    Only a widening change has a ``danger``; earlier versions did not store it.
    """

    option: str
    effect: Effect
    sentence: str
    before: str | None
    after: str | None
    danger: Danger | None = None


def critical(policy: Sequence[PolicyChange]) -> tuple[int, ...]:
    """Return the critical changes of an approval, by their numbers in it, from 1."""
    found = enumerate(policy, 1)
    return tuple(n for n, one in found if one.danger is Danger.CRITICAL)


class ApprovalSummary(Result, frozen=True):
    """A row in the approval queue."""

    id: int
    agent: str
    kind: ApprovalKind
    state: ApprovalState
    commit: str
    manifest_sha256: str
    description: str
    proposed_by: str
    created_at: float
    decided_at: float | None
    decided_by: str | None
    reason: str | None
    widens: tuple[str, ...]
    operation: int | None
    danger: Danger | None = None
    """The worst danger of its widening changes; None if there are none, or unknown."""


class ApprovalsParams(Params, frozen=True):
    """Filter the queue; newest first, older than ``before``."""

    state: ApprovalState | None = None
    agent: AgentName | None = None
    before: Id | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class ApprovalsResult(Result, frozen=True):
    """The rows."""

    approvals: tuple[ApprovalSummary, ...]


class DiffBase(StrEnum):
    """What a proposal is compared with."""

    RUNNING = "running"
    APPROVED = "approved"
    PREVIOUS = "previous"


BASE_NAMES: Final = {
    DiffBase.RUNNING: "the deployed version",
    DiffBase.APPROVED: "the last approved version",
    DiffBase.PREVIOUS: "the previous proposal",
}


class DiffSet(Result, frozen=True):
    """The files that differ from one base; ``commit`` None is an empty base."""

    base: DiffBase
    commit: str | None
    files: tuple[FileDiff, ...]


COMMENT_MAX: Final = 2000
"""Characters of one comment."""
COMMENTS_MAX: Final = 50
COMMENTED_LINES: Final = 20
"""Most lines that one comment can cover."""
_LineNo = Annotated[int, Meta(ge=1, le=10**7)]


class LineComment(Params, frozen=True):
    """A comment on a line of a file, or on the lines up to ``to``.

    Line numbers refer to the proposed file or, with ``base``, to that version.
    """

    file: Annotated[str, Meta(min_length=1, max_length=4096)]
    line: _LineNo
    text: Annotated[str, Meta(min_length=1, max_length=COMMENT_MAX)]
    to: _LineNo | None = None
    base: DiffBase | None = None


class QuotedComment(Result, frozen=True):
    """A comment with its lines, long ones truncated.

    ``line_now`` is where the same lines begin in a later proposal, if they are there.
    """

    file: str
    line: int
    to: int
    base: DiffBase | None
    text: str
    quoted: tuple[str, ...]
    line_now: int | None = None

    @property
    def place(self) -> str:
        """Say which lines: ``line 3``, ``lines 3 to 5``."""
        if self.line == self.to:
            return f"line {self.line}"
        return f"lines {self.line} to {self.to}"


class ChangesRequested(Result, frozen=True):
    """The changes that the operator last requested for the agent."""

    approval: int
    text: str
    comments: tuple[QuotedComment, ...]


class ApprovalParams(Params, frozen=True):
    """Names an approval."""

    id: Id


class ApprovalDetail(Result, frozen=True):
    """Everything the operator reviews, pinned by commit and manifest hash."""

    approval: ApprovalSummary
    author: str
    message: str
    policy: tuple[PolicyChange, ...]
    diffs: tuple[DiffSet, ...]
    manifest_json: str
    manifest_before_json: str | None
    system: SystemDetail | None = None
    """Its NixOS system: packages, build log, closure; None on the local backend."""
    expires_at: float | None = None
    """When it expires without a decision; None once it is not pending."""
    schedule: tuple[ScheduleView, ...] = ()
    """The next times at which the proposed agent would be woken."""
    webhooks: tuple[WebhookView, ...] = ()
    comments: tuple[QuotedComment, ...] = ()
    """The comments with which the operator requested changes to this proposal."""
    asked: ChangesRequested | None = None
    """The requested changes that this proposal may answer."""
    secrets: tuple[SecretUse, ...] = ()


CONTEXT_MAX: Final = 500
"""Lines of context that one call returns."""


class ContextParams(Params, frozen=True):
    """Names lines around the changes to a file, by their numbers in the proposed file.

    ``base`` is what the proposal is compared with; the lines must be the same in both.
    """

    id: Id
    file: Annotated[str, Meta(min_length=1, max_length=4096)]
    first: _LineNo
    last: _LineNo
    base: DiffBase = DiffBase.RUNNING


class ContextResult(Result, frozen=True):
    """The lines, each with its number in both versions."""

    lines: tuple[DiffLine, ...]


class CompareParams(Params, frozen=True):
    """Names two versions of an agent, each by its approval."""

    agent: AgentName
    old: Id
    new: Id


class Comparison(Result, frozen=True):
    """What differs between two versions of an agent, from ``old`` to ``new``.

    ``policy`` is the effect on permissions; ``manifest`` the manifests as JSON, line by
    line. Packages of NixOS systems are not compared.
    """

    old: ApprovalSummary
    new: ApprovalSummary
    policy: tuple[PolicyChange, ...]
    files: tuple[FileDiff, ...]
    manifest: FileDiff


class ApproveParams(Params, frozen=True):
    """Approve exactly what was shown.

    ``accepted`` has exactly the numbers of the critical changes in ``policy``, from 1.
    """

    id: Id
    commit: HexSha
    manifest: HexSha
    accepted: Annotated[tuple[Id, ...], Meta(max_length=10_000)] = ()


class DenyParams(Params, frozen=True):
    """Deny with a reason; the manager reads it."""

    id: Id
    reason: Annotated[str, Meta(min_length=1, max_length=8192)]


class RequestChangesParams(Params, frozen=True):
    """End a proposal by asking the manager for changes.

    ``text`` is the general comment; it or ``comments`` must not be empty.
    """

    id: Id
    text: Annotated[str, Meta(max_length=8192)] = ""
    comments: Annotated[tuple[LineComment, ...], Meta(max_length=COMMENTS_MAX)] = ()
