"""The protocol of hived and hive-egress on ``egress.sock``.

Listening descriptors of the agents' ``egress.sock`` are passed over a second socket,
``egress-fds.sock``; see ``handover``.
"""

from typing import Annotated, ClassVar, Final

from msgspec import Meta

from pyglue.api import trust
from pyglue.api.common import (
    AgentName,
    Done,
    Method,
    NoParams,
    Note,
    Params,
    Result,
    ShortText,
)
from pyglue.api.handover import AgentPolicy

RECORDS_MAX: Final = 1000


class EgressPolicy(AgentPolicy, frozen=True, kw_only=True):
    """Which hosts one agent may reach; from its pinned manifest.

    ``allow`` has the entries of ``hyperhive.network.allow``.
    """

    allow: tuple[str, ...]


class AttachedResult(Result, frozen=True):
    """The policies of all agents; their descriptors follow on the other socket."""

    policies: tuple[EgressPolicy, ...]


ATTACH: Final = Method("attach", NoParams, AttachedResult)
POLICY: Final = Note("policy", EgressPolicy)
"""Down: an agent's policy is new or changed; it holds from the next connection on."""


_Count = Annotated[int, Meta(ge=0, le=2**53)]


class HostRecord(Params, frozen=True):
    """Connections of an agent to one host, folded since the last report.

    ``refused`` is why they were refused, None if they were not. ``sent`` and
    ``received`` are bytes, as the agent sees it.
    """

    agent: AgentName
    host: Annotated[str, Meta(max_length=260)]
    port: Annotated[int, Meta(ge=0, le=65535)]
    refused: ShortText | None = None
    connections: _Count = 0
    sent: _Count = 0
    received: _Count = 0

    TRUST: ClassVar = {
        "agent": f"{trust.NAME}; hive-egress identifies it by the connection's socket",
        "host": "the agent's words: shown, and checked again where it is proposed",
    } | dict.fromkeys(
        ("port", "refused", "connections", "sent", "received"), trust.EGRESS
    )


class ReportParams(Params, frozen=True):
    """What hive-egress saw since its last report."""

    records: Annotated[tuple[HostRecord, ...], Meta(max_length=RECORDS_MAX)]

    TRUST: ClassVar = {"records": trust.EGRESS}


REPORT: Final = Method("report", ReportParams, Done)
