"""The audit log as the operator sees it; the calls are declared in ``operator``."""

from typing import Annotated, Any

from msgspec import Meta

from pyglue.api.common import AgentName, Params, Result

_Hash = Annotated[str, Meta(max_length=64)]
_Word = Annotated[str, Meta(max_length=128)]


class AuditAnchor(Params, frozen=True):
    """A log head stored elsewhere, as hived printed it on stderr."""

    seq: Annotated[int, Meta(ge=1, le=2**53)]
    head: _Hash


class AuditVerifyParams(Params, frozen=True):
    """Verify the hash chain, and that the log contains these anchors."""

    anchors: Annotated[tuple[AuditAnchor, ...], Meta(max_length=4096)] = ()


class AuditVerdict(Result, frozen=True):
    """``bad_line`` is the first line that differs from what hived wrote, if any."""

    ok: bool
    lines: int
    head: str | None
    bad_line: int | None = None
    problem: str | None = None


class AuditExportParams(Params, frozen=True):
    """Lines that match all filters: after number ``after``, oldest first.

    With ``before``, lines before that number, newest first.
    """

    after: Annotated[int, Meta(ge=0, le=2**53)] = 0
    before: Annotated[int, Meta(ge=1, le=2**53)] | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 500
    who: _Word | None = None
    what: _Word | None = None
    agent: AgentName | None = None
    since_at: float | None = None
    until_at: float | None = None


class AuditEntry(Result, frozen=True):
    """One line: the actor, the action, the agent and the hashes."""

    seq: int
    at: float
    who: str
    what: str
    agent: str | None
    data: dict[str, Any]
    mac: str


class AuditExportResult(Result, frozen=True):
    """The lines; pass ``after`` or ``before`` to the next call.

    Both are None when there are no more.
    """

    entries: tuple[AuditEntry, ...]
    after: int | None
    before: int | None = None
