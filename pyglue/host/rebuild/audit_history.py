"""Reads decisions and the fate of each agent from the audit log.

This does not verify the log; ``hive audit verify`` does. It is folded line by line, so
that the last line about a subject counts.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from msgspec import Struct

from pyglue import strict_json
from pyglue.api.approvals import ApprovalKind, ApprovalState
from pyglue.errors import HiveError
from pyglue.git.objects import HEX_SHA

_REQUESTED: Final = "_requested"
_OUTCOMES: Final = frozenset(
    {
        ApprovalState.DENIED,
        ApprovalState.CHANGES_REQUESTED,
        ApprovalState.WITHDRAWN,
        ApprovalState.SUPERSEDED,
        ApprovalState.EXPIRED,
        ApprovalState.DEPLOYED,
        ApprovalState.FAILED,
    }
)
_UNDECIDED: Final = frozenset({ApprovalState.DEPLOYED, ApprovalState.FAILED})
"""Outcomes of approvals, as opposed to decisions."""


@dataclass(kw_only=True)
class Proposal:
    """An approval, as far as the log has it."""

    agent: str
    commit: str
    manifest: str
    kind: ApprovalKind | None = None
    at: float = 0.0
    by: str = ""
    state: ApprovalState = ApprovalState.PENDING
    decided_at: float | None = None
    decided_by: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Mark:
    """Who did something, when, and the reason given."""

    at: float
    by: str
    text: str = ""


@dataclass(kw_only=True)
class Agent:
    """The fate of an agent's name. ``wanted`` None: the log does not say."""

    wanted: bool | None = None
    destroyed: Mark | None = None
    imported: Mark | None = None
    draft: Mark | None = None
    paused: Mark | None = None
    model: tuple[str, Mark] | None = None
    account: str | None = None
    deployed: int | None = None


@dataclass(kw_only=True)
class AuditHistory:
    """The whole result; ``first_at`` and ``lines`` describe the log."""

    agents: dict[str, Agent] = field(default_factory=dict)
    proposals: dict[int, Proposal] = field(default_factory=dict)
    hive_paused: Mark | None = None
    first_at: float | None = None
    lines: int = 0

    def agent(self, name: str) -> Agent:
        """Return the entry of a name, empty at first."""
        return self.agents.setdefault(name, Agent())


class _Line(Struct, frozen=True):
    at: float
    who: str
    what: str
    agent: str | None
    data: dict[str, Any]


def fold(lines: Iterable[bytes]) -> AuditHistory:
    """Read the lines, ignoring those that cannot be read."""
    history = AuditHistory()
    for raw in lines:
        history.lines += 1
        try:
            line = strict_json.read(raw, _Line)
        except HiveError:
            continue
        if history.first_at is None:
            history.first_at = line.at
        if line.agent is None:
            _of_hive(history, line)
        else:
            _of_agent(history, line.agent, line)
            _of_proposal(history, line.agent, line)
    return history


def _of_hive(history: AuditHistory, line: _Line) -> None:
    if line.what == "pause_all":
        history.hive_paused = _mark(line, "reason")
    elif line.what == "resume_all":
        history.hive_paused = None


def _of_agent(history: AuditHistory, name: str, line: _Line) -> None:
    agent = history.agent(name)
    match line.what:
        case "start_requested" | "restart_requested":
            agent.wanted = True
        case "stop_requested":
            agent.wanted = False
        case "destroyed":
            history.agents[name] = Agent(
                destroyed=_mark(line), deployed=agent.deployed, wanted=False
            )
        case "purged" | "draft_discarded":
            history.agents[name] = Agent()
        case "imported":
            agent.imported = _mark(line)
        case "draft_created":
            agent.draft = _mark(line)
        case "pause":
            agent.paused = _mark(line, "reason")
        case "resume":
            agent.paused = None
        case "model":
            model = line.data.get("model")
            agent.model = (model, _mark(line)) if isinstance(model, str) else None
        case "account":
            account = line.data.get("account")
            agent.account = account if isinstance(account, str) else None
        case "deployed":
            was_there = agent.deployed is not None and agent.destroyed is None
            agent.wanted = agent.wanted if was_there else True
            agent.destroyed = agent.imported = agent.draft = None
            number = line.data.get("approval")
            agent.deployed = number if type(number) is int else agent.deployed


def _of_proposal(history: AuditHistory, name: str, line: _Line) -> None:
    number = line.data.get("approval")
    if type(number) is not int or number < 1:
        return
    at_once = line.what.removesuffix(_REQUESTED)
    is_new = line.what == "proposed" or (
        at_once != line.what and at_once in ApprovalKind.__members__.values()
    )
    if is_new:
        commit, manifest = line.data.get("commit"), line.data.get("manifest")
        if not (_is_sha(commit) and isinstance(manifest, str)):
            return
        kind = line.data.get("kind", at_once)
        known = kind in ApprovalKind.__members__.values()
        history.proposals[number] = found = Proposal(
            agent=name,
            commit=str(commit),
            manifest=manifest,
            kind=ApprovalKind(kind) if known else None,
            at=line.at,
            by=line.who,
        )
        if line.what != "proposed":
            _decided(found, line, ApprovalState.APPROVED)
        return
    row = history.proposals.get(number)
    if row is None or row.agent != name:
        return
    if line.what == ApprovalState.APPROVED:
        _decided(row, line, ApprovalState.APPROVED)
    elif line.what in _UNDECIDED:
        row.state = ApprovalState(line.what)
    elif line.what in _OUTCOMES:
        _decided(row, line, ApprovalState(line.what))


def _decided(row: Proposal, line: _Line, state: ApprovalState) -> None:
    row.state, row.decided_at, row.decided_by = state, line.at, line.who
    reason = line.data.get("reason")
    row.reason = reason if isinstance(reason, str) else None


def _mark(line: _Line, text: str | None = None) -> Mark:
    value = "" if text is None else line.data.get(text)
    return Mark(line.at, line.who, value if isinstance(value, str) else "")


def _is_sha(value: object) -> bool:
    return isinstance(value, str) and HEX_SHA.fullmatch(value) is not None
