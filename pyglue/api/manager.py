"""The calls of the manager's socket, in addition to an agent's.

A commit travels as a pack in chunks (``submit_*``): the host never opens a repository
that the manager can write. These calls only queue proposals; the operator decides.
"""

from typing import Annotated, ClassVar, Final

from msgspec import Meta

from pyglue.api import trust
from pyglue.api.common import (
    AgentName,
    AgentState,
    Done,
    HexSha,
    Id,
    Method,
    NoParams,
    OperationRef,
    Params,
    Result,
    ShortText,
)
from pyglue.api.journal import JournalPage

CHUNK_LIMIT: Final = 512 * 1024
"""Largest chunk of a pack in bytes, before base64."""
PACK_LIMIT: Final = 32 * 1024 * 1024
"""Largest pack in bytes."""

Description = Annotated[
    str,
    Meta(
        max_length=8192,
        description="For the operator, who decides: what changes, and why.",
    ),
]


NewName = Annotated[
    AgentName,
    Meta(
        description="1 to 9 lower-case letters, digits or '-', beginning with a letter."
    ),
]
Named = Annotated[AgentName, Meta(description="The agent's name.")]
Commit = Annotated[
    HexSha,
    Meta(
        description="Full id of the commit (git rev-parse HEAD): 40 hexadecimal "
        "digits. Branch and tag names are not taken."
    ),
]


class AgentInfo(Result, frozen=True):
    """An agent as the manager sees it."""

    name: str
    state: AgentState
    description: str
    model: str
    main: str | None
    pending_approval: int | None


class AgentsResult(Result, frozen=True, omit_defaults=True):
    """All agents, by name; ``drafts`` are the names of agents that do not exist yet."""

    agents: tuple[AgentInfo, ...]
    drafts: tuple[str, ...] = ()


LIST_AGENTS: Final = Method("list_agents", NoParams, AgentsResult)


class SpawnParams(Params, frozen=True):
    """Request a new agent from the template."""

    name: NewName
    description: Description = ""

    TRUST: ClassVar = {
        "name": "checked against the rules for names and existing names",
        "description": f"{trust.TEXT}, with the proposal",
    }


class ProposalResult(Result, frozen=True):
    """The pending proposal."""

    approval: int
    commit: str
    manifest_sha256: str
    widens: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """Notes for the proposer: warnings of the evaluation, uncommitted files."""


REQUEST_SPAWN: Final = Method("request_spawn", SpawnParams, ProposalResult)


class DraftResult(Result, frozen=True):
    """The new draft; ``main`` is the template's commit that it starts from."""

    name: str
    main: str


REQUEST_SPAWN_DRAFT: Final = Method("request_spawn_draft", SpawnParams, DraftResult)
"""Its first commit is proposed like any other, with ``spawn`` in ``submit_begin``."""


class WithdrawParams(Params, frozen=True):
    """Withdraw one of the caller's pending proposals."""

    id: Annotated[
        Id, Meta(description="The approval's id, as the proposal returned it.")
    ]
    reason: Annotated[
        ShortText,
        Meta(description="For the operator, who may already be reviewing it."),
    ] = ""

    TRUST: ClassVar = {
        "id": "must be a pending proposal of the manager",
        "reason": trust.NO,
    }


WITHDRAW: Final = Method("withdraw_proposal", WithdrawParams, Done)


class SubmitBeginParams(Params, frozen=True):
    """Announce a commit of an agent's config repository.

    ``spawn``: the agent is a draft, and this commit creates it.
    """

    agent: Named
    commit: Commit
    description: Description = ""
    spawn: bool = False

    TRUST: ClassVar = {
        "agent": trust.NAME,
        "commit": "must be in the pack, which is checked in quarantine",
        "description": f"{trust.TEXT}, with the proposal",
        "spawn": "checked: the agent must be a draft",
    }


class SubmitBeginResult(Result, frozen=True):
    """The upload's id, and the history of ``main``, which the pack may omit."""

    upload: str
    main: str | None


SUBMIT_BEGIN: Final = Method("submit_begin", SubmitBeginParams, SubmitBeginResult)


class SubmitChunkParams(Params, frozen=True):
    """The next bytes of the pack, in order."""

    upload: Annotated[str, Meta(max_length=64)]
    data: Annotated[bytes, Meta(max_length=CHUNK_LIMIT)]

    TRUST: ClassVar = {
        "upload": trust.UPLOAD,
        "data": "no: a pack of limited size, unpacked in quarantine by a child process",
    }


SUBMIT_CHUNK: Final = Method("submit_chunk", SubmitChunkParams, Done)


class SubmitCommitParams(Params, frozen=True):
    """The pack is complete: check and evaluate it."""

    upload: Annotated[str, Meta(max_length=64)]

    TRUST: ClassVar = {"upload": trust.UPLOAD}


SUBMIT_COMMIT: Final = Method("submit_commit", SubmitCommitParams, ProposalResult)


class AgentParams(Params, frozen=True):
    """The agent that a call is about."""

    agent: Named

    TRUST: ClassVar = {"agent": f"{trust.NAME}; the manager itself is refused"}


START: Final = Method("start", AgentParams, OperationRef)
STOP: Final = Method("stop", AgentParams, OperationRef)
RESTART: Final = Method("restart", AgentParams, OperationRef)


class RebuildResult(Result, frozen=True):
    """The result of a rebuild: an operation, or a proposal for the operator."""

    operation: int | None
    """Queued immediately: the system is identical to the approved one."""
    approval: int | None = None
    """The system differs: pending, and the operator sees the differences."""


REBUILD: Final = Method("rebuild", AgentParams, RebuildResult)
"""Evaluates the deployed commit again, with this host's nixpkgs and hive."""


class AgentLogsParams(Params, frozen=True):
    """The newest log lines of an agent's harness."""

    agent: Named
    lines: Annotated[
        int,
        Meta(ge=1, le=500, description="Fewer are returned if lines are long."),
    ] = 50

    TRUST: ClassVar = {"agent": trust.NAME, "lines": "bounded by the type"}


AGENT_LOGS: Final = Method("agent_logs", AgentLogsParams, JournalPage)
