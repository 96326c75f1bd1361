"""Making connections: a client's connect, a server's listen.

Paths longer than the 107 bytes that Unix sockets allow work too.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from pyglue.api.common import HELLO, PROTOCOL, HelloParams, HelloResult
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc.connection import Connection, Handlers
from pyglue.jsonrpc.wire import LINE_LIMIT

_HELLO_TIMEOUT_S: Final = 10.0
_PATH_MAX: Final = 107


@contextlib.contextmanager
def short_path(path: Path | str) -> Iterator[str]:
    """Give a name for a socket that fits what ``sockaddr_un`` holds."""
    path = Path(path)
    if len(os.fsencode(path)) <= _PATH_MAX:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def not_there(path: Path | str, error: OSError) -> HiveError:
    """Return what a caller hears when nobody listens at ``path``."""
    return HiveError(
        ErrorCode.UNAVAILABLE,
        f"hived does not answer at {path} ({error.strerror or error}). Is the hive "
        "running?",
    )


async def connect(
    path: Path | str,
    handlers: Handlers | None = None,
    *,
    hello: HelloParams,
    line_limit: int = LINE_LIMIT,
) -> Connection:
    """Connect and say hello; ``connection.hello`` is the HelloResult.

    Raises:
        HiveError: ``unavailable`` when nobody listens, or the refusal of the hello.
    """
    loop = asyncio.get_running_loop()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        with short_path(path) as name:
            await loop.sock_connect(sock, name)
    except OSError as error:
        sock.close()
        raise not_there(path, error) from error
    _, connection = await loop.create_unix_connection(
        lambda: Connection(handlers or Handlers(), line_limit=line_limit), sock=sock
    )
    try:
        connection.hello = await connection.call(HELLO, hello, timeout=_HELLO_TIMEOUT_S)
    except BaseException:
        connection.close()
        raise
    return connection


Session = Callable[[Connection, HelloParams], tuple[HelloResult, Handlers]]
"""Makes of a checked hello what is answered and who handles the rest."""


@dataclass(frozen=True)
class Server:
    """A listening socket and the connections that it accepted."""

    path: Path
    connections: set[Connection]
    _server: asyncio.AbstractServer

    def close(self) -> None:
        """Stop listening and drop every connection."""
        self._server.close()
        for connection in list(self.connections):
            connection.close()


def bind_unix(path: Path, *, mode: int, gid: int | None, kind: int) -> socket.socket:
    """Bind and listen, replacing what a dead process left.

    The socket is made under another name and renamed into place, so that it is
    never there with a wrong mode and a client never sees the path missing.
    """
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK)
    try:
        with short_path(fresh) as name:
            sock.bind(name)
        fresh.chmod(mode)
        if gid is not None:
            os.chown(fresh, -1, gid)
        sock.listen(256)
        fresh.replace(path)
    except BaseException:
        sock.close()
        raise
    return sock


async def serve(
    path: Path,
    session: Session,
    *,
    line_limit: int = LINE_LIMIT,
    mode: int = 0o600,
    gid: int | None = None,
) -> Server:
    """Listen at ``path``; ``session`` is called for each connection's hello.

    Anything but ``hello`` before the hello is refused, and so is another protocol
    version. ``session`` may raise a HiveError, which the caller is told.
    """
    connections: set[Connection] = set()

    def accept() -> Connection:
        connection = Connection(Handlers(), line_limit=line_limit)
        connection.handlers.on(
            HELLO, lambda hello: _greet(connection, session, hello), decode=_hello
        )
        connections.add(connection)
        connection.on_close(lambda: connections.discard(connection))
        return connection

    sock = bind_unix(path, mode=mode, gid=gid, kind=socket.SOCK_STREAM)
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(accept, sock=sock, backlog=256)
    return Server(path, connections, server)


class _Version(msgspec.Struct):
    """All that is certain of another version's hello."""

    protocol: int = PROTOCOL


def _hello(raw: msgspec.Raw) -> HelloParams:
    """Read a hello; its version comes first, since all else depends on it."""
    spoken = msgspec.json.decode(raw, type=_Version).protocol
    if spoken != PROTOCOL:
        raise HiveError(
            ErrorCode.UNSUPPORTED_PROTOCOL,
            f"This hive speaks protocol {PROTOCOL}, the caller {spoken}. Restart the "
            "older of the two.",
            details={"protocol": PROTOCOL},
        )
    return msgspec.json.decode(raw, type=HelloParams)


async def _greet(
    connection: Connection, session: Session, hello: HelloParams
) -> HelloResult:
    result, connection.handlers = session(connection, hello)
    connection.hello = hello
    return result
