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
    Note,
    Params,
    Result,
    ShortText,
)
from pyglue.api.handover import AgentPolicy

RECORDS_MAX: Final = 1000


AUTHORITY_MAX: Final = 4096
_HostName = Annotated[str, Meta(max_length=260)]
_PortNumber = Annotated[int, Meta(ge=0, le=65535)]


class EgressPolicy(AgentPolicy, frozen=True, kw_only=True):
    """The hosts that one agent may reach; from its pinned manifest.

    ``allow`` has the entries of ``hyperhive.network.allow``. ``inject`` are the hosts,
    as ``host:port``, whose requests carry secrets. ``used_up``: the daily quota is used
    up, until ``used_up_until`` (Unix time), when it ends without a new policy.
    """

    allow: tuple[str, ...]
    inject: tuple[str, ...] = ()
    used_up: ShortText | None = None
    used_up_until: float = 0.0

    @property
    def cuts(self) -> bool:
        """Whether running connections must be cut."""
        return self.halted is not None or self.used_up is not None


class AttachParams(Params, frozen=True):
    """hive-egress introduces itself.

    ``authority`` is the certificate, in PEM, that agents' programs trust: it signs the
    certificates with which hive-egress terminates TLS to insert secrets. It is
    generated at each start of hive-egress; its key never leaves that process.
    """

    authority: Annotated[str, Meta(max_length=AUTHORITY_MAX)] = ""

    TRUST: ClassVar = {
        "authority": "yes, if it is one certificate: agents' programs trust it for all "
        "names, and reach none but through hive-egress",
    }


class AttachedResult(Result, frozen=True):
    """The policies of all agents; their descriptors follow on the other socket."""

    policies: tuple[EgressPolicy, ...]


ATTACH: Final = Method("attach", AttachParams, AttachedResult)
POLICY: Final = Note("policy", EgressPolicy)
"""To hive-egress: a new or changed policy; it applies from the next connection."""


_Count = Annotated[int, Meta(ge=0, le=2**53)]


class HostRecord(Params, frozen=True):
    """Connections of an agent to one host, folded since the last report.

    ``refused`` is the reason for a refusal, None without one. ``sent`` and ``received``
    are bytes from the agent's point of view.
    """

    agent: AgentName
    host: _HostName
    port: _PortNumber
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
    """The connections since hive-egress's last report."""

    records: Annotated[tuple[HostRecord, ...], Meta(max_length=RECORDS_MAX)]

    TRUST: ClassVar = {"records": trust.EGRESS}


REPORT: Final = Method("report", ReportParams, Done)


class InjectParams(Params, frozen=True):
    """An agent connects to a host whose requests carry secrets."""

    agent: AgentName
    host: _HostName
    port: _PortNumber

    TRUST: ClassVar = {
        "agent": f"{trust.NAME}; hive-egress identifies it by the connection's socket",
        "host": "compared with the agent's record: a secret goes nowhere else",
        "port": "compared with the agent's record: a secret goes nowhere else",
    }


class HeaderLine(Result, frozen=True):
    """A header with a secret. ``hidden`` are the values to mask in the response."""

    name: str
    value: str
    hidden: tuple[str, ...]

    def __repr__(self) -> str:
        """Keep the secret out of logs and tracebacks."""
        return f"HeaderLine({self.name!r})"


class InjectResult(Result, frozen=True):
    """The headers to add to the requests of this one connection."""

    headers: tuple[HeaderLine, ...]


INJECT: Final = Method("inject", InjectParams, InjectResult)
"""Called for each connection, so that a rotated value applies from the next one."""
