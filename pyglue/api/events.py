"""The hive's event stream: its envelope, and a struct for each kind.

The calls are declared in ``operator``; these are their types. On the wire an event is
an ``Event``, whose ``kind`` says which of the structs of ``Happening`` its ``data`` is.
The data remains JSON from its writer to the page that shows it; ``Event.read`` decodes
it for code that needs a field.
"""

from typing import Annotated, ClassVar, Final, get_args

import msgspec
from msgspec import Meta

from pyglue.api.approvals import ApprovalState
from pyglue.api.common import AgentState, Params, Result, ShortText, data_as
from pyglue.api.event_values import AgentChange, NotificationKind
from pyglue.api.messages import Mark, MessageKind
from pyglue.api.operations import OperationKind, OperationState
from pyglue.api.questions import QuestionEnd
from pyglue.api.turns import TurnOutcome


class Data(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of an event's data; fields from a newer hived are ignored."""

    KIND: ClassVar[str]


class AgentStateChanged(Data, frozen=True):
    """An agent's state changed."""

    KIND: ClassVar[str] = "agent.state"
    state: AgentState
    since_at: float
    detail: str | None


class AgentChanged(Data, frozen=True):
    """A part of an agent changed; ``approval`` is the deployed one."""

    KIND: ClassVar[str] = "agent.changed"
    what: AgentChange
    approval: int | None = None


class ServerDown(Data, frozen=True):
    """The harness reports that an MCP server was not connected at a turn's start."""

    KIND: ClassVar[str] = "agent.server"
    name: str
    status: str


class HostContacted(Data, frozen=True):
    """An agent without a network reached a host, or was refused (combined per host).

    ``refused`` is the reason; ``sent`` and ``received`` are bytes from the agent's
    point of view.
    """

    KIND: ClassVar[str] = "host.contacted"
    host: str
    port: int
    refused: str | None = None
    connections: int = 0
    sent: int = 0
    received: int = 0


class TurnStarted(Data, frozen=True):
    """A turn began, with the first of its ``messages`` and their senders."""

    KIND: ClassVar[str] = "turn.started"
    turn: int
    model: str
    messages: tuple[int, ...] = ()
    senders: tuple[str, ...] = ()


class TurnEvent(Data, frozen=True):
    """Something happened inside a turn, in the harness's words; see the kinds below.

    hived passes ``data`` on unchanged. It may be of a kind that this version does not
    know.
    """

    KIND: ClassVar[str] = "turn.event"
    turn: int | None
    kind: str
    data: msgspec.Raw


class TurnEnded(Data, frozen=True):
    """A turn ended; its numbers are the harness's own."""

    KIND: ClassVar[str] = "turn.ended"
    turn: int
    outcome: TurnOutcome
    reason: str | None
    duration_ms: int
    steps: int
    cost_usd: float = 0.0
    tokens: int = 0


class MessageSent(Data, frozen=True):
    """A message was delivered to an inbox."""

    KIND: ClassVar[str] = "message.sent"
    id: int
    sender: str
    recipient: str
    kind: MessageKind


class MessageTaken(Data, frozen=True):
    """The operator dropped a message of an agent's queue, or moved it to the end."""

    KIND: ClassVar[str] = "message.taken"
    id: int


class MessageMarked(Data, frozen=True):
    """The operator marked a message of their inbox, or answered it."""

    KIND: ClassVar[str] = "message.marked"
    id: int
    mark: Mark


class MessageDelivered(Data, frozen=True):
    """A message reached the running ``turn`` after a tool call."""

    KIND: ClassVar[str] = "message.delivered"
    id: int
    turn: int


class ApprovalCreated(Data, frozen=True):
    """A proposal is pending."""

    KIND: ClassVar[str] = "approval.created"
    approval: int


class ApprovalChanged(Data, frozen=True):
    """An approval's state changed."""

    KIND: ClassVar[str] = "approval.changed"
    approval: int
    state: ApprovalState
    commit: str
    manifest: str
    reason: str | None = None


class ApprovalBuild(Data, frozen=True):
    """New build output for an approval's system; ``last`` is the newest line."""

    KIND: ClassVar[str] = "approval.build"
    approval: int
    lines: int
    last: str


class OperationChanged(Data, frozen=True):
    """An operation's state or step changed."""

    KIND: ClassVar[str] = "operation.changed"
    operation: int
    kind: OperationKind
    state: OperationState
    step: str
    approval: int | None
    error: str | None


class QuestionAsked(Data, frozen=True):
    """A question was asked."""

    KIND: ClassVar[str] = "question.asked"
    question: int
    to: str


class QuestionAnswered(Data, frozen=True):
    """A question was answered or closed."""

    KIND: ClassVar[str] = "question.answered"
    question: int
    expired: bool
    ended: QuestionEnd


class NotificationPublished(Data, frozen=True):
    """A notification to the operator and the manager, published once per ``key``."""

    KIND: ClassVar[str] = "notice"
    what: NotificationKind
    text: str
    key: str | None = None


class NotificationsChanged(Data, frozen=True):
    """An external notification was queued or sent, or a browser was subscribed or
    removed."""

    KIND: ClassVar[str] = "notification.changed"


class HiveWarning(Data, frozen=True):
    """A warning for the operator, as a sentence."""

    KIND: ClassVar[str] = "hive.warning"
    text: str


Happening = (
    AgentStateChanged
    | AgentChanged
    | ServerDown
    | HostContacted
    | TurnStarted
    | TurnEvent
    | TurnEnded
    | MessageSent
    | MessageTaken
    | MessageMarked
    | MessageDelivered
    | ApprovalCreated
    | ApprovalChanged
    | ApprovalBuild
    | OperationChanged
    | QuestionAsked
    | QuestionAnswered
    | NotificationPublished
    | NotificationsChanged
    | HiveWarning
)
"""Every kind of event."""

KINDS: Final[dict[str, type[Happening]]] = {
    one.KIND: one for one in get_args(Happening)
}


class Event(Params, frozen=True):
    """Something happened. ``seq`` grows by one; `kind` is `subject.what`.

    ``data`` is the struct of that kind (docs/events.md). Clients pass on unknown kinds
    unread.
    """

    seq: int
    at: float
    kind: str
    agent: str | None
    data: Annotated[msgspec.Raw, Meta(extra_json_schema={"type": "object"})]

    def read(self) -> Happening | None:
        """Decode the data; None for a kind or shape of another version."""
        known = KINDS.get(self.kind)
        return None if known is None else data_as(known, self.data)


class SubscribeParams(Params, frozen=True):
    """Start the event stream after ``since``; None starts with new events."""

    since: Annotated[int, Meta(ge=0)] | None = None


class SubscribeResult(Result, frozen=True):
    """``seq`` is the newest event so far."""

    seq: int


class GapParams(Params, frozen=True):
    """Events up to ``seq`` were skipped: reload the data."""

    seq: int
    reason: ShortText
