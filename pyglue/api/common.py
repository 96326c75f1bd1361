"""The vocabulary shared by every role: methods, notes, hello, time, states.

A ``Method`` names a call with the types of its parameters and result; a ``Note``
names a notification. Times are seconds since the epoch (UTC) as floats and end
in ``_at``; amounts of money are US dollars and end in ``_usd``.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar, Final, Generic, TypeVar

import msgspec
from msgspec import Meta, Struct

from pyglue import strict_json
from pyglue.api import trust
from pyglue.strict_json import JsonError

PROTOCOL: Final = 3
"""Version of everything in this package; a peer with another one is refused."""

P = TypeVar("P", bound="Params")
R = TypeVar("R", bound="Result")
T = TypeVar("T")


class Params(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of everything a caller sends: an unknown field is an error.

    Models and the RPC reference see a field's ``Meta(description=…)``.
    """


DEFAULT_ACCOUNT: Final = "default"
"""Name of the account that has no name in the configuration."""
AccountName = Annotated[str, Meta(pattern="^[a-z][a-z0-9-]{0,31}$")]


class Result(Struct, frozen=True, kw_only=True):
    """Base of every answer: readers ignore unknown fields."""


@dataclass(frozen=True)
class Method(Generic[P, R]):
    """One call: its name on the wire and the types of both directions."""

    name: str
    params: type[P]
    result: type[R]


@dataclass(frozen=True)
class Note(Generic[P]):
    """One notification; it has no answer."""

    name: str
    params: type[P]


class NoParams(Params, frozen=True):
    """A call without parameters."""


class Done(Result, frozen=True):
    """An answer without data: the call succeeded."""


def data_as(kind: type[T], data: msgspec.Raw | bytes) -> T | None:
    """Convert foreign JSON to ``kind``; None if its shape differs."""
    try:
        return strict_json.read(data, kind)
    except JsonError:
        return None


NOT_FOR_MODELS: Final = "x-not-for-models"
"""Marks a field (``extra_json_schema``) for programs, which no tool offers."""

AgentName = Annotated[str, Meta(max_length=64, extra={"is": "an agent's name"})]
"""An agent's name as sent by a caller; ``names.check`` validates it."""

Id = Annotated[int, Meta(ge=1, le=2**53)]
Moment = Annotated[float, Meta(ge=0, le=1e11)]
"""A time in a caller's query, in seconds since the epoch; not NaN."""
HexSha = Annotated[str, Meta(max_length=128)]
PROBLEM_MAX: Final = 32 * 1024
"""Most characters of a problem that a harness reports, such as servers' output."""

SHORT_TEXT_MAX: Final = 4096
ShortText = Annotated[str, Meta(max_length=SHORT_TEXT_MAX)]


class Role(StrEnum):
    """What callers of a socket may do."""

    AGENT = "agent"
    MANAGER = "manager"
    RELAY = "relay"
    EGRESS = "egress"
    OPERATOR = "operator"


class AgentState(StrEnum):
    """What an agent is doing; the host reports the first four, the harness the rest."""

    STOPPED = "stopped"
    STARTING = "starting"
    FAILED = "failed"
    STOPPING = "stopping"
    IDLE = "idle"
    THINKING = "thinking"
    COMPACTING = "compacting"
    RATE_LIMITED = "rate_limited"
    NEEDS_LOGIN = "needs_login"
    PAUSED = "paused"
    OVER_BUDGET = "over_budget"
    NO_CREDIT = "no_credit"
    DISK_FULL = "disk_full"
    RETRYING = "retrying"


class ServerStatus(Result, frozen=True):
    """An MCP server's status, as the CLI reported it at the harness's start."""

    name: str
    status: str
    error: str | None = None

    TRUST: ClassVar = {"name": trust.NO, "status": trust.NO, "error": trust.NO}


class HarnessReport(Params, frozen=True):
    """What a harness loaded and checked before its hello.

    ``manifest_sha256`` is the hash of the bytes it read; ``problem`` is None when
    the CLI started, every MCP server connected and every tool exists.
    """

    manifest_sha256: HexSha
    system: str | None = None
    cli_version: str | None = None
    servers: tuple[ServerStatus, ...] = ()
    problem: Annotated[str, Meta(max_length=PROBLEM_MAX)] | None = None

    TRUST: ClassVar = {
        "manifest_sha256": (
            "must be the hash of the applied record; a false claim only makes a "
            "deploy of this agent look healthy"
        ),
        "system": "must be the built system; a false claim has the same effect",
        "cli_version": "no: not used",
        "servers": "no: not used",
        "problem": "fails the agent's own deploy; quoted as the harness's words",
    }


class HelloParams(Params, frozen=True):
    """The first call on every connection. ``client`` names the program."""

    protocol: int
    client: Annotated[str, Meta(max_length=64)]
    harness: HarnessReport | None = None
    session: Annotated[str, Meta(max_length=256)] | None = None

    TRUST: ClassVar = {
        "protocol": "must be the supported version",
        "client": trust.NO,
        "harness": "only makes this connection the agent's harness; see below",
        "session": "ignored on agents' sockets; on the operator's checked by its hash",
    }


class HelloResult(Result, frozen=True):
    """The caller's identity on this socket."""

    protocol: int
    role: Role
    server: str
    agent: str | None = None


HELLO: Final = Method("hello", HelloParams, HelloResult)


class CancelParams(Params, frozen=True):
    """Cancel one outstanding call of this connection."""

    id: int


CANCEL: Final = Note("$/cancel", CancelParams)


class OperationRef(Result, frozen=True):
    """A queued operation; follow its events or poll its row."""

    operation: int
