"""A server's side: listening, accepting within limits, and the first hello.

hived, and the tests' stand-ins for it, serve with this. Connections are accepted a few
at a time, and only as fast as their peer's limits allow; one too many is refused with a
reason. When descriptors run out, the listener pauses for a second instead of retrying
in a loop.
"""

import asyncio
import contextlib
import logging
import socket
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from pyglue import strict_json
from pyglue.api.common import HELLO, PROTOCOL, HelloParams, HelloResult
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc.connection import Connection
from pyglue.jsonrpc.handlers import Handlers
from pyglue.jsonrpc.lines import Clean, peer_of
from pyglue.jsonrpc.peer import Peer, Pool
from pyglue.jsonrpc.sockets import bind_unix
from pyglue.jsonrpc.wire import error_line
from pyglue.limits import HIVED, OPERATOR_RPC, SOCKETS_AT_ONCE, RpcLimits

_REFUSED_S: Final = 1.0
_log = logging.getLogger(__name__)

Session = Callable[[Connection, HelloParams], tuple[HelloResult, Handlers]]
"""Returns the result of a checked hello, and the handlers of the connection."""


class Server:
    """A listening socket and the connections that it accepted."""

    def __init__(
        self,
        path: Path,
        sock: socket.socket,
        session: Session,
        *,
        limits: RpcLimits,
        pool: Pool | None,
        by_uid: bool,
        clean: Clean | None = None,
    ) -> None:
        self.path = path
        self.connections: set[Connection] = set()
        self._sock = sock
        self._session = session
        self._limits = limits
        self._pool = pool
        self._by_uid = by_uid
        self._clean = clean
        self._peers: dict[int, Peer] = {}
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[object]] = set()
        self._refused: deque[socket.socket] = deque()
        self._wake: asyncio.TimerHandle | None = None
        self._gate = Peer(limits)
        """Paces all connections, whoever opens them."""
        self._said_at = -HIVED.log_s
        self._loop.add_reader(sock, self._accept)

    def close(self) -> None:
        """Stop listening and drop every connection. Idempotent."""
        if self._sock.fileno() < 0:
            return
        if self._wake is not None:
            self._wake.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()
        for refused in self._refused:
            refused.close()
        for connection in list(self.connections):
            connection.close()
        for peer in self._peers.values():
            peer.close()

    # --- accepting ------------------------------------------------------------------

    def _accept(self) -> None:
        for _ in range(SOCKETS_AT_ONCE):
            wait = self._gate.wait()
            if wait > 0:
                self._rest(wait)
                return
            try:
                sock, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # no descriptors, no memory
                self._say(error)
                self._rest(_REFUSED_S)
                return
            self._gate.charge(self._limits.bucket.accept)
            self._take(sock)

    def _take(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        uid = peer_of(sock)[1] if self._by_uid else 0
        peer = self._peers.get(uid)
        if peer is None:
            peer = self._peers[uid] = Peer(self._limits, pool=self._pool)
        connection = Connection(
            Handlers(), peer=peer, expects_hello=True, clean=self._clean
        )
        if not peer.join(connection):
            self._gate.refuse()
            peer.refused += 1
            self._turn_away(sock, len(peer.connections))
            return
        connection.handlers.on(
            HELLO, lambda hello: self._greet(connection, hello), decode=_hello
        )
        self.connections.add(connection)
        connection.on_close(lambda: self.connections.discard(connection))
        task = self._loop.create_task(self._attach(connection, sock))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _turn_away(self, sock: socket.socket, count: int) -> None:
        """Send the reason, and give the caller time to read it before closing."""
        with contextlib.suppress(OSError):
            sock.send(_full(count))
        self._refused.append(sock)
        while len(self._refused) > SOCKETS_AT_ONCE:
            self._refused.popleft().close()
        self._loop.call_later(_REFUSED_S, sock.close)

    async def _attach(self, connection: Connection, sock: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: connection, sock)
        except OSError as error:
            _log.warning("lost a connection while accepting it: %s", error)
            connection.peer.leave(connection)
            self.connections.discard(connection)
            sock.close()

    def _rest(self, seconds: float) -> None:
        self._loop.remove_reader(self._sock)
        self._wake = self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._wake = None
        self._loop.add_reader(self._sock, self._accept)

    def _say(self, error: OSError) -> None:
        now = time.monotonic()
        if now - self._said_at >= HIVED.log_s:
            self._said_at = now
            _log.error(
                "%s cannot accept connections: %s", self.path.name, error.strerror
            )

    # --- hello ----------------------------------------------------------------------

    async def _greet(self, connection: Connection, hello: HelloParams) -> HelloResult:
        result, connection.handlers = self._session(connection, hello)
        connection.greeted(hello)
        return result


async def serve(
    path: Path,
    session: Session,
    *,
    limits: RpcLimits = OPERATOR_RPC,
    pool: Pool | None = None,
    by_uid: bool = False,
    mode: int = 0o600,
    gid: int | None = None,
    clean: Clean | None = None,
) -> Server:
    """Listen at ``path``; ``session`` is called for each connection's hello.

    Anything before the hello is refused, and so is another protocol version.
    ``session`` may raise a HiveError, which is sent to the caller. All callers are one
    peer, or with ``by_uid`` each user is one; peers are also counted in ``pool``.
    ``clean`` gets each incoming line and returns the line to handle.
    """
    sock = bind_unix(path, mode=mode, gid=gid, kind=socket.SOCK_STREAM)
    return Server(
        path, sock, session, limits=limits, pool=pool, by_uid=by_uid, clean=clean
    )


def _full(count: int) -> bytes:
    text = f"{count} connections are already open here; close one first."
    return error_line(None, HiveError(ErrorCode.TOO_MANY, text))


class _Version(msgspec.Struct):
    """The only field that every version's hello is sure to have."""

    protocol: int = PROTOCOL


def _hello(raw: msgspec.Raw) -> HelloParams:
    """Read a hello; its version comes first, since all else depends on it."""
    spoken = strict_json.read(raw, _Version, what="hello").protocol
    if spoken != PROTOCOL:
        raise HiveError(
            ErrorCode.UNSUPPORTED_PROTOCOL,
            f"This hive speaks protocol {PROTOCOL}, but the caller speaks {spoken}. "
            "Restart the older of the two.",
            details={"protocol": PROTOCOL},
        )
    return strict_json.read(raw, HelloParams, what="hello")
