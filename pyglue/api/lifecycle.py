"""Types of drafts, kept state of destroyed agents, and rollback.

The calls are declared in ``operator``.
"""

from msgspec import field

from pyglue.api.common import AgentName, Id, Params, Result


class DraftView(Result, frozen=True):
    """A draft: the repository and state of an agent that has never been deployed."""

    name: str
    created_at: float
    by: str
    description: str
    main: str | None
    pending_approval: int | None


class DraftsResult(Result, frozen=True):
    """All drafts, by name."""

    drafts: tuple[DraftView, ...]


class KeptPart(Result, frozen=True):
    """A part of the kept state: its kind, path and size on disk."""

    what: str
    path: str
    bytes: int


class KeptView(Result, frozen=True):
    """A destroyed agent's kept state. ``commit`` is the last deployed one, if any."""

    name: str
    destroyed_at: float
    by: str
    description: str
    commit: str | None
    approval: int | None
    manifest_sha256: str | None
    manifest_json: str | None
    pending_approval: int | None
    messages: int = field(name="mail")
    """Number of its queued messages; purging deletes them."""
    bytes: int
    parts: tuple[KeptPart, ...]


class KeptResult(Result, frozen=True):
    """All kept state, by name."""

    kept: tuple[KeptView, ...]


class PurgeParams(Params, frozen=True):
    """Permanently remove all kept state of a name; ``confirm`` repeats the name."""

    agent: AgentName
    confirm: AgentName


class RollbackParams(Params, frozen=True):
    """Redeploy the version of an earlier ``approval``."""

    agent: AgentName
    approval: Id
