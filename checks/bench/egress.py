"""The cost of hive-egress: [egress_connect], [egress_throughput].

``egress_connect`` is a request over a new connection, as an agent's program makes it:
to the harness's loopback port, from there to ``egress.sock``, a CONNECT, a TLS
handshake that verifies the host, a small request, its answer. The reference is the same
without a proxy: a connection straight to the host, the same handshake, request and
answer. Both know the address: looking up a name costs the same whoever does it. Its
parts name what the same takes without TLS, where nothing is left but the way.

``egress_throughput`` is the time for 256 MiB in an open tunnel, from the host to a
client at ``egress.sock``. The reference is the barest relay in the place of hive-egress
(``egress_relay``): the limit is seven tenths of the relay's throughput.

All ends are processes of their own: the host, hive-egress, the relay, the harness's
port.
"""

import asyncio
import socket
import ssl
import statistics
import time
from pathlib import Path
from typing import Final

from checks.bench.egress_setting import NAME, Setting, ask, opened, setting
from checks.bench.egress_site import ANSWER, REQUEST
from checks.bench.mail import process
from checks.bench.measure import Figure, since

CONNECT: Final = "egress_connect"
THROUGHPUT: Final = "egress_throughput"
_CONNECT_LIMIT: Final = 2.0
_THROUGHPUT_LIMIT: Final = 1 / 0.7
_CONNECTS: Final = 300
_WARM: Final = 20
_ROUNDS: Final = 12
_BYTES: Final = 256 * 2**20


async def connect() -> Figure:
    """Make requests directly and through the proxy, in turns."""
    async with setting("alice") as at:
        port = at.room / "port"
        tunnel = at.egress_socket("alice")
        async with process("checks.bench.egress_tunnel", tunnel, port):
            return await asyncio.to_thread(_connects, at, int(port.read_text()))


def _connects(at: Setting, proxy: int) -> Figure:
    ways: dict[str, list[float]] = {}
    for number in range(_CONNECTS + _WARM):
        for way, port, context, through in (
            ("direct", at.secure, at.trusted, None),
            ("through", at.secure, at.trusted, proxy),
            ("direct without TLS", at.plain, None, None),
            ("through without TLS", at.plain, None, proxy),
        ):
            took = _request(port, context, through)
            if number >= _WARM:
                ways.setdefault(way, []).append(took)
    medians = {name: statistics.median(took) for name, took in ways.items()}
    parts = {
        "direct": medians["direct"],
        "(without TLS)": medians["direct without TLS"],
        "(without TLS, through hive-egress)": medians["through without TLS"],
    }
    taken = tuple(ways["through"])
    return Figure(CONNECT, taken, parts["direct"], _CONNECT_LIMIT, parts)


def _request(port: int, context: ssl.SSLContext | None, proxy: int | None) -> float:
    """Return the milliseconds from nothing to a whole answer."""
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", proxy or port)) as made:
        if proxy is not None:
            ask(made, port)
        if context is None:
            answered(made)
            return since(began)
        with context.wrap_socket(made, server_hostname=NAME) as shaken:
            answered(shaken)
            return since(began)


def answered(made: socket.socket) -> None:
    """Make a request, and read its answer."""
    made.sendall(REQUEST)
    got = b""
    while len(got) < len(ANSWER):
        got += made.recv(65536)
    assert got == ANSWER


async def throughput() -> Figure:
    """Pour through hive-egress and through the barest relay, in turns."""
    async with setting("alice") as at:
        relay = at.room / "relay.sock"
        async with process("checks.bench.egress_relay", relay, str(at.pours)):
            return await asyncio.to_thread(_pours, at, relay)


def _pours(at: Setting, relay: Path) -> Figure:
    carried: list[float] = []
    relayed: list[float] = []
    with at.open("alice", at.pours) as tunnel, opened(relay) as bare:
        for number in range(_ROUNDS + 1):
            for taken, made in ((carried, tunnel), (relayed, bare)):
                took = _poured(made)
                if number > 0:
                    taken.append(took)
    reference = statistics.median(relayed)
    parts = {"relay": reference}
    return Figure(THROUGHPUT, tuple(carried), reference, _THROUGHPUT_LIMIT, parts)


def _poured(made: socket.socket) -> float:
    """Return the milliseconds for many bytes."""
    buffer = memoryview(bytearray(2**20))
    began = time.perf_counter()
    made.sendall(_BYTES.to_bytes(8, "big"))
    left = _BYTES
    while left:
        got = made.recv_into(buffer)
        assert got
        left -= got
    return since(began)
