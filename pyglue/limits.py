"""Every limit on what one peer may take of a daemon: the one place for these numbers.

hived, the relay and the dashboard serve peers that may be hostile: agents in their
containers, whatever holds a loopback port, a browser. A limit is a field of a frozen
dataclass here, and the listener that enforces it imports it. A peer is bounded in four
ways: connections (descriptors), bytes held for it (memory), units of work (time of the
event loop), and calls at once. A peer over a limit waits or is disconnected; nobody
else notices.

Work is counted in units by a token bucket: a read from a socket and each line cost one,
large ones cost by size, refused ones cost more. When the bucket is empty the peer is
not read from until it is refilled, so a flood stays in the kernel's buffers.
"""

from dataclasses import dataclass
from typing import Final

from pyglue.api.common import Role

KIB: Final = 1024
MIB: Final = 1024 * KIB

LOGIN_LINK_S: Final = 10 * 60.0
"""How long a login link works, in seconds."""
SESSION_S: Final = 12 * 3600.0
"""How long a session of the dashboard lasts, in seconds."""


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """Units of work: ``burst`` at once, and ``rate`` a second for as long as it likes.

    A unit is one read, one line, or ``unit_bytes`` of what is received or answered.
    """

    burst: float
    rate: float
    unit_bytes: int = 16 * KIB
    accept: float = 5.0
    """Units for taking a connection."""
    refusal: float = 10.0
    """Units for a line that is refused: an unknown method, what does not decode."""


@dataclass(frozen=True, kw_only=True)
class RpcLimits:
    """What one peer may take of a JSON-RPC listener, over all of its connections.

    A peer is whoever holds an agent's socket, or a user on the operator's.
    """

    connections: int
    line: int = 16 * MIB
    """Longest line in bytes."""
    outstanding: int
    """Calls of one connection that run at once."""
    outstanding_all: int
    """Calls of all its connections that run at once."""
    bytes_all: int
    """Bytes held for it: half lines, lines being answered, answers it did not read."""
    bucket: Bucket
    lines_at_once: int = 32
    """Lines handled before every other connection has its turn."""
    hello_s: float = 10.0
    """Time from connecting to a good ``hello``."""
    write_high: int = 1 * MIB
    """Unread bytes above which nothing more is read."""
    write_max: int = 32 * MIB
    """Unread bytes above which a connection is closed."""
    close_s: float = 10.0
    """Time to read the rest of a connection that is closed."""
    trusted: bool = False
    """Whether it is read from however much of ours it has not read."""


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
"""``relay.sock``: one relay for all agents, which reserves and settles each request."""

OPERATOR_RPC: Final = RpcLimits(
    connections=768,
    outstanding=32,
    outstanding_all=2048,
    bytes_all=512 * MIB,
    bucket=Bucket(burst=40_000, rate=10_000),
)
"""``operator.sock``, for each user: the dashboard has a connection a thread."""

ROLE_RPC: Final = {
    Role.AGENT: AGENT_RPC,
    Role.MANAGER: AGENT_RPC,
    Role.RELAY: RELAY_RPC,
    Role.OPERATOR: OPERATOR_RPC,
}
"""What hived takes on a socket of each role; a client refuses to send more."""

CLIENT_RPC: Final = RpcLimits(
    connections=1,
    outstanding=32,
    outstanding_all=32,
    bytes_all=256 * MIB,
    write_max=256 * MIB,
    bucket=Bucket(burst=float("inf"), rate=float("inf")),
    trusted=True,
)
"""The other end of all these, where hived is the peer."""


SOCKETS_AT_ONCE: Final = 8
"""Connections that a listener takes before every other socket has its turn."""
RELAY_CHANNELS: Final = 4
"""Relays that descriptors are handed to; one is at work, others were just replaced."""


@dataclass(frozen=True, kw_only=True)
class DaemonLimits:
    """What all agents together may take of hived."""

    descriptors_share: float = 0.5
    """Part of the open files that agents' connections may use."""
    connections: int = 16_384
    bytes: int = 512 * MIB
    """Bytes held for all agents; above it the agent that holds most is disconnected."""
    log_s: float = 60.0
    """A complaint is logged so often in this time, then counted."""
    log_burst: int = 20


HIVED: Final = DaemonLimits()


@dataclass(frozen=True, kw_only=True)
class RelayLimits:
    """The limits of the agents' ``model.sock`` and of what comes back from the API."""

    connections: int = 64
    """Open connections of one agent; more wait in the kernel until one ends."""
    descriptors_reserved: int = 128
    """Descriptors that connections of agents never take."""
    header_s: float = 10.0
    """Time from connecting to a whole request head."""
    idle_s: float = 75.0
    """Time from an answer to the next whole request head."""
    body_s: float = 30.0
    """Time for the body of a request."""
    body: int = 32 * MIB
    """Size of one request."""
    bodies_of_agent: int = 64 * MIB
    """Bodies of one agent that are held at a time; later ones are not read yet."""
    bodies: int = 256 * MIB
    """Bodies of all agents that are held at a time."""
    requests: int = 16
    """Requests of one agent that are answered at a time."""
    objects: int = 500_000
    """Opening braces in a body, those in texts included: an object costs memory."""
    blocks: int = 100_000
    """Blocks of content in a body: each is looked at."""
    unread_s: float = 60.0
    """Time that a client may leave an answer unread."""
    answer_s: float = 3600.0
    """Time for a whole answer."""
    drain_s: float = 120.0
    """Time to read on, for the usage, after the client has disconnected."""
    settling_s: float = 300.0
    """Time that a request near the daily limit waits for the others to be settled."""
    answer: int = 64 * MIB
    """Size of one answer of the API."""
    line: int = 8 * MIB
    """Length of one line of a streamed answer."""
    error: int = MIB
    """Size of one error of the API."""


@dataclass(frozen=True, kw_only=True)
class ForwarderLimits:
    """The limits of the loopback port in front of the CLI."""

    connections: int = 64
    strangers: int = 256
    """Connections that have not shown the key; a new one takes the oldest's place."""
    head: int = 64 * KIB
    head_s: float = 10.0


@dataclass(frozen=True, kw_only=True)
class HttpLimits:
    """What peers may take of an HTTP listener before and after a thread answers them.

    Where there are too many, the one that has not finished its request for the longest
    time goes: a request that comes whole is answered, however many come by halves.
    """

    connections: int
    connections_of_one: int
    """Of one address, unless it is this machine's or a trusted proxy's."""
    line_bytes: int = 4094
    """Of the request line."""
    fields: int = 60
    """Header lines of one request."""
    field_bytes: int = 8190
    """Of each header line."""
    head_bytes: int = 64 * KIB
    head_s: float = 10.0
    """From connecting to the end of the request's head; TLS comes before."""
    body_bytes: int = 2 * MIB
    """A message of 256 KiB, each byte of it escaped, fits."""
    body_s: float = 20.0
    bodies_bytes: int = 64 * MIB
    """Of all requests that are not there yet."""
    answer_bytes: int = 512 * KIB
    """What is kept of an answer, so that no thread waits for a slow reader."""
    answers_bytes: int = 64 * MIB
    """Of all answers that are not read; above it the largest is dropped."""
    unread_s: float = 20.0
    """How long a peer may read too little of its answer."""
    end_s: float = 5.0
    """For an answer to who has said that nothing more comes."""
    unanswered: int = 48
    """Requests that the app works on at once; others are in line. No more than it has
    threads beside those of streams."""


DASHBOARD_HTTP: Final = HttpLimits(connections=1024, connections_of_one=128)
"""The dashboard: a browser has up to six connections and a stream for each tab."""
