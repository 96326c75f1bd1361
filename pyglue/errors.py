"""The only error type that crosses module and process boundaries.

Every refusal has a stable code (for programs), a sentence that says what to do (for
people and models) and optional details. Over JSON-RPC it travels as
``{"code": -32000, "message": sentence, "data": {"code": code, ...details}}``;
the CLI and the dashboard print the sentence, never a traceback.
Callers branch on ``code``; nobody parses ``message``.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class ErrorCode(StrEnum):
    """Stable names of all refusals and failures."""

    BAD_REQUEST = "bad_request"
    UNKNOWN_METHOD = "unknown_method"
    UNSUPPORTED_PROTOCOL = "unsupported_protocol"
    FORBIDDEN = "forbidden"
    UNAUTHENTICATED = "unauthenticated"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    STALE = "stale"
    TOO_LARGE = "too_large"
    TOO_MANY = "too_many"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"
    # names and agents
    INVALID_NAME = "invalid_name"
    NAME_RESERVED = "name_reserved"
    NAME_TAKEN = "name_taken"
    AGENT_NOT_RUNNING = "agent_not_running"
    PAUSED = "paused"
    # proposals
    INVALID_COMMIT = "invalid_commit"
    INVALID_PACK = "invalid_pack"
    UNSAFE_TREE = "unsafe_tree"
    NOT_BASED_ON_MAIN = "not_based_on_main"
    NO_CHANGE = "no_change"
    EVAL_FAILED = "eval_failed"
    EVAL_LIMIT = "eval_limit"
    MANIFEST_INVALID = "manifest_invalid"
    OPERATOR_LIMIT = "operator_limit"
    # messages
    RECIPIENT_NOT_ALLOWED = "recipient_not_allowed"
    RATE_LIMITED = "rate_limited"
    # model access
    MODEL_NOT_ALLOWED = "model_not_allowed"
    FIELD_REFUSED = "field_refused"
    OVER_BUDGET = "over_budget"
    UPSTREAM_FAILED = "upstream_failed"
    # this machine
    DISK_FULL = "disk_full"
    MISSING_PROGRAM = "missing_program"
    SANDBOX_UNAVAILABLE = "sandbox_unavailable"
    CONFIG_INVALID = "config_invalid"
    STORE_LOCKED = "store_locked"
    DEPLOY_FAILED = "deploy_failed"
    BUILD_FAILED = "build_failed"


class HiveError(Exception):
    """A refusal or failure with a stable code and a sentence for its reader.

    ``details`` must be JSON-serialisable; it is sent to the caller as it is, so
    it contains no secrets and no host paths that an agent must not learn.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        /,
        *,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details: dict[str, Any] = dict(details or {})

    def __repr__(self) -> str:
        return f"HiveError({self.code.value}: {self.message})"


class PeerError(HiveError):
    """An error from the other side of a connection: its code, text and details."""
