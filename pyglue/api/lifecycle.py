"""Drafts, what is kept of destroyed agents, and the ways back, as types.

``operator`` names the calls.
"""

from pyglue.api.common import AgentName, Id, Params, Result


class DraftView(Result, frozen=True):
    """A draft: repository and state of an agent that does not run yet."""

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
    """One thing that is kept: what it is, where it lies, what it takes on disk."""

    what: str
    path: str
    bytes: int


class KeptView(Result, frozen=True):
    """What is kept of a destroyed agent. ``commit`` is what ran last, if anything."""

    name: str
    destroyed_at: float
    by: str
    description: str
    commit: str | None
    approval: int | None
    manifest_sha256: str | None
    manifest_json: str | None
    pending_approval: int | None
    mail: int
    """How many messages wait for it; purging lets them go."""
    bytes: int
    parts: tuple[KeptPart, ...]


class KeptResult(Result, frozen=True):
    """All that is kept, by name."""

    kept: tuple[KeptView, ...]


class PurgeParams(Params, frozen=True):
    """Remove all that is kept of a name, for good; ``confirm`` repeats the name."""

    agent: AgentName
    confirm: AgentName


class RollbackParams(Params, frozen=True):
    """Deploy again what ``approval`` deployed earlier."""

    agent: AgentName
    approval: Id
