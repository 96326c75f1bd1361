"""The rows of a rebuilt store, from tags, records and the audit log.

Tags record decisions and deployments, and the log records who decided and the fate of
each agent. When in doubt, nothing runs: an agent that the log does not know is stopped,
and an undecided proposal is closed, because only the store had what the operator must
review (its description, its NixOS options).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pyglue.api.approvals import ApprovalKind, ApprovalState, Effect, PolicyChange
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.store_age import read_lines
from pyglue.host.policy.diff import diff_policy
from pyglue.host.rebuild.audit_history import Agent, AuditHistory, Mark, Proposal, fold
from pyglue.host.rebuild.repositories import LOST, Repository, Tagged, read_all
from pyglue.manifest.record import PinnedRecord
from pyglue.paths import Layout

UNDECIDED: Final = (
    "It was undecided when the store was rebuilt from git; propose it again."
)
_ROLLBACK: Final = "Roll back to approval "
_NOTE: Final = PolicyChange(
    option="agent.nix",
    effect=Effect.NEUTRAL,
    sentence="Rebuilt from git: its NixOS options and the differences of its system "
    "are no longer known.",
    before=None,
    after=None,
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """An approval; ``record`` None: git no longer has it."""

    id: int
    agent: str
    kind: ApprovalKind
    state: ApprovalState
    commit: str
    main: str | None
    record: PinnedRecord | None
    manifest: str
    policy: tuple[PolicyChange, ...]
    by: str
    author: str
    message: str
    created_at: float
    decided_at: float | None
    decided_by: str | None
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """An agent, or kept state. ``row`` None: it was never deployed."""

    name: str
    row: Row | None
    main: str | None
    wanted: bool = False
    paused: Mark | None = None
    model: tuple[str, Mark] | None = None
    account: str | None = None
    kept: Mark | None = None


@dataclass(kw_only=True)
class Plan:
    """The rows to write, and notes for the operator."""

    approvals: list[Row] = field(default_factory=list)
    agents: list[Deployed] = field(default_factory=list)
    kept: list[Deployed] = field(default_factory=list)
    drafts: dict[str, Mark] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    hive_paused: Mark | None = None


def plan(
    repositories: Mapping[str, Repository], history: AuditHistory, now: float
) -> Plan:
    """Combine git and the log."""
    made = Plan(hive_paused=history.hive_paused)
    owners = _owners(repositories, history)
    for number in sorted({*owners, *history.proposals}):
        name = owners.get(number) or history.proposals[number].agent
        tagged = repositories[name].tagged.get(number) if name in repositories else None
        made.approvals.append(_row(number, name, tagged, history, made.approvals, now))
    for repository in repositories.values():
        _name(made, repository, history, now)
    return made


def row_of(layout: Layout, number: int, now: float) -> Row:
    """Return one approval from git and the log. Blocking.

    Raises:
        HiveError: ``not_found``.
    """
    log = fold(read_lines(layout))
    for row in plan(read_all(layout), log, now).approvals:
        if row.id == number:
            return row
    raise HiveError(ErrorCode.NOT_FOUND, f"There are no tags of approval {number}.")


def _owners(
    repositories: Mapping[str, Repository], history: AuditHistory
) -> dict[int, str]:
    """Return the agents by approval: the log's, else of the repository with the tag."""
    owners: dict[int, str] = {}
    for name, repository in repositories.items():
        for number in repository.tagged:
            logged = history.proposals.get(number)
            if number not in owners or (logged is not None and logged.agent == name):
                owners[number] = name
    return owners


def _row(
    number: int,
    name: str,
    tagged: Tagged | None,
    history: AuditHistory,
    before: list[Row],
    now: float,
) -> Row:
    logged = history.proposals.get(number)
    if logged is not None and logged.agent != name:
        logged = None
    running = _last_deployed(before, name)
    state, reason = _state(tagged, logged)
    record = None if tagged is None else tagged.record
    commit = tagged.commit if tagged is not None else logged.commit if logged else ""
    undecided = reason in (UNDECIDED, LOST)
    decided_at, decided_by = None, None
    if logged is not None:
        decided_at, decided_by = logged.decided_at, logged.decided_by
    return Row(
        id=number,
        agent=name,
        kind=_kind(tagged, logged, running, commit),
        state=state,
        commit=commit,
        main=None if running is None else running.commit,
        record=record,
        manifest=record.sha256 if record else logged.manifest if logged else "",
        policy=_policy(running, record),
        by=logged.by if logged else "unknown",
        author="" if tagged is None else tagged.author,
        message="" if tagged is None else tagged.message,
        created_at=logged.at if logged else now,
        decided_at=now if undecided else decided_at,
        decided_by=decided_by or ("system" if undecided else None),
        reason=reason,
    )


def _state(
    tagged: Tagged | None, logged: Proposal | None
) -> tuple[ApprovalState, str | None]:
    """Return how it ended, from its tags, else from the log; nothing remains open."""
    if tagged is not None and tagged.state is not None:
        if tagged.reason == LOST and logged and logged.state is ApprovalState.FAILED:
            return tagged.state, None  # its tag is missing, nothing else
        return tagged.state, tagged.reason
    if logged is None or logged.state is ApprovalState.PENDING:
        return ApprovalState.EXPIRED, UNDECIDED
    if logged.state is ApprovalState.APPROVED:
        return ApprovalState.FAILED, LOST
    return logged.state, logged.reason


def _kind(
    tagged: Tagged | None, logged: Proposal | None, running: Row | None, commit: str
) -> ApprovalKind:
    if logged is not None and logged.kind is not None:
        return logged.kind
    if running is None:
        return ApprovalKind.SPAWN
    if commit == running.commit:
        return ApprovalKind.REBUILD
    if tagged is not None and tagged.message.startswith(_ROLLBACK):
        return ApprovalKind.ROLLBACK
    return ApprovalKind.CHANGE


def _policy(
    running: Row | None, record: PinnedRecord | None
) -> tuple[PolicyChange, ...]:
    if record is None:
        return (_NOTE,)
    before = running.record.manifest if running and running.record else None
    try:
        changes = diff_policy(before, record.manifest, (), ())
    except Exception:  # a manifest of an earlier version, with other options
        return (_NOTE,)
    return (*changes, _NOTE)


def _last_deployed(rows: list[Row], name: str) -> Row | None:
    ran = [
        row for row in rows if row.agent == name and row.state is ApprovalState.DEPLOYED
    ]
    return ran[-1] if ran else None


# --- names ----------------------------------------------------------------------------


def _name(
    made: Plan, repository: Repository, history: AuditHistory, now: float
) -> None:
    name = repository.name
    if repository.problem is not None:
        made.notes.append(
            f"The repository of {name} cannot be read ({repository.problem}): it has "
            "no deployed version. Its files are unchanged."
        )
    agent = history.agents.get(name, Agent())
    row = _running(made, repository, agent)
    unknown = Mark(now, "system", "Found by hive doctor --repair --from-git.")
    found = Deployed(
        name=name,
        row=row,
        main=repository.main,
        wanted=bool(agent.wanted),
        paused=agent.paused,
        model=agent.model,
        account=agent.account,
        kept=agent.destroyed or agent.imported,
    )
    if found.kept is not None:
        made.kept.append(found)
    elif row is not None:
        made.agents.append(found)
        if agent.wanted is None:
            made.notes.append(
                f"The audit log does not say whether {name} should run: it is "
                f"stopped. Start it with: hive start {name}"
            )
    elif repository.has_files and repository.main is not None and not _ran(repository):
        made.drafts[name] = agent.draft or unknown
    else:
        made.kept.append(_kept(found, unknown))


def _kept(found: Deployed, mark: Mark) -> Deployed:
    return Deployed(name=found.name, row=None, main=found.main, kept=mark)


def _ran(repository: Repository) -> bool:
    return any(
        one.state is ApprovalState.DEPLOYED for one in repository.tagged.values()
    )


def _running(made: Plan, repository: Repository, agent: Agent) -> Row | None:
    """Return the deployed approval: the log's last one, if ``main`` confirms it.

    A rebuild deploys the same commit again, so ``main`` alone is ambiguous.
    """
    ran = [
        row
        for row in made.approvals
        if row.agent == repository.name and row.state is ApprovalState.DEPLOYED
    ]
    whole = [row for row in ran if row.record is not None]
    if len(whole) < len(ran) and (not whole or whole[-1] is not ran[-1]):
        made.notes.append(
            f"The record of approval {ran[-1].id} of {repository.name} is missing in "
            "git, so it cannot run again."
        )
    logged = [row for row in whole if row.id == agent.deployed]
    at_main = [row for row in whole if row.commit == repository.main]
    if logged and (not at_main or logged[0].commit == repository.main):
        return logged[0]
    ran_last = at_main or whole
    return ran_last[-1] if ran_last else None
