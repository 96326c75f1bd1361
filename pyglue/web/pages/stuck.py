"""What is stuck and needs the operator: agents, and failed deployments.

A failed deployment counts until its agent has a newer approval or is destroyed, for at
most a week.
"""

import time
from dataclasses import dataclass
from typing import Final

from pyglue.api.approvals import (
    ApprovalKind,
    ApprovalsParams,
    ApprovalState,
    ApprovalSummary,
)
from pyglue.api.operator import APPROVALS
from pyglue.api.overview import AgentView
from pyglue.web.pages.agent_filter import is_stuck
from pyglue.web.rpc import hive

_LOOKED_AT: Final = 200
_WEEK_S: Final = 7 * 86400
_FIRST: Final = frozenset({ApprovalKind.SPAWN, ApprovalKind.RESTORE})
"""Kinds of which the agent need not exist yet."""


@dataclass(frozen=True, kw_only=True)
class Stuck:
    """One thing that is stuck since ``at``: a failed approval, or an agent."""

    agent: str
    at: float
    approval: ApprovalSummary | None = None
    view: AgentView | None = None


def all_stuck(agents: tuple[AgentView, ...]) -> tuple[Stuck, ...]:
    """Return the ``agents`` that are stuck, and failed deployments."""
    names = frozenset(one.name for one in agents)
    return (*_failed(names), *(_stuck(one) for one in agents if is_stuck(one)))


def _stuck(agent: AgentView) -> Stuck:
    return Stuck(agent=agent.name, at=agent.since_at, view=agent)


def _failed(names: frozenset[str]) -> tuple[Stuck, ...]:
    failed = hive().call(APPROVALS, ApprovalsParams(state=ApprovalState.FAILED))
    since = time.time() - _WEEK_S
    recent = [
        one
        for one in failed.approvals
        if _failed_at(one) > since and (one.kind in _FIRST or one.agent in names)
    ]
    if not recent:
        return ()
    newest = ApprovalsParams(limit=_LOOKED_AT)
    last: dict[str, int] = {}
    for one in hive().call(APPROVALS, newest).approvals:
        last.setdefault(one.agent, one.id)
    return tuple(
        Stuck(agent=one.agent, at=_failed_at(one), approval=one)
        for one in recent
        if last.get(one.agent, one.id) == one.id
    )


def _failed_at(approval: ApprovalSummary) -> float:
    return approval.decided_at or approval.created_at
