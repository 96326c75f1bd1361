"""Limits on a daemon's resources per peer: the one place for these numbers.

hived, the relay and the dashboard serve peers that may be hostile: agents in their
containers, any process that connects to a loopback port, a browser. A limit is a field
of a frozen dataclass here, imported by the listener that enforces it. A peer is limited
in four ways: connections (descriptors), buffered bytes (memory), units of work (time of
the event loop), and concurrent calls. A peer over a limit waits or is disconnected;
other peers are not affected.

A token bucket counts work in units: a read from a socket and each line cost one, large
ones cost by size, refused ones cost more. While the bucket is empty, the peer is not
read from, so a flood stays in the kernel's buffers.
"""

from dataclasses import dataclass
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

SERVER_START_S: Final = 30.0
"""Time for an MCP server to answer at the start of an agent, in seconds."""
PREFLIGHT_S: Final = 1.5 * SERVER_START_S
"""Time for the CLI and all servers, chosen so that the slow server can be named."""
HEALTH_LEAST_S: Final = 2 * SERVER_START_S
"""Minimum time that hived waits for a deployed agent, so that the preflight can end."""
WARM_BYTES: Final = 1 * GIB
"""Most memory of one agent's CLI and MCP servers that may stay warm."""
LOGIN_LINK_S: Final = 10 * 60.0
"""How long a login link works, in seconds."""
RESTARTS_S: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Delays in seconds before hived restarts a crashed agent or task of its own; then the
last one repeats."""
SESSION_S: Final = 12 * 3600.0
"""How long a session lasts, in seconds; in a trusted browser it is longer."""


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """Units of work: ``burst`` at once, and a sustained ``rate`` per second.

    A unit is one read, one line, or ``unit_bytes`` received or sent.
    """

    burst: float
    rate: float
    unit_bytes: int = 16 * KIB
    accept: float = 5.0
    """Units for accepting a connection."""
    refusal: float = 10.0
    """Units for a refused line: an unknown method, or one that does not decode."""


@dataclass(frozen=True, kw_only=True)
class RpcLimits:
    """Limits per peer of a JSON-RPC listener, over all of its connections.

    A peer is an agent on its socket, or a user on the operator's.
    """

    connections: int
    line: int = 16 * MIB
    """Longest line in bytes."""
    outstanding: int
    """Concurrent calls of one connection."""
    outstanding_all: int
    """Concurrent calls of all its connections."""
    bytes_all: int
    """Buffered bytes: partial lines, lines being answered, answers not yet read."""
    bucket: Bucket
    lines_at_once: int = 32
    """Lines handled before other connections get a turn."""
    hello_s: float = 10.0
    """Time from connecting to a valid ``hello``."""
    write_high: int = 1 * MIB
    """Unread bytes above which nothing more is read."""
    write_max: int = 32 * MIB
    """Unread bytes above which a connection is closed."""
    close_s: float = 10.0
    """Time to read the rest of a connection that is being closed."""
    trusted: bool = False
    """Whether to read from it even if it has left much of our output unread."""


AGENT_RPC: Final = RpcLimits(
    connections=16,
    line=2 * MIB,  # a message of 256 KiB fits, each byte of it escaped
    outstanding=32,
    outstanding_all=64,
    bytes_all=48 * MIB,
    bucket=Bucket(burst=4000, rate=1000),
)
"""An agent's or the manager's ``hive.sock``: a harness, its MCP server, tools."""

RELAY_RPC: Final = RpcLimits(
    connections=8,
    outstanding=4096,
    outstanding_all=8192,
    bytes_all=256 * MIB,
    bucket=Bucket(burst=40_000, rate=10_000),
    lines_at_once=64,
)
"""``relay.sock``: one relay for all agents, which reserves and settles each request;
and ``egress.sock``: one hive-egress, which reports connections."""

OPERATOR_RPC: Final = RpcLimits(
    connections=768,
    outstanding=32,
    outstanding_all=2048,
    bytes_all=512 * MIB,
    bucket=Bucket(burst=40_000, rate=10_000),
)
"""``operator.sock``, for each user: the dashboard has one connection per thread."""

CLIENT_RPC: Final = RpcLimits(
    connections=1,
    outstanding=32,
    outstanding_all=32,
    bytes_all=256 * MIB,
    write_max=256 * MIB,
    bucket=Bucket(burst=float("inf"), rate=float("inf")),
    trusted=True,
)
"""The client's end of all these, where hived is the peer."""


SOCKETS_AT_ONCE: Final = 8
"""Connections that a listener accepts before other sockets get a turn."""
RELAY_CHANNELS: Final = 4
"""Processes that receive an agent's descriptors on a socket: one, and replaced ones."""


@dataclass(frozen=True, kw_only=True)
class DaemonLimits:
    """Limits on hived for all agents together."""

    descriptors_share: float = 0.5
    """Share of the open file limit that agents' connections may use."""
    connections: int = 16_384
    bytes: int = 512 * MIB
    """Bytes buffered for all agents; above it the largest user is disconnected."""
    log_s: float = 60.0
    """A complaint is logged this often in this time, then only counted."""
    log_burst: int = 20


HIVED: Final = DaemonLimits()


@dataclass(frozen=True, kw_only=True)
class RelayLimits:
    """Limits of the agents' ``model.sock`` and of responses from the API."""

    connections: int = 64
    """Open connections of one agent; more are queued in the kernel."""
    descriptors_reserved: int = 128
    """Descriptors that are reserved: agents' connections never use them."""
    header_s: float = 10.0
    """Time from connecting to a complete request head."""
    idle_s: float = 75.0
    """Time from a response to the next complete request head."""
    body_s: float = 30.0
    """Time for the body of a request."""
    body: int = 32 * MIB
    """Size of one request."""
    bodies_of_agent: int = 64 * MIB
    """Bytes of request bodies of one agent in memory; more are read afterwards."""
    bodies: int = 256 * MIB
    """Bytes of request bodies of all agents in memory."""
    requests: int = 16
    """Concurrent requests of one agent."""
    objects: int = 500_000
    """Opening braces in a body, including those in strings: objects cost memory."""
    blocks: int = 100_000
    """Content blocks in a body: each is inspected."""
    unread_s: float = 60.0
    """Time that a client may leave a response unread."""
    answer_s: float = 3600.0
    """Time for a complete response."""
    drain_s: float = 120.0
    """Time to continue reading after the client has disconnected, to learn the
    usage."""
    settling_s: float = 300.0
    """Time that a request near the daily limit waits for others to be settled."""
    answer: int = 64 * MIB
    """Size of one response of the API."""
    line: int = 8 * MIB
    """Length of one line of a streamed response."""
    error: int = MIB
    """Size of one error response of the API."""


@dataclass(frozen=True, kw_only=True)
class EgressLimits:
    """Limits of the agents' ``egress.sock``."""

    connections: int = 128
    """Open connections of one agent; more are queued in the kernel."""
    descriptors_reserved: int = 256
    """Descriptors that are reserved, half of them for splices: agents' connections
    never use them."""
    lookups: int = 4
    """Concurrent lookups of names for one agent."""
    head: int = 64 * KIB
    """Size of a request's head, and of a TLS ClientHello."""
    head_s: float = 10.0
    """Time from connecting to a complete request head, and for a ClientHello."""
    lookup_s: float = 10.0
    connect_s: float = 15.0
    idle_s: float = 600.0
    """Time without a byte in either direction; what is not read in it counts too."""
    hosts: int = 200
    """Hosts of one agent whose connections are counted one by one."""
    report_s: float = 1.0
    """Between two reports to hived."""
    fold_s: float = 30.0
    """Between two reports of the same host."""


@dataclass(frozen=True, kw_only=True)
class WebhookLimits:
    """Limits of deliveries to agents' webhooks."""

    body: int = MIB
    burst: float = 30.0
    """Deliveries of one webhook at once."""
    rate: float = 0.5
    """A second, in the long run."""
    checked_at_once: int = 4
    """Signatures that are checked at the same time."""
    known_s: float = 7 * 86400.0
    """How long the ID of a delivery is remembered."""


WEBHOOK: Final = WebhookLimits()


@dataclass(frozen=True, kw_only=True)
class ForwarderLimits:
    """Limits of the loopback port in front of the CLI."""

    connections: int = 64
    strangers: int = 256
    """Connections that have not sent the key; a new one replaces the oldest."""
    head: int = 64 * KIB
    head_s: float = 10.0


@dataclass(frozen=True, kw_only=True)
class HttpLimits:
    """Limits of an HTTP listener, before and after a thread takes a request.

    If there are too many connections, the one with the longest unfinished request is
    dropped: complete requests are answered, however many incomplete ones there are.
    """

    connections: int
    connections_of_one: int
    """Connections of one address, unless it is this machine's or a trusted proxy's."""
    line_bytes: int = 4094
    """Length of the request line."""
    fields: int = 60
    """Header lines of one request."""
    field_bytes: int = 8190
    """Length of each header line."""
    head_bytes: int = 64 * KIB
    head_s: float = 10.0
    """Time from connecting (after TLS) to the end of the request head."""
    body_bytes: int = 2 * MIB
    """A message of 256 KiB, each byte of it escaped, fits."""
    body_s: float = 20.0
    bodies_bytes: int = 64 * MIB
    """Bytes of all incomplete requests."""
    answer_bytes: int = 512 * KIB
    """Buffered bytes of a response, so that no thread waits for a slow reader."""
    answers_bytes: int = 64 * MIB
    """Bytes of all unread responses; above it the largest is dropped."""
    unread_s: float = 20.0
    """Time that a peer may read its response too slowly."""
    end_s: float = 5.0
    """Time for a response to a peer that has closed its sending side."""
    unanswered: int = 48
    """Requests that the app handles at once; others are queued. At most its number of
    threads that are not for streams."""


DASHBOARD_HTTP: Final = HttpLimits(connections=1024, connections_of_one=128)
"""The dashboard: a browser opens up to six connections, and a stream per tab."""
