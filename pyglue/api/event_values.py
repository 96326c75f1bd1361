"""Enums of events' fields that no call uses; the others are beside their calls."""

from enum import StrEnum


class AgentChange(StrEnum):
    """Which part of an agent changed."""

    CREATED = "created"
    DRAFT = "draft"
    DEPLOYED = "deployed"
    CONTROL = "control"
    PROBLEM = "problem"
    WANTED = "wanted"
    ON_HOLD = "held"
    BUDGET = "budget"
    STEP = "step"
    COLD = "cold"
    DESTROYED = "destroyed"
    KEPT = "kept"


class NotificationKind(StrEnum):
    """What can happen to an agent, as notifications name it."""

    SPAWNED = "spawned"
    DRAFT_CREATED = "draft_created"
    APPROVAL_RESOLVED = "approval_resolved"
    REBUILT = "rebuilt"
    ROLLED_BACK = "rolled_back"
    STARTED = "started"
    STOPPED = "stopped"
    CRASHED = "crashed"
    DESTROYED = "destroyed"
    NEEDS_UPDATE = "needs_update"
    NEEDS_LOGIN = "needs_login"
    DISK_FULL = "disk_full"
    SERVER_DOWN = "server_down"
    STEP_LATE = "step_late"
